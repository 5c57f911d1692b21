/** The way to DBclient for the proxy's parts: callbacks with the time instead of promises. */
import {
  type ChainAlgorithm,
  type DbclientConnection,
  DbclientUnavailable,
  type DigestAnswer,
  type Identity,
  now,
  type VerifyStatus,
} from "../mod.ts";
import type { IssueOutcome, IssueService } from "./issue_service.ts";
import type { VerifyService } from "./digest_authenticator.ts";

/** Asks over a {@linkcode DbclientConnection}. */
export class DbclientService implements IssueService, VerifyService {
  /** @param log is told of faults, which cost the answer they concern and nothing else */
  constructor(
    private readonly connection: DbclientConnection,
    private readonly log: (event: string, fields: Readonly<Record<string, string>>) => void,
  ) {}

  get connected(): boolean {
    return this.connection.connected;
  }

  issue(
    algorithm: ChainAlgorithm,
    users: readonly Identity[],
    done: (outcomes: readonly IssueOutcome[] | undefined, now: number) => void,
  ): void {
    this.#settle(
      this.connection.issue(algorithm, users).then((results) =>
        results.map((result): IssueOutcome =>
          result.status === "ok"
            ? {
              status: "ok",
              credential: result.credential,
              ttl: result.credential.ttl,
              serial: result.credential.serial,
            }
            : result
        )
      ),
      done,
    );
  }

  verify(
    answers: readonly DigestAnswer[],
    done: (statuses: readonly VerifyStatus[] | undefined, now: number) => void,
  ): void {
    this.#settle(this.connection.verify(answers), done);
  }

  /** Hands a promise's value to `done`, or undefined when DBclient cannot answer. */
  #settle<T>(promise: Promise<T>, done: (value: T | undefined, now: number) => void): void {
    promise.catch((error) => {
      if (!(error instanceof DbclientUnavailable)) this.#fault(error);
      return undefined;
    }).then((value) => done(value, now())).catch((error) => this.#fault(error));
  }

  #fault(error: unknown): void {
    this.log("internal_error", {
      error: error instanceof Error ? `${error.name}: ${error.message}` : String(error),
    });
  }
}
