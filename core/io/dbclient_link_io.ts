/** The proxy's connection to its DBclients: kept alive by reconnecting, and by failing over (docs/PROTOCOL.md §9). */
import type { Identity } from "../chain/derive.ts";
import type { ChainAlgorithm } from "../hash/chain_hash.ts";
import { utf8Length } from "../wire/bytes.ts";
import { issueBatches, verifyBatches } from "../wire/batches.ts";
import { type LinkTimes, PROXY_LINK_TIMES, TEXT_LIMIT, type VerifyStatus } from "../wire/constants.ts";
import type { DigestAnswer } from "../wire/frame.ts";
import { type IssueResult, type ProxyLink, type ProxyLinkEvent, serialAfter } from "../wire/proxy_link.ts";
import { now, systemRandom } from "./clock_io.ts";
import {
  type DbclientConnectionOptions,
  type DbclientState,
  DbclientUnavailable,
} from "./dbclient_link_types.ts";
import { DbclientPeer, type DbclientRequest } from "./dbclient_peer_io.ts";
import { connectTcp } from "./dbclient_stream_io.ts";

/** Silence after which one DBclient of several counts as gone, milliseconds. */
const SILENCE_OF_SEVERAL = 1000;
/** After a loss new requests wait for a link for so long before they are refused at once, milliseconds. */
const GRACE = 1000;
/** Requests that may wait for a link. */
const MAX_HELD = 4096;
/** A request that so many links were lost with may be what ends them. */
const MAX_LOSSES = 4;
const INVALID_NAME: IssueResult = { status: "error", code: "invalid_name" };

/**
 * A connection to one DBclient or several that heals itself. It starts to connect when it is made. Requests go to the
 * first DBclient whose link is open; those that a link leaves unanswered at its end are asked again, elsewhere or on
 * the next link, until their deadline: issuing and checking may be done twice. While there has been no link for a
 * second, requests are rejected at once, so that the caller decides what to do without DBclient.
 *
 * @example
 * ```ts ignore
 * const dbclient = new DbclientConnection({ addresses: [{ host: "127.0.0.1", port: 19760 }], sha256 });
 * await dbclient.whenConnected(1000);
 * const [result] = await dbclient.issue("SHA-1", [{ username: "alice", realm: "example.com" }]);
 * ```
 */
export class DbclientConnection {
  readonly #options: DbclientConnectionOptions;
  readonly #peers: readonly DbclientPeer[];
  #keys: readonly Uint8Array[];
  /** Requests that wait for a link. */
  readonly #held = new Set<DbclientRequest>();
  #heldTimer: ReturnType<typeof setTimeout> | undefined;
  #lostAt = -Infinity;
  #serial: number;
  #chain: { n: number; ttl: number } | undefined;
  #closed = false;
  #said: boolean | undefined;
  readonly #saidOf = new Map<string, boolean>();
  readonly #onConnected = new Set<() => void>();

