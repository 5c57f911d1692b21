/** The store on a real cluster: whatever happens to a node, no credential question is lost. */
import { assert, assertEquals } from "@std/assert";
import { MysqlStore } from "../dbclient/mysql_store_io.ts";
import { subscriberSchema } from "../dbclient/schema.ts";
import { DEFAULT_TABLE } from "../dbclient/subscriber_table.ts";
import { galeraMissing, startGalera } from "./private_galera_io.ts";

const missing = await galeraMissing();
const USERS = 1000;
const SETUP = `CREATE DATABASE sip; USE sip; ${subscriberSchema("mysql", DEFAULT_TABLE)}
  INSERT INTO subscriber (username, domain, ha1)
    SELECT CONCAT('user', seq), 'example.com', MD5(seq) FROM seq_1_to_${USERS};
  CREATE USER reader@'%' IDENTIFIED BY 'r'; GRANT SELECT ON sip.subscriber TO reader@'%';`;

/** Asks without pause, as proxies do, until it is stopped. */
class Load {
  asked = 0;
  readonly lost: string[] = [];
  #stopped = false;
  readonly #askers: Promise<void>[];

  constructor(private readonly store: MysqlStore) {
    this.#askers = Array.from({ length: 8 }, (_, i) => this.#ask(i));
  }

  async #ask(first: number): Promise<void> {
    for (let i = first; !this.#stopped; i += 8) {
      const users = Array.from({ length: 1 + i % 20 }, (_, k) => {
        return { username: `user${1 + (i + k) % USERS}`, realm: "example.com" };
      });
      this.asked++;
      try {
        const rows = await this.store.lookup(users, "ha1");
        if (rows.some((row, k) => row?.username !== users[k].username)) {
          this.lost.push("a user was not found");
        }
      } catch (error) {
        this.lost.push(String(error));
      }
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#askers);
  }
}

Deno.test({
  name: "a cluster of three under load" + (missing === undefined ? "" : `: skipped, ${missing}`),
  ignore: missing !== undefined,
  sanitizeOps: false,
  sanitizeResources: false,
  async fn(t) {
    const cluster = await startGalera(SETUP);
    const said: string[] = [];
    const waitFor = async (line: string) => {
      for (let attempt = 0; !said.some((one) => one.includes(line)); attempt++) {
        assert(attempt < 1000, `nothing said of ${line}; only: ${said.join("; ")}`);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    };
    const [first, second, third] = cluster.nodes;
    const at = (node: { port: number }) => `127.0.0.1:${node.port}`;
    /** Statements that a node has executed for the store. */
    const used = async (node: typeof first) =>
      Number((await node.sql("SHOW GLOBAL STATUS LIKE 'Com_stmt_execute'")).split("\t")[1]);
    const isUsed = async (node: typeof first) => {
      const before = await used(node);
      for (let attempt = 0; await used(node) === before; attempt++) {
        assert(attempt < 1000, `node ${at(node)} is not used`);
      }
    };
    try {
      assertEquals(await first.sql("SHOW STATUS LIKE 'wsrep_cluster_size'"), "wsrep_cluster_size\t3");
      const store = await MysqlStore.open({
        hosts: cluster.nodes.map((node) => ({ host: "127.0.0.1", port: node.port })),
        database: "sip",
        user: "reader",
        password: "r",
        log: (line) => said.push(line),
      });
      const load = new Load(store);
      const step = (name: string, run: () => Promise<void>) =>
        t.step(name, async () => {
          said.length = 0;
          await run();
          assertEquals(load.lost, []);
        });
      await step("the first of the list is used", async () => {
        await isUsed(first);
        assertEquals(await used(second), await used(second));
      });
      await step("a node that stops (SIGSTOP) is left, and used again when it goes on", async () => {
        first.signal("SIGSTOP");
        await waitFor(`${at(first)}: left if there is another`);
        await isUsed(second);
        first.signal("SIGCONT");
        await waitFor(`${at(first)}: in use again`);
        await isUsed(first);
      });
      await step("a read-only node comes after those that take writes", async () => {
        await first.sql("SET GLOBAL read_only = 1");
        await waitFor(`${at(first)}: left if there is another: it is read-only`);
        await isUsed(second);
        await first.sql("SET GLOBAL read_only = 0");
        await waitFor(`${at(first)}: in use again`);
        await isUsed(first);
      });
      await step("a node that is not synced comes after those that are", async () => {
        await first.sql("SET GLOBAL wsrep_desync = ON");
        await waitFor(`${at(first)}: left if there is another: it is not synced`);
        await isUsed(second);
        await first.sql("SET GLOBAL wsrep_desync = OFF");
        await waitFor(`${at(first)}: in use again`);
      });
      await step("a node that is cut off from the others is left", async () => {
        await first.sql("SET GLOBAL wsrep_provider_options = 'gmcast.isolate=1'");
        await waitFor(`${at(first)}: left if there is another: it is in no primary component`);
        await isUsed(second);
      });
      await step("a node that is killed (SIGKILL) is left", async () => {
        second.signal("SIGKILL");
        await waitFor(`${at(second)}: left if there is another`);
        await isUsed(third);
      });
      await load.stop();
      assert(load.asked > 100);
      await store.close();
    } finally {
      await cluster.stop();
    }
  },
});
