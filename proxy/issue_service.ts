/** The way to DBclient as the proxy asks for credentials over it. */
import type { ChainAlgorithm, Credential, Identity } from "../mod.ts";

/** What DBclient says about one user, docs/PROTOCOL.md §9 (ISSUED). */
export type IssueOutcome =
  | {
    readonly status: "ok";
    readonly credential: Credential;
    /** Time to live, s. */
    readonly ttl: number;
    /** The revocation serial that was read before the row. */
    readonly serial: number;
  }
  | { readonly status: "error"; readonly code: string };

/** The way to DBclient as the source needs it; the real one is in dbclient_service_io.ts. */
export interface IssueService {
  readonly connected: boolean;
  /**
   * Asks for credentials. `done` is called once: with the outcomes by position, or with undefined when the service
   * cannot be reached or gave no answer in time.
   */
  issue(
    algorithm: ChainAlgorithm,
    users: readonly Identity[],
    done: (outcomes: readonly IssueOutcome[] | undefined, now: number) => void,
  ): void;
}
