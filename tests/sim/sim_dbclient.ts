/** DBclient without sockets: the real issuer and Digest checker on subscribers in memory, on virtual time. */
import {
  type ChainAlgorithm,
  chainSeed,
  type DigestAnswer,
  ha1,
  type HashBackend,
  type Identity,
  type Random,
  toHex,
  type VerifyStatus,
} from "../../mod.ts";
import { DigestChecker, digestColumn } from "../../dbclient/digest_check.ts";
import { columnOf, Issuer } from "../../dbclient/issuer.ts";
import type { HashColumn, Subscriber } from "../../dbclient/subscriber.ts";
import type { IssueOutcome, IssueService } from "../../proxy/issue_service.ts";
import type { VerifyService } from "../../proxy/digest_authenticator.ts";
import type { EventQueue } from "./event_queue.ts";

/** Who is told of revocations. */
type OnRevoked = (serial: number, users: readonly Identity[]) => void;
type IssueDone = Parameters<IssueService["issue"]>[2];
type VerifyDone = Parameters<VerifyService["verify"]>[1];

/** How long a proxy waits for an answer that does not come, ms. */
const DEADLINE = 2000;

/** One user asked for in an ISSUE frame. */
export interface Question {
  readonly at: number;
  readonly proxy: string;
  readonly username: string;
}

/** The service. */
export class SimDbclient {
  /** Way there and back, ms. */
  delay = 4;
  /** It takes questions and never answers: the proxy's deadline ends them. */
  silent = false;
  /** Every user asked for in ISSUE frames that reached it. */
  readonly questions: Question[] = [];
  verifyQuestions = 0;
  frames = 0;
  /** Most questions that were open at one time for one user and proxy. */
  mostInFlight = 0;
  /** Revocations reach proxies after this time, ms. */
  revocationDelay = 2;
  /** Every value of every chain issued: hex of the value to its place. */
  readonly places = new Map<string, { readonly nonce: string; readonly index: number }>();
  keepPlaces = false;
  readonly #issuer: Issuer;
  readonly #checker: DigestChecker;
  readonly #passwords = new Map<string, string>();
  readonly #revocations: { readonly serial: number; readonly user: Identity }[] = [];
  readonly #links = new Set<SimLink>();
  readonly #inFlight = new Map<string, number>();
  #up = true;
  /** Grows with every outage: answers do not survive one. */
  epoch = 0;

  constructor(
    readonly queue: EventQueue,
    readonly hashes: HashBackend,
    random: Random,
    readonly n: number,
    readonly ttl: number,
  ) {
    this.#issuer = new Issuer({ hashes, n, ttl, secret: random.bytes(32), random });
    this.#checker = new DigestChecker(hashes, this.#issuer);
  }

  get up(): boolean {
    return this.#up;
  }

  get serial(): number {
    return this.#revocations.length;
  }

