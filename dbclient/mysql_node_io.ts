/** One node of a cluster: its connections, and how good it is just now. */
import { now } from "../mod.ts";
import { MysqlConnection, type MysqlLogin } from "./mysql_connection_io.ts";
import { explain, MysqlError, nodeName } from "./mysql_error.ts";
import { nodeHealth, type NodeStatus } from "./mysql_health.ts";
import { quoted, type Statement } from "./mysql_sql.ts";
import { noAnswer, type NodeRank } from "./subscriber.ts";

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
/** How long a connection stays open without a question, ms; one stays for good. */
const IDLE_TIME = 5000;
/** Share of the last answer in the usual time. */
const SMOOTHING = 1 / 8;

const STATUS = [
  "SHOW GLOBAL STATUS WHERE Variable_name IN ('wsrep_provider_name', 'wsrep_cluster_status', 'wsrep_ready', " +
  "'wsrep_local_state', 'wsrep_local_state_comment')",
  "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('read_only', 'super_read_only')",
];

/**
 * Makes a node of Galera answer only when it has what was committed at any node before: a row must not be older than the
 * revocation serial that another node gave. The look at a node goes without, for it has to find one that lags.
 */
const SYNC: Statement = { sql: "SET SESSION wsrep_sync_wait = 1", values: [] };
/** What servers without Galera say to {@linkcode SYNC}. */
const UNKNOWN_VARIABLE = "ER_UNKNOWN_SYSTEM_VARIABLE";

/** A connection that nobody uses. */
interface Idle {
  readonly connection: MysqlConnection;
  /** By the monotonic clock, ms. */
  readonly since: number;
}

