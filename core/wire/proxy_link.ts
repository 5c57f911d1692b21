/** The proxy's end of a DBclient link, without I/O: bytes in, events and bytes out (docs/PROTOCOL.md §9). */
import type { Credential, Identity } from "../chain/derive.ts";
import type { ChainAlgorithm, ChainHash } from "../hash/chain_hash.ts";
import type { Random } from "../random.ts";
import { WireError } from "./bytes.ts";
import {
  type ErrorName,
  HANDSHAKE_FRAME_LENGTH,
  HANDSHAKE_RANDOM_BYTES,
  type IssueErrorName,
  type LinkTimes,
  MAX_FRAME_LENGTH,
  PROXY_LINK_TIMES,
  type VerifyStatus,
} from "./constants.ts";
import type { DigestAnswer, Frame, HelloFrame, IssuedFrame, WelcomeFrame } from "./frame.ts";
import { handshakeProof, keyOfProof } from "./handshake.ts";
import { type LinkClosed, LinkEnd, PROXY_LINK_TABLE, type ProxyLinkState } from "./link.ts";

/** A credential as the proxy gets it. */
export interface IssuedCredential extends Credential {
  /** Time to live in seconds, counted from its arrival. */
  readonly ttl: number;
  /** The revocation serial read before the user's row; older than the user's last revocation: drop it. */
  readonly serial: number;
}

/** The answer for one user of an ISSUE. */
export type IssueResult =
  | { readonly status: "ok"; readonly credential: IssuedCredential }
  | { readonly status: "error"; readonly code: IssueErrorName };

/** What happens on the proxy's end. */
export type ProxyLinkEvent =
  | {
    readonly event: "ready";
    /** DBclient's chain length and lifetime in seconds. */
    readonly n: number;
    readonly ttl: number;
    readonly serial: number;
    /** Credentials of these users are void. */
    readonly revoked: readonly Identity[] | "all";
  }
  | { readonly event: "issued"; readonly id: number; readonly results: readonly IssueResult[] }
  | { readonly event: "verified"; readonly id: number; readonly statuses: readonly VerifyStatus[] }
  /** Credentials of these users are void if their serial is below this one; no users: see {@linkcode serialAfter}. */
  | { readonly event: "revoked"; readonly serial: number; readonly users: readonly Identity[] }
  /** A request has no answer: past its deadline, refused by an ERROR frame, or the link has ended. */
  | {
    readonly event: "failed";
    readonly id: number;
    readonly reason: "deadline" | "refused" | "closed";
    readonly text: string;
  }
  | LinkClosed;

/**
 * The revocation serial up to which a proxy knows everything: what it says in its next HELLO (docs/PROTOCOL.md §9). One
 * DBclient may have read the table sooner than another; only a table that is another altogether takes it back.
 *
 * @param serial before the event
 */
export function serialAfter(
  serial: number,
  event: Extract<ProxyLinkEvent, { readonly event: "ready" | "revoked" }>,
): number {
  if (event.event === "ready") return event.revoked === "all" ? event.serial : Math.max(serial, event.serial);
  return event.users.length === 0 ? Math.max(serial, event.serial) : serial;
}

/** What a {@linkcode ProxyLink} needs. */
export interface ProxyLinkOptions {
  /** The proxy's name: keys belong to it. */
  readonly name: string;
  /** Keys that the proxy has, best first; none: no proof is asked for or given. */
  readonly keys: readonly Uint8Array[];
  /** The SHA-256 backend, for the proofs. */
  readonly sha256: ChainHash;
  readonly random: Random;
  /** The last revocation serial seen; 0: none. */
  readonly serial: number;
  readonly times?: LinkTimes;
  /** Requests outstanding at once, default 4096. */
  readonly maxOutstanding?: number;
}

type Outstanding =
  | {
    readonly kind: "issue";
    readonly deadline: number;
    readonly algorithm: ChainAlgorithm;
    readonly users: readonly Identity[];
  }
  | { readonly kind: "verify"; readonly deadline: number; readonly count: number };

/** The proxy's end of one connection. */
export class ProxyLink extends LinkEnd<ProxyLinkState, ProxyLinkEvent> {
  readonly #options: ProxyLinkOptions;
  readonly #hello: HelloFrame;
  #welcome: WelcomeFrame | undefined;
  readonly #outstanding = new Map<number, Outstanding>();
  #nextId = 1;
  #earliest = Infinity;