  /** Ends every connection, or lets proxies connect again: they learn then what was revoked meanwhile. */
  setUp(up: boolean): void {
    if (this.#up && !up) this.epoch++;
    this.#up = up;
    if (up) { for (const link of this.#links) this.#tell(link); }
  }

  /** Adds a user, or changes a password; a change revokes. */
  set(user: Identity, password: string): void {
    const known = this.#passwords.has(keyOf(user));
    this.#passwords.set(keyOf(user), password);
    if (known) this.#revoke(user);
  }

  remove(user: Identity): void {
    this.#passwords.delete(keyOf(user));
    this.#revoke(user);
  }

  /** The connection of one run of a proxy. */
  connect(proxy: string, onRevoked: OnRevoked, warmUp: ReadonlyMap<string, IssueOutcome>): SimLink {
    const link = new SimLink(this, proxy, onRevoked, new Map(warmUp), this.serial);
    this.#links.add(link);
    return link;
  }

  disconnect(link: SimLink): void {
    this.#links.delete(link);
  }

  #revoke(user: Identity): void {
    this.#revocations.push({ serial: this.serial + 1, user });
    this.queue.after(this.revocationDelay, () => {
      for (const link of this.#links) if (this.#up) this.#tell(link);
    });
  }

  #tell(link: SimLink): void {
    const fresh = this.#revocations.slice(link.serial);
    if (fresh.length === 0) return;
    link.serial = this.serial;
    for (const { serial, user } of fresh) link.onRevoked(serial, [user]);
  }

  issue(algorithm: ChainAlgorithm, users: readonly Identity[]): IssueOutcome[] {
    const rows = users.map((user) => this.#row(user, columnOf(algorithm)));
    const { results } = this.#issuer.issue(algorithm, users, rows, this.serial);
    return results.map((result, i): IssueOutcome => {
      if (result.status !== "ok") return result;
      const { nonce, n, anchor, key, ttl, serial } = result.credential;
      if (this.keepPlaces) this.#keepPlaces(algorithm, users[i], rows[i], nonce, n);
      return { status: "ok", credential: { ...users[i], algorithm, nonce, n, anchor, key }, ttl, serial };
    });
  }

  verify(answers: readonly DigestAnswer[]): VerifyStatus[] {
    return answers.map((answer) => {
      const column = digestColumn(answer);
      if (column === undefined) return "malformed";
      this.verifyQuestions++;
      return this.#checker.check(answer, this.#row(answer, column), column);
    });
  }

  count(proxy: string, users: readonly Identity[], change: 1 | -1): void {
    for (const user of users) {
      const key = `${proxy}\n${keyOf(user)}`;
      const open = (this.#inFlight.get(key) ?? 0) + change;
      this.#inFlight.set(key, open);
      this.mostInFlight = Math.max(this.mostInFlight, open);
      if (change > 0) this.questions.push({ at: this.queue.now, proxy, username: user.username });
    }
    if (change > 0) this.frames++;
  }

  #row({ username, realm }: Identity, column: HashColumn): Subscriber | undefined {
    const password = this.#passwords.get(keyOf({ username, realm }));
    if (password === undefined) return undefined;
    const hash = this.hashes.get(column === "ha1" ? "MD5" : "SHA-256");
    return { username, realm, hash: ha1(hash, { username, realm }, password) };
  }

  #keepPlaces(
    algorithm: ChainAlgorithm,
    user: Identity,
    row: Subscriber | undefined,
    nonce: Uint8Array,
    n: number,
  ): void {
    const hash = this.hashes.get(algorithm);
    const { secret } = this.#issuer.secretOf(user, row, columnOf(algorithm));
    const chain = hash.chain(nonce, chainSeed(hash, secret, nonce, n), n);
    for (let index = 0; index < n; index++) {
      const value = toHex(chain.subarray(index * hash.size, (index + 1) * hash.size));
      this.places.set(value, { nonce: toHex(nonce), index });
    }
  }
}

/** One run of a proxy as DBclient's peer. */
export class SimLink implements IssueService, VerifyService {
  /** The last credential that this run got for each user: what a warm-up file would hold. */
  readonly received = new Map<string, IssueOutcome>();

  constructor(
    private readonly dbclient: SimDbclient,
    private readonly proxy: string,
    readonly onRevoked: OnRevoked,
    private readonly warmUp: Map<string, IssueOutcome>,
    public serial: number,
  ) {}

  get connected(): boolean {
    return this.dbclient.up;
  }

  issue(algorithm: ChainAlgorithm, users: readonly Identity[], done: IssueDone): void {
    const known = users.map((user) => {
      const outcome = this.warmUp.get(keyOf(user));
      this.warmUp.delete(keyOf(user));
      return outcome;
    });
    const asked = users.filter((_, i) => known[i] === undefined);
    this.#ask(asked, () => this.dbclient.issue(algorithm, asked), (outcomes, now) => {
      let next = 0;
      const all = known.map((outcome) => outcome ?? outcomes?.[next++]);
      users.forEach((user, i) => all[i] && this.received.set(keyOf(user), all[i]));
      done(all.includes(undefined) ? undefined : all as IssueOutcome[], now);
    });
  }

  verify(answers: readonly DigestAnswer[], done: VerifyDone): void {
    this.#ask(undefined, () => this.dbclient.verify(answers), done);
  }

  #ask<T>(
    users: readonly Identity[] | undefined,
    work: () => T[],
    done: (outcomes: T[] | undefined, now: number) => void,
  ): void {
    const { dbclient, proxy } = this;
    const { queue, delay } = dbclient;
    if (users?.length === 0) return queue.after(0, () => done([], queue.now));
    if (!dbclient.up) return queue.after(0, () => done(undefined, queue.now));
    const { epoch } = dbclient;
    if (users !== undefined) dbclient.count(proxy, users, 1);
    let outcomes: T[] | undefined;
    // The rows are read on the half way: what changes later, the answer does not know.
    if (!dbclient.silent) queue.after(delay / 2, () => outcomes = work());
    queue.after(dbclient.silent ? DEADLINE : delay, () => {
      if (users !== undefined) dbclient.count(proxy, users, -1);
      done(dbclient.epoch === epoch ? outcomes : undefined, queue.now);
    });
  }
}

function keyOf({ username, realm }: Identity): string {
  return `${realm}\n${username}`;
}
