/**
 * Revocation on virtual time: transactions that overtake each other, two DBclients that read the table at times of their
 * own, a proxy that loses its link and comes back to either. The log, the frames, the proxy's cache and its source are
 * the real ones.
 */
import { assert, assertEquals } from "@std/assert";
import { type Credential, type Identity, MAX_ITEMS, seededRandom, serialAfter } from "../../mod.ts";
import {
  readyNews,
  RevocationLog,
  type RevocationRow,
  revokedFrames,
} from "../../dbclient/revocation_log.ts";
import { filled, newCache, REALM } from "../../proxy/cache/testing.ts";
import { CredentialSource } from "../../proxy/credential_source.ts";
import type { IssueOutcome, IssueService } from "../../proxy/issue_service.ts";
import { EventQueue } from "./event_queue.ts";
import { property } from "./seeds_io.ts";

const POLL = 1000;
/** Each way between proxy and DBclient, ms. */
const WAY = 20;
/** From the commit to the proxy that drops. */
const BOUND = 2000;
const USERS = 6;
const identity = (number: number): Identity => ({ username: `user${number}`, realm: REALM });

/** The subscriber table, and that of revocations. A user's version is its password. */
class Table {
  readonly versions = new Array<number>(USERS).fill(0);
  /** When each version was committed. */
  readonly committedAt: number[][] = Array.from({ length: USERS }, () => [0]);
  readonly #locked = new Set<number>();
  readonly rows = new Map<number, RevocationRow>();
  #nextId = 1000;

  constructor(private readonly queue: EventQueue) {}

  /** Changes a password in a transaction that takes a while; null: it is rolled back. */
  change(user: number, takes: number, rollBack: boolean): void {
    // The row of the user is locked, as databases do it.
    if (this.#locked.has(user)) return;
    this.#locked.add(user);
    const id = this.#nextId++;
    this.queue.after(takes, () => {
      this.#locked.delete(user);
      if (rollBack) return;
      this.rows.set(id, { id, username: `user${user}`, domain: REALM });
      this.versions[user]++;
      this.committedAt[user].push(this.queue.now);
    });
  }

  within(from: number, to: number): RevocationRow[] {
    return [...this.rows.values()].filter(({ id }) => id >= from && id <= to).sort((a, b) => a.id - b.id);
  }
}

/** A DBclient: reads the table each second, tells its proxy. */
class SimReader {
  readonly log = new RevocationLog();
  link: Link | undefined;

  constructor(readonly queue: EventQueue, readonly table: Table, phase: number) {
    this.log.load([], 0);
    const poll = () => {
      this.poll();
      queue.after(POLL, poll);
    };
    queue.after(phase, poll);
  }

  poll(): void {
    const { log, table, queue } = this;
    const { young, watched } = log.gaps(queue.now);
    const news = table.within((log.newest?.id ?? 0) + 1, Infinity);
    const late = [...watched, ...young].flatMap(({ from, to }) => table.within(from, to));
    const before = log.serial;
    const frames: { serial: number; users: readonly Identity[] }[] = revokedFrames(
      log.take(news, late, queue.now),
      log.serial,
      MAX_ITEMS,
    );
    if (log.serial !== before) frames.push({ serial: log.serial, users: [] });
    for (const frame of frames) this.link?.send(() => this.link?.revoked(frame));
  }

  /** A credential says in its bytes which password it was made of. */
  read({ username }: Identity): Credential {
    return filled(username, this.table.versions[Number(username.slice(4))] % 256);
  }
}

/** One connection: what DBclient sends arrives in order, or not at all. */
class Link {
  open = false;

  constructor(private readonly proxy: SimCachingProxy, readonly reader: SimReader) {}

  send(arrive: () => void): void {
    this.reader.queue.after(WAY, () => {
      if (this.proxy.link === this) arrive();
    });
  }

  revoked(frame: { readonly serial: number; readonly users: readonly Identity[] }): void {
    const { proxy } = this;
    if (!this.open) return;
    proxy.serial = serialAfter(proxy.serial, { event: "revoked", ...frame });
    if (frame.users.length > 0) proxy.source.revoked(frame.serial, frame.users);
  }

  /** HELLO to READY. */
  begin(): void {
    const { proxy, reader } = this;
    const { log } = reader;
    let news = readyNews(log, proxy.serial, false);
    if (news === "later") {
      reader.poll();
      news = readyNews(log, proxy.serial, true);
    }
    assert(news !== "later");
    reader.link = this;
    const { serial, revoked, then = [] } = news;
    assert(revoked !== "all", "nothing here is forgotten");
    this.send(() => {
      this.open = true;
      proxy.serial = serialAfter(proxy.serial, { event: "ready", n: 10, ttl: 1, serial, revoked });
      for (const frame of then) this.revoked(frame);
      proxy.connectedAt = reader.queue.now;
    });
  }
}

/** A proxy's cache with its source of credentials. */
class SimCachingProxy implements IssueService {
  readonly cache = newCache(64);
  readonly source: CredentialSource;
  link: Link | undefined;
  serial = 0;
  /** Since when it is connected, ms. */
  connectedAt = Infinity;
  dropped = 0;

