/** What the supervisor and a worker say to each other, one JSON object per line of the worker's standard input and output. */
import type { LogDetails, ProcessFigures, Readiness } from "../../mod.ts";
import type { Counters } from "../counters.ts";
import type { ServerTls } from "../link_listener_io.ts";
import type { KeySnapshot } from "../proxy_keys.ts";
import type { ServiceSetup } from "../service_io.ts";

/** To a worker. The end of its standard input means "end" too: the supervisor is gone. */
export type ToWorker =
  | { readonly kind: "start"; readonly setup: ServiceSetup }
  | { readonly kind: "keys"; readonly keys: KeySnapshot }
  | { readonly kind: "tls"; readonly tls: ServerTls }
  | { readonly kind: "end" };

/** From a worker. */
export type FromWorker =
  /** It serves. */
  | { readonly kind: "ready"; readonly port: number }
  /** It could not begin: one line. */
  | { readonly kind: "failed"; readonly reason: string }
  /** Once a second, and as the last word. */
  | { readonly kind: "counters"; readonly counters: Counters; readonly usage: ProcessFigures }
  /** Once a second, where metrics are served. */
  | { readonly kind: "readiness"; readonly readiness: Readiness }
  | { readonly kind: "log"; readonly line: string; readonly details: LogDetails };

/** Cuts a stream of text into lines, whatever the pieces it arrives in. */
export class Lines {
  #rest = "";

  /** The lines that are whole, without their ends. */
  push(text: string): string[] {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop()!;
    return lines;
  }
}
