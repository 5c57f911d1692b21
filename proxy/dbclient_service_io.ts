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
import type { IssueOutcome, IssueService } from "./credential_source.ts";
import type { VerifyService } from "./digest_authenticator.ts";

/** Hands a promise's value to `done`, or undefined when DBclient cannot answer. */
function settle<T>(promise: Promise<T>, done: (value: T | undefined, now: number) => void): void {
  promise.then(
    (value) => done(value, now()),
    (error) => {
      done(undefined, now());
      if (!(error instanceof DbclientUnavailable)) throw error;
    },
  );
}

/** Asks over a {@linkcode DbclientConnection}. */
export class DbclientService implements IssueService, VerifyService {
  constructor(private readonly connection: DbclientConnection) {}

  get connected(): boolean {
    return this.connection.connected;
  }

  issue(
    algorithm: ChainAlgorithm,
    users: readonly Identity[],
    done: (outcomes: readonly IssueOutcome[] | undefined, now: number) => void,
  ): void {
    settle(
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
    settle(this.connection.verify(answers), done);
  }
}