  /** @param now milliseconds; the connection has just been made. The HELLO frame is in {@linkcode takeOutput}. */
  constructor(options: ProxyLinkOptions, now: number) {
    const times = options.times ?? PROXY_LINK_TIMES;
    super(PROXY_LINK_TABLE, "await_welcome", "open", "closed", times, now, HANDSHAKE_FRAME_LENGTH);
    this.#options = options;
    const random = options.random.bytes(HANDSHAKE_RANDOM_BYTES);
    this.#hello = { type: "HELLO", id: 0, proxy: options.name, random, serial: options.serial };
    this.send(this.#hello);
  }

  /** Requests that wait for their answer. */
  get outstanding(): number {
    return this.#outstanding.size;
  }

  /** Whether another request may be sent now. */
  get free(): boolean {
    return this.open && this.#outstanding.size < (this.#options.maxOutstanding ?? 4096);
  }

  /**
   * Asks for credentials of 1 … 1000 users.
   *
   * @param deadline when to give up, on the clock of `now`
   * @returns the request id that the answer's event carries
   * @throws {RangeError} when a name is too long for its field or the link is not {@linkcode free}
   */
  issue(algorithm: ChainAlgorithm, users: readonly Identity[], deadline: number): number {
    const id = this.#newId();
    this.send({ type: "ISSUE", id, algorithm, users });
    this.#wait(id, { kind: "issue", algorithm, users, deadline });
    return id;
  }

  /** Has 1 … 1000 Digest answers checked; otherwise as {@linkcode issue}. */
  verify(answers: readonly DigestAnswer[], deadline: number): number {
    const id = this.#newId();
    this.send({ type: "VERIFY", id, answers });
    this.#wait(id, { kind: "verify", count: answers.length, deadline });
    return id;
  }

  override advance(now: number): ProxyLinkEvent[] {
    const events = super.advance(now);
    if (now >= this.#earliest) {
      this.#earliest = Infinity;
      for (const [id, { deadline }] of this.#outstanding) {
        if (deadline <= now) {
          this.#outstanding.delete(id);
          events.push({ event: "failed", id, reason: "deadline", text: "no answer within the deadline" });
        } else this.#earliest = Math.min(this.#earliest, deadline);
      }
    }
    return events;
  }

  override nextDue(): number {
    return Math.min(super.nextDue(), this.#earliest);
  }

  #newId(): number {
    if (!this.free) throw new RangeError(`the link takes no request now (${this.state})`);
    while (this.#outstanding.has(this.#nextId)) this.#nextId = this.#nextId % 0xffffffff + 1;
    const id = this.#nextId;
    this.#nextId = id % 0xffffffff + 1;
    return id;
  }

  #wait(id: number, request: Outstanding): void {
    this.#outstanding.set(id, request);
    this.#earliest = Math.min(this.#earliest, request.deadline);
  }

  protected override handle(frame: Frame, events: ProxyLinkEvent[]): void {
    switch (frame.type) {
      case "WELCOME":
        return this.#authenticate(frame);
      case "READY": {
        const { n, ttl } = this.#welcome!;
        events.push({ event: "ready", n, ttl, serial: frame.serial, revoked: frame.revoked });
        return;
      }
      case "ISSUED":
        return this.#issued(frame, events);
      case "VERIFIED": {
        const request = this.#answered(frame.id, "verify");
        if (request === undefined) return;
        if (request.count !== frame.statuses.length) {
          throw new WireError(
            "bad_value",
            "count",
            `${frame.statuses.length} statuses for ${request.count} answers`,
          );
        }
        events.push({ event: "verified", id: frame.id, statuses: frame.statuses });
        return;
      }
      case "REVOKED":
        events.push({ event: "revoked", serial: frame.serial, users: frame.users });
        return;
      case "PING":
        return this.send({ type: "PONG", id: frame.id });
      case "ERROR":
        return this.#refused(frame.id, frame.code, frame.text, events);
      default:
        return;
    }
  }

  #authenticate(welcome: WelcomeFrame): void {
    this.#welcome = welcome;
    const { keys, sha256 } = this.#options;
    const proofs: Uint8Array[] = [];
    if (keys.length > 0) {
      const key = keyOfProof(sha256, keys, "dbclient", this.#hello, welcome, welcome.proofs);
      if (key === undefined) {
        const why = welcome.proofs.length === 0
          ? "DBclient gives no proof of a key"
          : "DBclient has another key";
        throw new WireError("unauthorized", "proof", why);
      }
      proofs.push(handshakeProof(sha256, key, "proxy", this.#hello, welcome, welcome.proofs.length));
    } else if (welcome.proofs.length > 0) {
      throw new WireError("unauthorized", "proof", "DBclient asks for a key, but this proxy has none");
    }
    this.reader.maxLength = MAX_FRAME_LENGTH;
    this.send({ type: "AUTH", id: 0, proofs });
  }

  /** The request that an answer belongs to. An answer to a request that was given up is late, not wrong. */
  #answered<K extends Outstanding["kind"]>(
    id: number,
    kind: K,
  ): Extract<Outstanding, { kind: K }> | undefined {
    const request = this.#outstanding.get(id);
    if (request === undefined) return undefined;
    if (request.kind !== kind) throw new WireError("bad_value", "request id", `${id} is of another kind`);
    this.#outstanding.delete(id);
    return request as Extract<Outstanding, { kind: K }>;
  }

  #issued(frame: IssuedFrame, events: ProxyLinkEvent[]): void {
    const request = this.#answered(frame.id, "issue");
    if (request === undefined) return;
    const { algorithm, users } = request;
    if (users.length !== frame.results.length || algorithm !== frame.algorithm) {
      // It is given up with the link, like the others.
      this.#outstanding.set(frame.id, request);
      throw new WireError("bad_value", "count", "the answer does not match the ISSUE frame");
    }
    const results = frame.results.map((result, i): IssueResult => {
      if (result.status === "error") return result;
      const { username, realm } = users[i];
      return { status: "ok", credential: { algorithm, username, realm, ...result.credential } };
    });
    events.push({ event: "issued", id: frame.id, results });
  }

  #refused(id: number, code: ErrorName, text: string, events: ProxyLinkEvent[]): void {
    if (id === 0) return this.finish(events, { event: "closed", by: "peer", code, text });
    if (this.#outstanding.delete(id)) {
      events.push({ event: "failed", id, reason: "refused", text: `${code}: ${text}` });
    }
  }

  protected override ended(events: ProxyLinkEvent[], closed: LinkClosed): void {
    for (const id of this.#outstanding.keys()) {
      events.push({ event: "failed", id, reason: "closed", text: closed.text });
    }
    this.#outstanding.clear();
    this.#earliest = Infinity;
  }
}
