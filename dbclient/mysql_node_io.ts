/** One node of a cluster: its connections, and how good it is just now. */
import { now } from "../mod.ts";
import { MysqlConnection, type MysqlLogin } from "./mysql_connection_io.ts";
import { explain, MysqlError, nodeName } from "./mysql_error.ts";
import { nodeHealth, type NodeStatus } from "./mysql_health.ts";
import { quoted, type Statement } from "./mysql_sql.ts";
import type { NodeRank } from "./subscriber.ts";

/** Between two looks at a node, ms; with PING_TIMEOUT less than a second until a node that hangs is left. */
const CHECK_INTERVAL = 500;
/** For the answer to a look, ms. */
const PING_TIMEOUT = 400;
/** For connecting, ms: in the background, so that it may take the time that a far database needs. */
const CONNECT_TIMEOUT = 2000;
/** How long a node that answered late stays behind the others, ms; doubled while it goes on. */
const LATE_PENALTY = 1000;
const LATE_PENALTY_MAX = 16_000;
/** Patience with a question before the next node is asked as well, ms: so many times what is usual, within limits. */
const PATIENCE_FACTOR = 4;
const PATIENCE_MIN = 250;
const PATIENCE_MAX = 800;
/** Share of the last answer in the usual time. */
const SMOOTHING = 1 / 8;

const STATUS = [
  "SHOW GLOBAL STATUS WHERE Variable_name IN ('wsrep_provider_name', 'wsrep_cluster_status', 'wsrep_ready', " +
  "'wsrep_local_state', 'wsrep_local_state_comment')",
  "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('read_only', 'super_read_only')",
];

/**
 * Makes a node of Galera answer only when it has what was committed at any node before: a row must not be older than the
 * revocation serial that another node gave. Other servers do not know it.
 */
const SYNC: Statement = { sql: "SET SESSION wsrep_sync_wait = 1", values: [] };

/** A node. Until its first look has ended it is `suspect`. */
export class MysqlNode {
  readonly name: string;
  /** Why it is not good. */
  why = "it has not answered yet";
  /** What the last failed look has found. */
  problem: MysqlError | undefined;
  /** Ends with the first look. */
  readonly firstLook: Promise<void>;
  #rank: NodeRank = "suspect";
  #said: NodeRank = "good";
  readonly #idle: MysqlConnection[] = [];
  readonly #all = new Set<MysqlConnection>();
  #watch: MysqlConnection | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #looking = false;
  #closed = false;
  /** Whether it knows {@linkcode SYNC}; undefined: not asked yet. */
  #syncs: boolean | undefined;
  /** Usual time for an answer, ms. */
  #usual = 0;
  #behindUntil = -Infinity;
  #penalty = LATE_PENALTY;

  constructor(readonly login: MysqlLogin, private readonly log: (line: string) => void) {
    this.name = nodeName(login);
    this.firstLook = this.#look();
  }

  get rank(): NodeRank {
    return this.#rank;
  }