  constructor(private readonly queue: EventQueue) {
    this.source = new CredentialSource(this.cache, this, {
      algorithm: "SHA-1",
      prefetching: false,
      prefetchDelayMs: 1000,
      lowWater: 1,
    });
  }

  get connected(): boolean {
    return this.link?.open === true;
  }

  connect(reader: SimReader): void {
    this.disconnect();
    this.link = new Link(this, reader);
    this.link.begin();
  }

  disconnect(): void {
    if (this.link !== undefined) this.link.reader.link = undefined;
    this.link = undefined;
    this.connectedAt = Infinity;
  }

  issue(
    _algorithm: string,
    users: readonly Identity[],
    done: (outcomes: readonly IssueOutcome[] | undefined, now: number) => void,
  ): void {
    const { queue, link } = this;
    if (link === undefined || !link.open) return queue.after(0, () => done(undefined, queue.now));
    const { reader } = link;
    queue.after(WAY, () => {
      // The serial is read before the row, and the credential made after it: each takes a while.
      const serials = users.map((user) => reader.log.serialOf(user));
      queue.after(users.length % 7 * 30, () => {
        const credentials = users.map((user) => reader.read(user));
        queue.after(users.length % 5 * 50, () => {
          link.send(() => {
            done(
              credentials.map((credential, i): IssueOutcome => ({
                status: "ok",
                credential,
                ttl: 100_000,
                serial: serials[i],
              })),
              queue.now,
            );
          });
          // A link that is gone answers nothing.
          queue.after(WAY, () => {
            if (this.link !== link) done(undefined, queue.now);
          });
        });
      });
    });
  }
}

property(
  "no credential of an old password is kept for 2 s, whatever overtakes what, at either DBclient",
  30,
  (seed) => {
    const random = seededRandom(seed);
    const queue = new EventQueue();
    const table = new Table(queue);
    const readers = [new SimReader(queue, table, 100), new SimReader(queue, table, 650)];
    const proxy = new SimCachingProxy(queue);
    proxy.connect(readers[0]);
    let kept = 0;
    for (let time = 0; time < 120_000; time += 50) {
      queue.run(50);
      if (random.below(12) === 0) {
        // Some transactions are longer than a gap holds the serial back.
        const takes = [5, 300, 3000, 15_000, 40_000][random.below(random.below(10) === 0 ? 5 : 3)];
        table.change(random.below(USERS), takes, random.below(8) === 0);
      }
      if (random.below(3) === 0) {
        const count = 1 + random.below(USERS);
        for (let i = 0; i < count; i++) {
          const { username, realm } = identity(random.below(USERS));
          const user = proxy.cache.getOrAdd(username, realm);
          if (user.newest === undefined || random.below(4) === 0) proxy.source.fetch(user, queue.now);
        }
        proxy.source.flush(queue.now);
      }
      if (random.below(200) === 0) proxy.disconnect();
      if (proxy.link === undefined && random.below(40) === 0) proxy.connect(readers[random.below(2)]);
      if (queue.now - proxy.connectedAt < BOUND) continue;
      for (let number = 0; number < USERS; number++) {
        const user = proxy.cache.peek(identity(number).username, REALM);
        if (user?.newest === undefined) continue;
        kept++;
        const version = parseInt(user.newest.nonceHex.slice(0, 2), 16);
        const since = table.committedAt[number][version + 1];
        assert(
          since === undefined || queue.now - since < BOUND,
          `at ${queue.now}: user${number} has version ${version}, void since ${since}`,
        );
      }
    }
    assert(kept > 500, `${kept} looks`);
    // In the end everybody gets the password in force.
    proxy.connect(readers[seed % 2]);
    queue.run(60_000);
    for (let number = 0; number < USERS; number++) {
      const { username, realm } = identity(number);
      proxy.cache.remove({ username, realm });
      proxy.source.fetch(proxy.cache.getOrAdd(username, realm), queue.now);
    }
    proxy.source.flush(queue.now);
    queue.run(1000);
    const found = Array.from(
      { length: USERS },
      (_, number) => proxy.cache.peek(`user${number}`, REALM)?.newest?.nonceHex.slice(0, 2),
    );
    assertEquals(
      found,
      table.versions.map((version) => (version % 256).toString(16).padStart(2, "0")),
    );
  },
);
