/**
 * The `subscriber` table of a MySQL or MariaDB database or cluster (docs/PROTOCOL.md §10, docs/DATABASES.md). Looking
 * users up needs the right SELECT on that table and nothing else.
 */
import { type HashBackend, type Identity, now } from "../mod.ts";
import { type Batch, Coalescer } from "./coalescer.ts";
import { FoundSubscribers } from "./found_subscribers.ts";
import { MysqlAdmin } from "./mysql_admin_io.ts";
import { type MysqlAddress, MysqlCluster } from "./mysql_cluster_io.ts";
import {
  type ColumnKind,
  columnsStatement,
  lookupRows,
  lookupStatements,
  type MysqlTable,
  placeholder,
  quoted,
} from "./mysql_sql.ts";
import {
  type HashColumn,
  type NewSubscriber,
  type NodeState,
  type SqlAccess,
  StoreError,
  type Subscriber,
  type SubscriberAdmin,
  type SubscriberStore,
} from "./subscriber.ts";
import { DEFAULT_TABLE, type SubscriberTable, TableColumns } from "./subscriber_table.ts";

/** What a {@linkcode MysqlStore} needs. */
export interface MysqlStoreOptions extends Omit<MysqlAddress, "table"> {
  /** Default {@linkcode DEFAULT_TABLE}. */
  readonly table?: SubscriberTable;
  /** For `calculateHa1`. */
  readonly hashes?: HashBackend;
  /** Connections of a node that are asked at once, default 2; one more is for looking at the node. */
  readonly connections?: number;
  /** Time for an answer, ms, default 2000; a node that is late is left long before. */
  readonly timeout?: number;
  /** Is told of nodes that are left and used again. */
  log?(line: string): void;
  /** Is told of each query that was answered; for metrics. */
  onBatch?(batch: Batch): void;
}

const DEFAULT_CONNECTIONS = 2;
/** Users of one query. */
const MAX_USERS = 1000;
/** Users that may wait for a query. */
const MAX_WAITING = 200_000;
/** How often it is looked for questions whose time is over, ms. */
const TICK = 50;
/** For counting, ms: InnoDB reads its whole index for it. */
const COUNT_TIMEOUT = 60_000;

/** A subscriber table in MySQL or MariaDB. Questions that come together go together. */
export class MysqlStore implements SubscriberStore, SubscriberAdmin {
  readonly name: string;
  readonly #cluster: MysqlCluster;
  readonly #table: MysqlTable;
  readonly #admin: MysqlAdmin;
  readonly #coalescer: Coalescer<Subscriber | undefined>;
  /** Merges nothing. */
  readonly #alone: Coalescer<Subscriber | undefined>;
  readonly #found: FoundSubscribers;
  readonly #timeout: number;
  #timer: ReturnType<typeof setInterval> | undefined;

  private constructor(options: MysqlStoreOptions, cluster: MysqlCluster, table: MysqlTable) {
    this.name = cluster.name;
    this.#cluster = cluster;
    this.#table = table;
    this.#admin = new MysqlAdmin(() => cluster.best.login, table);
    this.#found = new FoundSubscribers(table, options.hashes);
    this.#timeout = options.timeout ?? 2000;
    const asking = {
      lanes: options.connections ?? DEFAULT_CONNECTIONS,
      maxWaiting: MAX_WAITING,
      timeout: this.#timeout,
      now,
      send: (users: readonly Identity[], column: HashColumn, deadline: number) =>
        this.#query(users, column, deadline),
    };
    this.#coalescer = new Coalescer({ ...asking, maxUsers: MAX_USERS, onBatch: options.onBatch });
    this.#alone = new Coalescer({ ...asking, maxUsers: 1 });
  }