/** How statements are run. */
export interface NodeTask {
  /** By the monotonic clock, ms. */
  readonly deadline: number;
  /** It takes its time: it keeps none of the connections from others, and has one of its own. */
  readonly isSlow: boolean;
  /** A connection is free for it: what it waits for from now on is the node. */
  onTurn(): void;
}

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
  /** The one that was used last at the end. */
  readonly #idle: Idle[] = [];
  /** Connections in use; with the idle ones no more than `size`. */
  #taken = 0;
  /** Tasks that wait for a connection, in order. */
  readonly #waiting: PromiseWithResolvers<void>[] = [];
  readonly #all = new Set<MysqlConnection>();
  #watch: MysqlConnection | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #looking = false;
  #closed = false;
  /** Usual time for an answer, ms. */
  #usual = 0;
  #behindUntil = -Infinity;
  #penalty = LATE_PENALTY;

  /** @param size connections that are asked at once; one more is for looking at the node */
  constructor(
    readonly login: MysqlLogin,
    private readonly size: number,
    private readonly log: (line: string) => void,
  ) {
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
   * Runs statements on a connection that nobody else uses meanwhile; waits for one when all are in use. It is cut when
   * there is no answer at the deadline.
   *
   * @throws {StoreError} (rejects)
   */
  async execute(statements: readonly Statement[], task: NodeTask): Promise<unknown[][][]> {
    if (!task.isSlow) await this.#turn();
    try {
      const left = Math.ceil(task.deadline - now());
      if (left <= 0) throw noAnswer();
      task.onTurn();
      return await this.#run(statements, left, task.isSlow);
    } finally {
      if (!task.isSlow) this.#endTurn();
    }
  }

  /** It has not answered in time: others come first for a while. */
  late(): void {
    const time = now();
    this.#refuse(noAnswer());
    // Several answers are late together: that is one time.
    if (time < this.#behindUntil) return;
    const again = time < this.#behindUntil + LATE_PENALTY_MAX;
    this.#penalty = again ? Math.min(2 * this.#penalty, LATE_PENALTY_MAX) : LATE_PENALTY;
    this.#behindUntil = time + this.#penalty;
    this.#become("suspect", `no answer within ${Math.round(this.patience)} ms`);
    this.#lookNow();
  }

  /** A question has failed: the next look says what is the matter. */
  #failed(error: MysqlError): void {
    if (this.#rank === "down") return;
    this.#become("suspect", error.message);
    this.#lookNow();
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#refuse(new MysqlError(`${this.name}: closed`, false));
    await Promise.all(
      [...this.#all].map((one) => this.#rank === "down" ? one.cut("closed") : this.#end(one)),
    );
    for (const connection of this.#all) connection.cut("closed");
  }

  async #run(statements: readonly Statement[], timeout: number, isSlow: boolean): Promise<unknown[][][]> {
    const started = now();
    let connection: MysqlConnection | undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    try {
      const used = connection = isSlow ? await this.#open() : await this.#connection();
      timer = setTimeout(() => used.cut(`no answer within ${timeout} ms`), timeout);
      const rows = await used.execute(statements);
      const took = now() - started;
      if (!isSlow) this.#usual = this.#usual === 0 ? took : this.#usual + (took - this.#usual) * SMOOTHING;
      return rows;
    } catch (error) {
      this.#failed(error as MysqlError);
      throw error;
    } finally {
      clearTimeout(timer);
      if (connection === undefined || isSlow || this.#closed || !connection.usable) this.#drop(connection);
      else this.#idle.push({ connection, since: now() });
    }
  }

  /** Waits until one more connection may be in use: {@linkcode #endTurn} follows. */
  async #turn(): Promise<void> {
    if (this.#taken < this.size) {
      this.#taken++;
      return;
    }
    const waiting = Promise.withResolvers<void>();
    this.#waiting.push(waiting);
    await waiting.promise;
  }

  #endTurn(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#taken--;
    else next.resolve();
  }

  /** Those that wait for a connection go elsewhere. */
  #refuse(error: Error): void {
    for (const waiting of this.#waiting.splice(0)) waiting.reject(error);
  }

  async #connection(): Promise<MysqlConnection> {
    for (let idle = this.#idle.pop(); idle !== undefined; idle = this.#idle.pop()) {
      if (idle.connection.usable) return idle.connection;
      this.#drop(idle.connection);
    }
    return await this.#open();
  }

  /** Opens one so that the first question after another node is gone need not wait for it. */
  async #openSpare(): Promise<void> {
    if (this.#idle.length + this.#taken > 0) return;
    this.#taken++;
    try {
      this.#idle.push({ connection: await this.#open(), since: now() });
    } finally {
      this.#endTurn();
    }
  }

  /** Ends those that were not used for long. */
  #endIdle(): void {
    while (this.#idle.length > 1 && this.#idle[0].since + IDLE_TIME <= now()) {
      this.#end(this.#idle.shift()!.connection);
    }
  }

  async #end(connection: MysqlConnection): Promise<void> {
    await Promise.race([
      connection.end(),
      new Promise<void>((resolve) => setTimeout(resolve, PING_TIMEOUT)),
    ]);
    this.#drop(connection);
  }

  /** Opens a connection for questions. */
  async #open(): Promise<MysqlConnection> {
    const connection = await this.#connect();
    const timer = setTimeout(() => connection.cut(`no answer within ${CONNECT_TIMEOUT} ms`), CONNECT_TIMEOUT);
    try {
      await connection.execute([SYNC]);
    } catch (error) {
      if ((error as MysqlError).code !== UNKNOWN_VARIABLE) {
        this.#drop(connection);
        throw error;
      }
    } finally {
      clearTimeout(timer);
    }
    return connection;
  }

  async #connect(): Promise<MysqlConnection> {
    const connection = await MysqlConnection.open(this.login, CONNECT_TIMEOUT);
    this.#all.add(connection);
    if (this.#closed) this.#cutAll("closed");
    return connection;
  }

  #drop(connection: MysqlConnection | undefined): void {
    if (connection === undefined) return;
    this.#all.delete(connection);
    connection.cut("given up");
  }

  #cutAll(reason: string): void {
    const connections = [...this.#all];
    this.#all.clear();
    this.#idle.length = 0;
    this.#refuse(new MysqlError(`${this.name}: ${reason}`, false));
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
      const watch = this.#watch?.usable ? this.#watch : this.#watch = await this.#connect();
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
      if (rank !== "down") await this.#openSpare();
      this.#endIdle();
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
