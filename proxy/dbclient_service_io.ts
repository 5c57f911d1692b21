/** The way to DBclient for the proxy's parts: callbacks with the time instead of promises. */
import {
  type ChainAlgorithm,
  type DbclientConnection,
  DbclientUnavailable,
  type DigestAnswer,
  type Identity,
  noObservations,
  now,
  type Observations,
  observe,
  type VerifyStatus,
} from "../mod.ts";
import type { IssueOutcome, IssueService } from "./issue_service.ts";
import type { VerifyService } from "./digest_authenticator.ts";
import { DBCLIENT_BOUNDS } from "./metrics.ts";

/** How long the first questions of a proxy that has just started wait for the connection, ms. */
const FIRST_CONNECTION_MS = 1000;

/** Asks over a {@linkcode DbclientConnection}. */
export class DbclientService implements IssueService, VerifyService {
  /** Settles when the first connection is made, or is given up for now. */
  readonly #begun: Promise<unknown>;
  #hasBegun = false;
  /** How long answers took, or failures, seconds. */
  readonly seconds: Observations = noObservations(DBCLIENT_BOUNDS);

  /** @param log is told of faults, which cost the answer they concern and nothing else */
  constructor(
    private readonly connection: DbclientConnection,
    private readonly log: (event: string, fields: Readonly<Record<string, string>>) => void,
  ) {
    this.#begun = connection.whenConnected(FIRST_CONNECTION_MS).then(() => this.#hasBegun = true);
  }

  get connected(): boolean {
    return this.connection.connected;
  }

  issue(
    algorithm: ChainAlgorithm,
    users: readonly Identity[],
    done: (outcomes: readonly IssueOutcome[] | undefined, now: number) => void,
  ): void {
    this.#settle(
      this.#ask(() => this.connection.issue(algorithm, users)).then((results) =>
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
    this.#settle(this.#ask(() => this.connection.verify(answers)), done);
  }

  /** Asks; what comes before the first connection is made waits for it, instead of being refused. */
  #ask<T>(question: () => Promise<T>): Promise<T> {
    return this.connection.connected || this.#hasBegun ? question() : this.#begun.then(question);
  }

  /** Hands a promise's value to `done`, or undefined when DBclient cannot answer. */
  #settle<T>(promise: Promise<T>, done: (value: T | undefined, now: number) => void): void {
    const askedAt = now();
    const told = promise.finally(() => observe(this.seconds, DBCLIENT_BOUNDS, (now() - askedAt) / 1000));
    told.catch((error) => {
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
