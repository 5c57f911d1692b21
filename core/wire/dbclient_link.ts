/** DBclient's end of a link, without I/O: bytes in, events and bytes out (docs/PROTOCOL.md §9). */
import type { Identity } from "../chain/derive.ts";
import type { ChainAlgorithm, ChainHash } from "../hash/chain_hash.ts";
import { equalBytes } from "../hash/equal.ts";
import type { Random } from "../random.ts";
import { WireError } from "./bytes.ts";
import {
  DBCLIENT_LINK_TIMES,
  type ErrorName,
  HANDSHAKE_FRAME_LENGTH,
  HANDSHAKE_RANDOM_BYTES,
  type LinkTimes,
  MAX_FRAME_LENGTH,
  MAX_PROOFS,
  PROOF_BYTES,
  type VerifyStatus,
} from "./constants.ts";
import type { DigestAnswer, Frame, HelloFrame, WelcomeFrame, WireIssueResult } from "./frame.ts";
import { handshakeProof, keyOfProof } from "./handshake.ts";
import { DBCLIENT_LINK_TABLE, type DbclientLinkState, type LinkClosed, LinkEnd } from "./link.ts";

/** What happens on DBclient's end. */
export type DbclientLinkEvent =
  | { readonly event: "ready"; readonly proxy: string }
  /** The proxy has seen a revocation serial that is not known here: {@linkcode DbclientLink.tellReady} has to follow. */
  | { readonly event: "ahead"; readonly serial: number }
  | {
    readonly event: "issue";
    readonly id: number;
    readonly algorithm: ChainAlgorithm;
    readonly users: readonly Identity[];
  }
  | { readonly event: "verify"; readonly id: number; readonly answers: readonly DigestAnswer[] }
  /** A request above `maxOutstanding`, which was refused with `busy`. */
  | { readonly event: "refused"; readonly id: number; readonly text: string }
  | LinkClosed;

/** What READY tells a proxy (docs/PROTOCOL.md §9). */
export interface ReadyNews {
  /** The serial up to which the proxy knows everything after READY. */
  readonly serial: number;
  /** 1000 users at most, or "all" when more is not known any more. */
  readonly revoked: readonly Identity[] | "all";
  /** What follows it in REVOKED frames. */
  readonly then?: readonly { readonly serial: number; readonly users: readonly Identity[] }[];
}

/** What a {@linkcode DbclientLink} needs. */
export interface DbclientLinkOptions {
  /** Chain length of the credentials. */
  readonly n: number;
  /** Their time to live in seconds. */
  readonly ttl: number;
  /**
   * The keys accepted for a proxy's name, newest first, four at most; [] for a proxy that needs none; undefined for a
   * name that is not served.
   */
  keysOf(proxy: string): readonly Uint8Array[] | undefined;
  /** The revocation serial now. */
  serial(): number;
  /**
   * What a proxy is told that has seen a serial; "later" while the serial is not known here.
   *
   * @param final whether all there is has been read: "later" is no answer then
   */
  revokedSince(serial: number, final: boolean): ReadyNews | "later";
  /** The SHA-256 backend, for the proofs. */
  readonly sha256: ChainHash;
  readonly random: Random;
  readonly times?: LinkTimes;
  /** Requests without an answer at once, default any number. */
  readonly maxOutstanding?: number;
  /** The largest value of the length field once the link is open, default 1 MiB. */
  readonly maxFrame?: number;
}

/** DBclient's end of one connection. */
export class DbclientLink extends LinkEnd<DbclientLinkState, DbclientLinkEvent> {
  readonly #options: DbclientLinkOptions;
  #hello: HelloFrame | undefined;
  #welcome: WelcomeFrame | undefined;
  #keys: readonly Uint8Array[] = [];
  /** The key that the proxy has proven to know; undefined before that, and when none is asked for. */
  #provenKey: Uint8Array | undefined;
  /** Users, or Digest answers, by request id. */
  readonly #outstanding = new Map<number, number>();
  #items = 0;
  /** Whether READY was sent: nothing else may be, before. */
  #ready = false;

  /** @param now milliseconds; the connection has just been accepted */
  constructor(options: DbclientLinkOptions, now: number) {
    const times = options.times ?? DBCLIENT_LINK_TIMES;
    super(DBCLIENT_LINK_TABLE, "await_hello", "open", "closed", times, now, HANDSHAKE_FRAME_LENGTH);
    this.#options = options;
  }

  /** The proxy's name, "" before HELLO. It is proven only in state open, and only if it has a key. */
  get proxy(): string {
    return this.#hello?.proxy ?? "";
  }

  /** Whether `keysOf` still accepts the name with what was proven; to be asked when the handshake is done. */
  get keyAccepted(): boolean {
    const keys = this.#options.keysOf(this.proxy);
    const proven = this.#provenKey;
    return proven === undefined ? keys?.length === 0 : keys?.some((key) => equalBytes(key, proven)) === true;
  }

  /** Users and Digest answers that wait, in whatever number of requests. */
  get outstandingItems(): number {
    return this.#items;
  }

