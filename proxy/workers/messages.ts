/** What the main thread and a worker say to each other: all of it. */
import type { DbclientTls } from "../../mod.ts";
import type { LocationChange, Registration, RegistrationOutcome } from "../location.ts";
import type { ProxyValues } from "../options.ts";
import type { SharedParts } from "../proxy_io.ts";
import type { Settings } from "../settings.ts";
import type { ThreadState } from "../status.ts";

/** What a worker needs to begin. Keys go this way, never by a command line or a URL. */
export interface WorkerStart {
  readonly kind: "start";
  readonly values: ProxyValues;
  /** With what is drawn at random once for all workers. */
  readonly settings: Settings;
  readonly keys: readonly Uint8Array[];
  readonly tls?: DbclientTls;
  readonly shared: SharedParts;
  /** With `--registrar`: where users are now. */
  readonly location: readonly LocationChange[];
  /** For `joinClock`. */
  readonly clockOrigin: number;
  /** Which reading of the module of `--route`: 0 is that of the start. */
  readonly routeVersion: number;
}

/** To a worker. */
export type ToWorker =
  | WorkerStart
  /** Other keys for the links to DBclient from now on. */
  | { readonly kind: "keys"; readonly keys: readonly Uint8Array[] }
  /** With `--registrar`: a user has other contacts now. */
  | { readonly kind: "location"; readonly change: LocationChange }
  /** What came of a registration; the change was told before. */
  | { readonly kind: "registered"; readonly id: number; readonly outcome: RegistrationOutcome }
  /** Take over another routing. */
  | {
    readonly kind: "reload";
    readonly values: ProxyValues;
    readonly settings: Settings;
    readonly version: number;
  }
  /** Refuse what begins something, and say "drained" when all requests are answered, or after this time. */
  | { readonly kind: "drain"; readonly ms: number }
  /** Stop serving, say "ended", and end. */
  | { readonly kind: "end" };

/** Counters by name. */
export type Counts = Readonly<Record<string, number>>;

/** From a worker. */
export type FromWorker =
  /** It serves. */
  | {
    readonly kind: "serving";
    /** What it has open in the system that does not close with it. */
    readonly descriptors: readonly number[];
    /** Its number in the credential cache. */
    readonly cacheThread: number;
  }
  /** It could not begin: one line. */
  | { readonly kind: "failed"; readonly reason: string }
  /** It has its connection to DBclient. */
  | { readonly kind: "connected" }
  /** Once a second. */
  | {
    readonly kind: "report";
    readonly counts: Counts;
    readonly state: ThreadState;
    /** The last revocation serial of DBclient. */
    readonly serial: number;
  }
  /** A registration for the owner of the location. */
  | { readonly kind: "register"; readonly id: number; readonly registration: Registration }
  /** Something that an operator should know. */
  | {
    readonly kind: "log";
    readonly event: string;
    readonly fields: Readonly<Record<string, string | number>>;
  }
  /** Nobody has caught an error: it serves no more. */
  | { readonly kind: "crashed"; readonly reason: string }
  /** Its requests are answered, or the time is over. */
  | { readonly kind: "drained" }
  /** It has ended as it was told. */
  | { readonly kind: "ended"; readonly counts: Counts };