  async #query(
    users: readonly Identity[],
    column: HashColumn,
    deadline: number,
  ): Promise<(Subscriber | undefined)[]> {
    const statements = lookupStatements(this.#table, users, column);
    const results = await this.#cluster.execute(statements, deadline);
    return this.#found.find(users, lookupRows(this.#table, statements, results), column);
  }

  /**
   * Connects and looks at the table.
   *
   * @throws {StoreError} when no host answers, the login fails, or the table or one of its columns is missing
   */
  static async open(options: MysqlStoreOptions): Promise<MysqlStore> {
    const { hosts, user, password, database, tls, table = DEFAULT_TABLE, log = () => {} } = options;
    const cluster = await MysqlCluster.open(
      { hosts, user, password, database, tls, table: table.table },
      options.connections ?? DEFAULT_CONNECTIONS,
      log,
    );
    try {
      const [rows] = await cluster.execute([columnsStatement(table)], now() + (options.timeout ?? 2000));
      const kinds = (rows as [string, string | null, string | null][]).map(([name, charset, collation]) => {
        return { name, charset, collation } satisfies ColumnKind;
      });
      const columns = new TableColumns(kinds.map((kind) => kind.name));
      const problem = columns.problem(table);
      if (problem !== undefined) {
        throw new StoreError(`${cluster.name}: ${problem} (or user ${user} has no right to read it)`);
      }
      const compared = (name: string) =>
        placeholder(kinds.find((kind) => kind.name.toLowerCase() === name.toLowerCase()));
      return new MysqlStore(options, cluster, {
        ...table,
        columns,
        userPlaceholder: compared(table.user),
        domainPlaceholder: compared(table.domain),
      });
    } catch (error) {
      await cluster.close();
      throw error;
    }
  }

  readonly sql: SqlAccess = {
    dialect: "mysql",
    run: async (sql: string, values: readonly (string | number)[]) => {
      const [rows] = await this.#cluster.execute([{ sql, values }], now() + this.#timeout);
      return Array.isArray(rows) ? rows : [];
    },
  };

  lookup(users: readonly Identity[], column: HashColumn): Promise<(Subscriber | undefined)[]> {
    return this.#ask(this.#coalescer, users, column);
  }

  async lookupAlone(user: Identity, column: HashColumn): Promise<Subscriber | undefined> {
    return (await this.#ask(this.#alone, [user], column))[0];
  }

  async #ask(
    coalescer: Coalescer<Subscriber | undefined>,
    users: readonly Identity[],
    column: HashColumn,
  ): Promise<(Subscriber | undefined)[]> {
    this.#timer ??= setInterval(() => {
      this.#coalescer.expire(now());
      this.#alone.expire(now());
      if (this.#coalescer.open + this.#alone.open > 0) return;
      clearInterval(this.#timer);
      this.#timer = undefined;
    }, TICK);
    try {
      return await coalescer.ask(users, column);
    } catch (error) {
      if (!(error instanceof StoreError) || error.message.startsWith("mysql:")) throw error;
      throw new StoreError(`${this.name}: ${error.message}`);
    }
  }

  async count(): Promise<number> {
    const statement = { sql: `SELECT COUNT(*) FROM ${quoted(this.#table.table)}`, values: [] };
    const [[[count]]] = await this.#cluster.execute([statement], now() + COUNT_TIMEOUT, true);
    return Number(count);
  }

  nodes(): readonly NodeState[] {
    return this.#cluster.nodes();
  }

  write(rows: AsyncIterable<NewSubscriber> | Iterable<NewSubscriber>, replace: boolean): Promise<number> {
    return this.#admin.write(rows, replace);
  }

  update(row: NewSubscriber, password: string): Promise<boolean> {
    return this.#admin.update(row, password);
  }

  list(realm?: string): AsyncIterable<Identity> {
    return this.#admin.list(realm);
  }

  rows(realm?: string): AsyncIterable<NewSubscriber> {
    return this.#admin.rows(realm);
  }

  remove(user: Identity): Promise<boolean> {
    return this.#admin.remove(user);
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#coalescer.expire(Infinity);
    this.#alone.expire(Infinity);
    await this.#cluster.close();
  }
}