  constructor(options: DbclientConnectionOptions) {
    const { addresses, name = "proxy", backoff = { min: 50, max: 2000 }, connect = connectTcp } = options;
    if (addresses.length === 0) throw new RangeError("a DbclientConnection needs an address");
    if (utf8Length(name) > TEXT_LIMIT["proxy name"]) {
      throw new RangeError(`the proxy's name has more than ${TEXT_LIMIT["proxy name"]} bytes`);
    }
    this.#options = options;
    this.#keys = options.keys ?? [];
    this.#serial = options.serial ?? 0;
    const times = linkTimes(options);
    this.#peers = addresses.map((address, i) =>
      new DbclientPeer({
        address,
        backoff,
        connect,
        linkOptions: () => ({
          name,
          keys: this.#keys,
          sha256: options.sha256,
          random: systemRandom,
          serial: this.#serial,
          times,
        }),
        onEvent: (event) => this.#take(event),
        onOpen: () => this.#opened(this.#peers[i]),
        onLost: (reason, requests) => this.#lost(this.#peers[i], reason, requests),
      })
    );
  }

  /** Whether requests can be sent now. */
  get connected(): boolean {
    return this.#peers.some(({ open }) => open);
  }

  /** Every DBclient, the preferred one first: whether its link is open, and if not, why. */
  get peers(): DbclientState[] {
    return this.#peers.map(({ name, open, failed = "not connected yet" }) =>
      open ? { name, up: true } : { name, up: false, reason: failed }
    );
  }

  /** Requests without an answer yet. */
  get waiting(): number {
    return this.#peers.reduce((sum, { waiting }) => sum + waiting, this.#held.size);
  }

  /** The revocation serial up to which everything is known. */
  get serial(): number {
    return this.#serial;
  }

  /** DBclient's chain length and lifetime in seconds, as of the last connection. */
  get chain(): { readonly n: number; readonly ttl: number } | undefined {
    return this.#chain;
  }

  /** Changes the keys, best first, for the links made from now on; those that are open stay. */
  setKeys(keys: readonly Uint8Array[]): void {
    this.#keys = keys;
  }

  /** Whether it is connected within `ms` milliseconds. */
  whenConnected(ms: number): Promise<boolean> {
    if (this.connected || this.#closed) return Promise.resolve(this.connected);
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.#onConnected.delete(done);
        resolve(this.connected);
      };
      const timer = setTimeout(done, ms);
      this.#onConnected.add(done);
    });
  }

  /**
   * Asks for a credential for each user, any number of them. A name that is too long for the protocol has the
   * result `invalid_name`: no such user can exist.
   *
   * @param deadline milliseconds, default that of the options
   * @returns results by position
   * @throws {DbclientUnavailable} (rejects) when there is no answer
   */
  async issue(
    algorithm: ChainAlgorithm,
    users: readonly Identity[],
    deadline?: number,
  ): Promise<IssueResult[]> {
    const { parts, spread } = issueBatches(users);
    const results = await this.#request<IssueResult>(
      parts.map((part) => (link, at) => link.issue(algorithm, part, at)),
      deadline,
    );
    return spread(results, INVALID_NAME);
  }

  /**
   * Has Digest answers checked, any number of them. One with a field that is too long for the protocol is `malformed`.
   *
   * @returns statuses by position
   * @throws {DbclientUnavailable} (rejects) when there is no answer
   */
  async verify(answers: readonly DigestAnswer[], deadline?: number): Promise<VerifyStatus[]> {
    const { parts, spread } = verifyBatches(answers);
    const statuses = await this.#request<VerifyStatus>(
      parts.map((part) => (link, at) => link.verify(part, at)),
      deadline,
    );
    return spread(statuses, "malformed");
  }

  /** Ends it; what is outstanding is rejected. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#heldTimer);
    for (const request of this.#held) request.reject(new DbclientUnavailable("closed"));
    this.#held.clear();
    await Promise.all(this.#peers.map((peer) => peer.close()));
    for (const done of [...this.#onConnected]) done();
  }

  async #request<T>(
    sends: ((link: ProxyLink, deadline: number) => number)[],
    ms = this.#options.deadline ?? 2000,
  ): Promise<T[]> {
    const deadline = now() + ms;
    const parts = sends.map((send) =>
      new Promise<readonly T[]>((resolve, reject) =>
        this.#place({
          deadline,
          losses: 0,
          send: (link) => send(link, deadline),
          resolve: resolve as DbclientRequest["resolve"],
          reject,
        })
      )
    );
    this.#flush();
    return (await Promise.all(parts)).flat();
  }

  /** Asks the first DBclient that can be asked; else the request waits for a link, or is rejected. */
  #place(request: DbclientRequest): void {
    const reject = (text: string) => request.reject(new DbclientUnavailable(text));
    const peer = this.#peers.find(({ free }) => free);
    if (peer !== undefined) return peer.ask(request);
    if (this.connected) return reject("too many requests are waiting for DBclient");
    const time = now();
    // Without a link, but none of us has been told yet: it was lost just now.
    const mayWait = request.losses > 0 || this.#said === true || time < this.#lostAt + GRACE;
    if (this.#closed || !mayWait || time >= request.deadline) return reject("not connected to DBclient");
    if (this.#held.size >= MAX_HELD) return reject("too many requests are waiting for DBclient");
    this.#held.add(request);
    this.#heldTimer ??= setTimeout(() => this.#giveUpHeld(), request.deadline - time);
  }

  #giveUpHeld(): void {
    this.#heldTimer = undefined;
    const time = now();
    let earliest = Infinity;
    for (const request of this.#held) {
      if (request.deadline <= time) {
        this.#held.delete(request);
        request.reject(new DbclientUnavailable("no DBclient within the deadline"));
      } else earliest = Math.min(earliest, request.deadline);
    }
    if (earliest < Infinity) this.#heldTimer = setTimeout(() => this.#giveUpHeld(), earliest - time);
  }

  #flush(): void {
    for (const peer of this.#peers) peer.flush();
  }

  #opened(peer: DbclientPeer): void {
    this.#sayOf(peer, true, "");
    this.#say(true, peer.name);
    for (const done of [...this.#onConnected]) done();
    clearTimeout(this.#heldTimer);
    this.#heldTimer = undefined;
    const held = [...this.#held];
    this.#held.clear();
    for (const request of held) this.#place(request);
    this.#flush();
  }

  #lost(peer: DbclientPeer, reason: string, requests: readonly DbclientRequest[]): void {
    if (this.#said && !this.connected) this.#lostAt = now();
    for (const request of requests) {
      if (++request.losses >= MAX_LOSSES) request.reject(new DbclientUnavailable(reason));
      else this.#place(request);
    }
    this.#flush();
    if (this.#closed) return;
    this.#sayOf(peer, false, reason);
    if (this.#peers.every(({ failed, open }) => failed !== undefined && !open)) {
      this.#say(false, this.#peers.map(({ name, failed }) => `${name}: ${failed}`).join("; "));
    }
  }

  #take(event: Extract<ProxyLinkEvent, { event: "ready" | "revoked" }>): void {
    if (event.event === "ready") this.#chain = { n: event.n, ttl: event.ttl };
    // Several DBclients read one table of revocations, one of them sooner than the other.
    this.#serial = serialAfter(this.#serial, event);
    const users = event.event === "ready" ? event.revoked : event.users;
    if (users === "all" || users.length > 0) {
      guarded(() => this.#options.onRevoked?.(event.serial, users));
    }
  }

  #say(connected: boolean, text: string): void {
    if (this.#said === connected) return;
    this.#said = connected;
    guarded(() => this.#options.onState?.(connected, text));
  }

  #sayOf({ name }: DbclientPeer, connected: boolean, text: string): void {
    if (this.#peers.length === 1 || this.#saidOf.get(name) === connected) return;
    this.#saidOf.set(name, connected);
    guarded(() => this.#options.onPeer?.(name, connected, text));
  }
}

/** Of several, a silent one has to be left early enough for another to answer within the deadline. */
function linkTimes({ addresses, silence, deadline = 2000 }: DbclientConnectionOptions): LinkTimes {
  const dead = silence ?? (addresses.length > 1 ? Math.min(SILENCE_OF_SEVERAL, deadline / 2) : undefined);
  return dead === undefined ? PROXY_LINK_TIMES : { ...PROXY_LINK_TIMES, ping: dead / 2, dead };
}

/** A fault of whoever listens is no fault of the connection. */
function guarded(tell: () => void): void {
  try {
    tell();
  } catch (error) {
    reportError(error);
  }
}
