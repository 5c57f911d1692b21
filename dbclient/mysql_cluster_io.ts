/** Nodes that hold the same tables: each question goes to the best of them, and on to the next. docs/DATABASES.md. */
import { now } from "../mod.ts";
import type { MysqlLogin } from "./mysql_connection_io.ts";
import { MysqlError, mysqlUrl } from "./mysql_error.ts";
import { NODE_RANKS } from "./mysql_health.ts";
import { MysqlNode } from "./mysql_node_io.ts";
import type { Statement } from "./mysql_sql.ts";
import { noAnswer, type NodeState, StoreError } from "./subscriber.ts";

/** Where the database is and how to log in. */
export interface MysqlAddress extends Omit<MysqlLogin, "host" | "port"> {
  /** In the order of preference. */
  readonly hosts: readonly { readonly host: string; readonly port: number }[];
}

/** With no node left, how long until all are tried again, ms. */
const ROUND_PAUSE = 50;
/** At the start: how long a better node is waited for when another answers already, ms. */
const START_PATIENCE = 500;

const delay = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** The nodes of a database. */
export class MysqlCluster {
  readonly name: string;
  readonly #nodes: readonly MysqlNode[];

  private constructor(address: MysqlAddress, nodes: readonly MysqlNode[]) {
    this.#nodes = nodes;
    const first = { ...address, ...address.hosts[0] };
    this.name = mysqlUrl(first, nodes.map((node) => node.name).join(","));
  }

  /**
   * Connects; one node suffices.
   *
   * @param connections of each node that are asked at once
   * @throws {MysqlError} (rejects) when none can be used
   */
  static async open(
    address: MysqlAddress,
    connections: number,
    log: (line: string) => void,
  ): Promise<MysqlCluster> {
    const { hosts, ...login } = address;
    if (hosts.length === 0) throw new StoreError("no database address");
    let quiet = true;
    const say = (line: string) => {
      if (!quiet) log(line);
    };
    const nodes = hosts.map((at) => new MysqlNode({ ...login, ...at }, connections, say));
    const cluster = new MysqlCluster(address, nodes);
    const isUsable = (node: MysqlNode) => node.rank !== "down" && node.rank !== "suspect";
    const looks = nodes.map((node) => node.firstLook);
    const some = Promise.any(
      nodes.map((node) =>
        node.firstLook.then(() => {
          if (!isUsable(node)) throw node.problem;
        })
      ),
    ).then(() => delay(START_PATIENCE), () => {});
    await Promise.race([Promise.all(looks), some]);
    if (!nodes.some(isUsable)) {
      await Promise.all(looks);
      const problems = nodes.map((node) => node.problem);
      const problem = problems.find((one) => one?.lasting) ?? problems[0];
      await cluster.close();
      throw problem ?? new StoreError(`database node ${nodes[0].name}: ${nodes[0].why}`);
    }
    for (const node of nodes) {
      if (!isUsable(node)) log(`database node ${node.name}: cannot be used: ${node.why}`);
    }
    quiet = false;
    return cluster;
  }

  /** How good each node is, in the order of preference. */
  nodes(): readonly NodeState[] {
    return this.#nodes.map(({ name, rank, why }) => ({ name, rank, why }));
  }

  /** The node that is asked first just now. */
  get best(): MysqlNode {
    return this.#next(new Set())!;
  }

  #next(tried: ReadonlySet<MysqlNode>): MysqlNode | undefined {
    for (const rank of NODE_RANKS) {
      const node = this.#nodes.find((one) => one.rank === rank && !tried.has(one));
      if (node !== undefined) return node;
    }
    return undefined;
  }

  /**
   * Runs statements that only read. A node that fails is followed by the next at once; one that is late by the next
   * beside it, and the first answer counts. Waiting for a free connection is no lateness. When all have failed they are tried again until the time is over.
   *
   * @param deadline by the monotonic clock, ms
   * @param isSlow the answer takes its time on every node: none is late before the deadline
   * @throws {StoreError} (rejects) at the deadline, and when every node says that the operator has to act
   */
  execute(statements: readonly Statement[], deadline: number, isSlow = false): Promise<unknown[][][]> {
    return new Promise((resolve, reject) => {
      const tried = new Set<MysqlNode>();
      let running = 0;
      let last: StoreError | undefined;
      let passing = false;
      const timers = new Set<ReturnType<typeof setTimeout>>();
      let over = false;
      const end = (settle: () => void) => {
        for (const timer of timers) clearTimeout(timer);
        over = true;
        settle();
      };
      const after = (ms: number, run: () => void) => {
        const timer = setTimeout(() => {
          timers.delete(timer);
          run();
        }, ms);
        timers.add(timer);
        return () => {
          clearTimeout(timer);
          timers.delete(timer);
        };
      };
      const next = () => {
        if (over) return;
        const node = this.#next(tried);
        if (node === undefined) {
          if (running > 0) return;
          if (last !== undefined && !passing) return end(() => reject(last));
          passing = false;
          after(ROUND_PAUSE, () => {
            tried.clear();
            next();
          });
          return;
        }
        tried.add(node);
        running++;
        let inTime = () => {};
        const onTurn = () => {
          if (over || isSlow) return;
          inTime = after(node.patience, () => {
            node.late();
            next();
          });
        };
        node.execute(statements, { deadline, isSlow, onTurn }).then((rows) => {
          inTime();
          if (!over) end(() => resolve(rows));
        }, (error) => {
          inTime();
          running--;
          last = error as StoreError;
          passing ||= !(last instanceof MysqlError && last.lasting);
          next();
        });
      };
      after(
        Math.max(0, deadline - now()),
        () => end(() => reject(last ?? noAnswer())),
      );
      next();
    });
  }

  async close(): Promise<void> {
    await Promise.all(this.#nodes.map((node) => node.close()));
  }
}