  /** How long to wait for an answer before another node is asked too, ms. */
  get patience(): number {
    return Math.min(PATIENCE_MAX, Math.max(PATIENCE_MIN, this.#usual * PATIENCE_FACTOR));
  }

  /**
   * Runs statements on a connection of its own.
   *
   * @param timeout ms; then the connection is cut
   * @throws {MysqlError} (rejects)
   */
  async execute(statements: readonly Statement[], timeout: number): Promise<unknown[][][]> {
    const started = now();
    const connection = await this.#connection();
    const timer = setTimeout(() => connection.cut(`no answer within ${timeout} ms`), timeout);
    try {
      const rows = await connection.execute(statements);
      const took = now() - started;
      this.#usual = this.#usual === 0 ? took : this.#usual + (took - this.#usual) * SMOOTHING;
      return rows;
    } finally {
      clearTimeout(timer);
      if (connection.usable && !this.#closed) this.#idle.push(connection);
      else this.#drop(connection);
    }
  }

  /** It has not answered in time: others come first for a while. */
  late(): void {
    const time = now();
    // Several answers are late together: that is one time.
    if (time < this.#behindUntil) return;
    const again = time < this.#behindUntil + LATE_PENALTY_MAX;
    this.#penalty = again ? Math.min(2 * this.#penalty, LATE_PENALTY_MAX) : LATE_PENALTY;
    this.#behindUntil = time + this.#penalty;
    this.#become("suspect", `no answer within ${Math.round(this.patience)} ms`);
    this.#lookNow();
  }

  /** A question has failed: the next look says what is the matter. */
  failed(error: MysqlError): void {
    if (this.#rank === "down") return;
    this.#become("suspect", error.message);
    this.#lookNow();
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    const connections = [...this.#all];
    await Promise.all(
      connections.map((connection) =>
        this.#rank === "down" ? connection.cut("closed") : Promise.race([
          connection.end(),
          new Promise<void>((resolve) => setTimeout(resolve, PING_TIMEOUT)),
        ])
      ),
    );
    for (const connection of this.#all) connection.cut("closed");
  }

  async #connection(): Promise<MysqlConnection> {
    for (let idle = this.#idle.pop(); idle !== undefined; idle = this.#idle.pop()) {
      if (idle.usable) return idle;
      this.#drop(idle);
    }
    const connection = await this.#open();
    if (this.#syncs !== false) this.#syncs = await connection.execute([SYNC]).then(() => true, () => false);
    return connection;
  }

  async #open(): Promise<MysqlConnection> {
    const connection = await MysqlConnection.open(this.login, CONNECT_TIMEOUT);
    this.#all.add(connection);
    if (this.#closed) this.#cutAll("closed");
    return connection;
  }

  #drop(connection: MysqlConnection): void {
    this.#all.delete(connection);
    connection.cut("given up");
  }

  #cutAll(reason: string): void {
    const connections = [...this.#all];
    this.#all.clear();
    this.#idle.length = 0;
    this.#watch = undefined;
    for (const connection of connections) connection.cut(reason);
  }

  #become(rank: NodeRank, why: string): void {
    if (this.#closed) return;
    this.#rank = rank;
    this.why = why;
    // A look follows at once: what it finds is said.
    if (rank === "suspect" && now() >= this.#behindUntil) return;
    if (rank === this.#said) return;
    this.#said = rank;
    this.log(
      `database node ${this.name}: ${rank === "good" ? "in use again" : `left if there is another: ${why}`}`,
    );
  }

  #lookNow(): void {
    if (this.#looking || this.#closed) return;
    clearTimeout(this.#timer);
    this.#look();
  }

  /** Looks at the node; never rejects. */
  async #look(): Promise<void> {
    this.#looking = true;
    let timer: ReturnType<typeof setTimeout> | undefined;
    try {
      const watch = this.#watch?.usable ? this.#watch : this.#watch = await this.#open();
      timer = setTimeout(() => watch.cut(`no answer within ${PING_TIMEOUT} ms`), PING_TIMEOUT);
      const probe = `SELECT 1 FROM ${quoted(this.login.table)} LIMIT 1`;
      const ask = (sql: string) => watch.driver.query<[string, string][]>({ sql, rowsAsArray: true });
      const [probed, ...shown] = await Promise.allSettled([probe, ...STATUS].map(ask));
      clearTimeout(timer);
      const status: NodeStatus = new Map(
        shown.flatMap((result) => result.status === "fulfilled" ? result.value : [])
          .map(([name, value]) => [name.toLowerCase(), String(value)]),
      );
      const { rank, why } = nodeHealth(status);
      // A Galera node without its group says why it refuses the table.
      if (probed.status === "rejected" && rank !== "down") throw probed.reason;
      this.problem = rank === "down" ? new MysqlError(`${this.name}: ${why}`, false) : undefined;
      if (now() >= this.#behindUntil || rank === "down") this.#become(rank, why);
      // So that the first question after another node is gone need not wait for a connection.
      if (rank !== "down" && this.#idle.length === 0 && this.#all.size === 1) {
        this.#idle.push(await this.#open());
      }
    } catch (error) {
      this.problem = explain(error, this.login);
      this.#cutAll(this.problem.message);
      this.#become("down", this.problem.message);
    } finally {
      clearTimeout(timer);
      this.#looking = false;
      if (!this.#closed) this.#timer = setTimeout(() => this.#look(), CHECK_INTERVAL);
    }
  }
}
