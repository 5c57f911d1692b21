/**
 * The MySQL store with 1, 2 and 4 connections (docs/decisions/coalescing.md): questions for one user each from many
 * askers at once, batches as prefetchers send them, and one question at a time. MariaDB with 100,000 subscribers runs on
 * the same machine. Run: deno run -A bench/mysql_store_bench.ts
 */
import process from "node:process";
import { MysqlStore } from "../dbclient/mysql_store_io.ts";
import { subscriberSchema } from "../dbclient/schema.ts";
import { DEFAULT_TABLE } from "../dbclient/subscriber_table.ts";
import { startMariadb } from "../tests/private_mariadb_io.ts";

const ROWS = 100_000;
const ROUNDS = 3;

interface Load {
  readonly name: string;
  readonly askers: number;
  readonly users: number;
  /** Of each asker. */
  readonly questions: number;
}
const LOADS: readonly Load[] = [
  { name: "one at a time", askers: 1, users: 1, questions: 2000 },
  { name: "200 askers, 1 user each", askers: 200, users: 1, questions: 200 },
  { name: "8 askers, 100 users each", askers: 8, users: 100, questions: 100 },
  { name: "40 askers, 100 users each", askers: 40, users: 100, questions: 25 },
];

async function measure(store: MysqlStore, { askers, users, questions }: Load) {
  const latencies: number[] = [];
  const cpu = process.cpuUsage();
  const start = performance.now();
  await Promise.all(Array.from({ length: askers }, async (_, asker) => {
    for (let i = 0; i < questions; i++) {
      const first = (asker * 7919 + i * 104_729) % (ROWS - users);
      const asked = Array.from({ length: users }, (_, k) => {
        return { username: `user${String(first + k).padStart(6, "0")}`, realm: "example.com" };
      });
      const at = performance.now();
      await store.lookup(asked, "ha1");
      latencies.push(performance.now() - at);
    }
  }));
  const wall = performance.now() - start;
  const used = process.cpuUsage(cpu);
  latencies.sort((a, b) => a - b);
  const rows = askers * users * questions;
  return {
    wall: wall * 1000 / rows,
    cpu: (used.user + used.system) / rows,
    p50: latencies[Math.floor(latencies.length / 2)],
    p99: latencies[Math.floor(latencies.length * 0.99)],
  };
}

const server = await startMariadb(["--innodb-buffer-pool-size=512M"]);
try {
  await server.sql(`CREATE DATABASE sip; USE sip; ${subscriberSchema("mysql", DEFAULT_TABLE)}
    INSERT INTO subscriber (username, domain, ha1)
      SELECT CONCAT('user', LPAD(seq, 6, '0')), 'example.com', MD5(seq) FROM seq_0_to_${ROWS - 1};`);
  console.log(
    `Deno ${Deno.version.deno}, ${ROWS} rows, median of ${ROUNDS}; microseconds per row, latency in ms`,
  );
  console.log("load                        connections    wall     CPU     p50     p99");
  for (const load of LOADS) {
    for (const connections of [1, 2, 4]) {
      const store = await MysqlStore.open({
        hosts: [{ host: "127.0.0.1", port: server.port }],
        database: "sip",
        user: server.user,
        password: server.password,
        connections,
      });
      await measure(store, load);
      const rounds = [];
      for (let round = 0; round < ROUNDS; round++) rounds.push(await measure(store, load));
      rounds.sort((a, b) => a.wall - b.wall);
      const { wall, cpu, p50, p99 } = rounds[Math.floor(ROUNDS / 2)];
      const figures = [wall, cpu, p50, p99].map((figure) => figure.toFixed(2).padStart(8)).join("");
      console.log(`${load.name.padEnd(28)}${String(connections).padStart(11)}${figures}`);
      await store.close();
    }
  }
} finally {
  await server.stop();
}
