/** One call as a ladder: its messages between two sides, with times. No header's value is shown but the CSeq's method. */
import { type Address, formatAddress, HeaderId, SipMessage } from "../mod.ts";

interface Rung {
  /** ms */
  readonly at: number;
  readonly sent: boolean;
  readonly text: string;
  readonly peer: string;
}

/** Calls whose messages are kept until their end is known, and messages of one. */
const MAX_CALLS = 1000;
const MAX_RUNGS = 200;
const AUTH_HEADERS = [
  HeaderId.PROXY_AUTHORIZATION,
  HeaderId.AUTHORIZATION,
  HeaderId.PROXY_AUTHENTICATE,
  HeaderId.WWW_AUTHENTICATE,
];
/** Characters of a status line that are shown. */
const MAX_STATUS = 16;
/** Columns between the two sides. */
const SPAN = 46;
const decoder = new TextDecoder();

/** Keeps the first call, or the first one that failed if one does. */
export class Ladder {
  readonly #open = new Map<string, Rung[]>();
  readonly #message = new SipMessage();
  #shown: { readonly callId: string; readonly failure: string; readonly rungs: readonly Rung[] } | undefined;

  /** A message of a call: buffer[start, end). */
  message(sent: boolean, bytes: Uint8Array, start: number, end: number, peer: Address, now: number): void {
    if (this.#shown !== undefined && this.#shown.failure !== "") return;
    const message = this.#message;
    if (message.parse(bytes, start, end) !== undefined) return;
    const { callId } = message;
    let rungs = this.#open.get(callId);
    if (rungs === undefined) {
      if (this.#open.size >= MAX_CALLS) return;
      this.#open.set(callId, rungs = []);
    }
    if (rungs.length >= MAX_RUNGS) return;
    let lineEnd = start;
    while (lineEnd < end && bytes[lineEnd] !== 13 && bytes[lineEnd] !== 10) lineEnd++;
    const line = decoder.decode(bytes.subarray(start, lineEnd));
    const schemes = new Set<string>();
    for (const id of AUTH_HEADERS) {
      for (let i = message.first(id); i >= 0; i = message.next(i)) {
        const value = message.text(message.valueStart(i), message.valueEnd(i));
        schemes.add(/^[A-Za-z-]+/.exec(value)?.[0] ?? "?");
      }
    }
    const status = line.slice(line.indexOf(" ") + 1);
    const what = message.isRequest
      ? message.method
      : `${
        status.length > MAX_STATUS ? status.slice(0, MAX_STATUS - 1) + "…" : status
      } (${message.cseqMethod})`;
    const text = schemes.size === 0 ? what : `${what} [${[...schemes].join(", ")}]`;
    rungs.push({ at: now, sent, text, peer: formatAddress(peer) });
  }

  /** A call is over; `failure` is "" when it succeeded. */
  ended(callId: string, failure: string): void {
    const rungs = this.#open.get(callId);
    this.#open.delete(callId);
    if (rungs === undefined) return;
    if (this.#shown === undefined || this.#shown.failure === "" && failure !== "") {
      this.#shown = { callId, failure, rungs };
    }
    if (failure !== "") this.#open.clear();
  }

  /** The ladder as text; "" if no call has ended. @param local host:port of this side */
  text(local: string): string {
    if (this.#shown === undefined) return "";
    const { callId, failure, rungs } = this.#shown;
    const peers = [...new Set(rungs.map(({ peer }) => peer))];
    const start = rungs.length === 0 ? 0 : rungs[0].at;
    const margin = 13;
    const lines = [
      `call ${callId}: ${failure === "" ? "succeeded" : failure}`,
      "",
      " ".repeat(margin) + local + " ".repeat(Math.max(2, SPAN + 2 - local.length)) + (peers[0] ?? ""),
    ];
    for (const { at, sent, text, peer } of rungs) {
      const room = SPAN - 4;
      const shown = text.slice(0, room - 2);
      const left = Math.floor((room - shown.length - 2) / 2);
      const dashes = `${"-".repeat(left)} ${shown} `.padEnd(room, "-");
      const arrow = sent ? `-${dashes}->` : `<-${dashes}-`;
      const ms = `${(at - start).toFixed(3)} ms`.padStart(margin - 1);
      lines.push(`${ms} |${arrow.padEnd(SPAN - 1)}|${peers.length > 1 ? ` ${peer}` : ""}`);
    }
    return lines.join("\n");
  }
}