  /** Answers an ISSUE: one result for each of its users, in their order. After the end of the link it does nothing. */
  issued(id: number, algorithm: ChainAlgorithm, results: readonly WireIssueResult[]): void {
    if (this.#check(id, results.length)) this.#answer({ type: "ISSUED", id, algorithm, results });
  }

  /** Answers a VERIFY: one status for each of its answers, in their order. */
  verified(id: number, statuses: readonly VerifyStatus[]): void {
    if (this.#check(id, statuses.length)) this.#answer({ type: "VERIFIED", id, statuses });
  }

  /** Refuses one request; the link stays open. */
  refuse(id: number, code: ErrorName, text: string): void {
    if (this.#check(id)) this.#answer({ type: "ERROR", id, code, text });
  }

  /**
   * Tells the proxy that credentials of these users are void if their serial is below this one.
   *
   * @param users 1000 at most; none: everything up to the serial was told
   */
  revoked(serial: number, users: readonly Identity[]): void {
    // Who is not ready yet will be told in READY.
    if (this.takesNews) this.send({ type: "REVOKED", id: 0, serial, users });
  }

  /** Whether REVOKED frames may be written: READY was sent, and it is not over. */
  get takesNews(): boolean {
    return this.#ready && !this.closed;
  }

  /** Sends the READY that waited since the event "ahead", now that all there is has been read. */
  tellReady(): DbclientLinkEvent[] {
    const events: DbclientLinkEvent[] = [];
    if (this.open && !this.#ready) this.#tellReady(events, true);
    return events;
  }

  #check(id: number, count?: number): boolean {
    if (this.closed) return false;
    const asked = this.#outstanding.get(id);
    if (asked === undefined) throw new RangeError(`request ${id} is not outstanding`);
    if (count !== undefined && count !== asked) {
      throw new RangeError(`request ${id} takes ${asked} results, not ${count}`);
    }
    return true;
  }

  /** The request stays outstanding if its answer cannot be encoded, so that it can still be refused. */
  #answer(frame: Frame): void {
    this.send(frame);
    this.#items -= this.#outstanding.get(frame.id)!;
    this.#outstanding.delete(frame.id);
  }

  protected override handle(frame: Frame, events: DbclientLinkEvent[]): void {
    switch (frame.type) {
      case "HELLO":
        return this.#greet(frame);
      case "AUTH":
        return this.#authenticate(frame.proofs, events);
      case "ISSUE":
        if (!this.#accept(frame.id, frame.users.length, events)) return;
        events.push({ event: "issue", id: frame.id, algorithm: frame.algorithm, users: frame.users });
        return;
      case "VERIFY":
        if (!this.#accept(frame.id, frame.answers.length, events)) return;
        events.push({ event: "verify", id: frame.id, answers: frame.answers });
        return;
      case "PING":
        return this.send({ type: "PONG", id: frame.id });
      case "ERROR":
        return this.finish(events, { event: "closed", by: "peer", code: frame.code, text: frame.text });
      default:
        return;
    }
  }

  #greet(hello: HelloFrame): void {
    const { keysOf, sha256, random, n, ttl } = this.#options;
    const keys = keysOf(hello.proxy);
    if (keys === undefined) throw new WireError("unauthorized", "proxy name", "is not served here");
    this.#hello = hello;
    this.#keys = keys.slice(0, MAX_PROOFS);
    const welcome: WelcomeFrame = {
      type: "WELCOME",
      id: 0,
      random: random.bytes(HANDSHAKE_RANDOM_BYTES),
      n,
      ttl,
      serial: this.#options.serial(),
      // The count of proofs is under the MAC (in the length field), their bytes are not.
      proofs: this.#keys.map(() => new Uint8Array(PROOF_BYTES)),
    };
    const proofs = this.#keys.map((key) =>
      handshakeProof(sha256, key, "dbclient", hello, welcome, this.#keys.length)
    );
    this.#welcome = { ...welcome, proofs };
    this.send(this.#welcome);
  }

  #authenticate(proofs: readonly Uint8Array[], events: DbclientLinkEvent[]): void {
    const { sha256 } = this.#options;
    if (this.#keys.length > 0) {
      this.#provenKey = keyOfProof(sha256, this.#keys, "proxy", this.#hello!, this.#welcome!, proofs);
      if (this.#provenKey === undefined) {
        throw new WireError("unauthorized", "proof", "is wrong or missing");
      }
    } else if (proofs.length > 0) {
      throw new WireError("unauthorized", "proof", "none was asked for");
    }
    // Keys may have been replaced since HELLO.
    if (!this.keyAccepted) throw new WireError("unauthorized", "key", "is not accepted any more");
    this.reader.maxLength = this.#options.maxFrame ?? MAX_FRAME_LENGTH;
    this.#tellReady(events, false);
  }

  #tellReady(events: DbclientLinkEvent[], final: boolean): void {
    const { serial, proxy } = this.#hello!;
    const news = this.#options.revokedSince(serial, final);
    if (news === "later") {
      events.push({ event: "ahead", serial });
      return;
    }
    this.send({ type: "READY", id: 0, serial: news.serial, revoked: news.revoked });
    this.#ready = true;
    for (const { serial, users } of news.then ?? []) this.revoked(serial, users);
    events.push({ event: "ready", proxy });
  }

  #accept(id: number, count: number, events: DbclientLinkEvent[]): boolean {
    if (id === 0) throw new WireError("bad_value", "request id", "is 0");
    if (this.#outstanding.has(id)) {
      throw new WireError("bad_value", "request id", `${id} is outstanding already`);
    }
    const { maxOutstanding = Infinity } = this.#options;
    if (this.#outstanding.size >= maxOutstanding) {
      const text = `more than ${maxOutstanding} requests in flight`;
      this.send({ type: "ERROR", id, code: "busy", text });
      events.push({ event: "refused", id, text });
      return false;
    }
    this.#outstanding.set(id, count);
    this.#items += count;
    return true;
  }

  protected override ended(): void {
    this.#outstanding.clear();
    this.#items = 0;
  }
}
