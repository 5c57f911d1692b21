/**
 * Which MySQL driver: mysql2 against mariadb, on a private MariaDB with 100,000 subscribers
 * (docs/decisions/mysql_driver.md). Run: deno run -A bench/mysql_driver_bench.ts
 */
import mariadb from "mariadb";
import process from "node:process";
// deno-lint-ignore no-import-prefix -- the driver that lost: no part of the project
import mysql2 from "npm:mysql2@3.24.6/promise";
import { startMariadb } from "../tests/private_mariadb_io.ts";

const ROWS = 100_000;
const ROUNDS = 3;
const LIST = 100;

/** Runs `questions` of them, `together` at once, and gives wall and CPU microseconds per row. */
async function measure(
  name: string,
  rows: number,
  together: number,
  perQuestion: number,
  ask: (first: number) => Promise<unknown>,
): Promise<void> {
  const figures: { wall: number; cpu: number }[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    const cpu = process.cpuUsage();
    const start = performance.now();
    for (let done = 0; done < rows;) {
      const batch: Promise<unknown>[] = [];
      for (let i = 0; i < together; i++) {
        batch.push(ask((done * 7919 + i * 104_729) % (ROWS - perQuestion)));
        done += perQuestion;
      }
      await Promise.all(batch);
    }
    const wall = (performance.now() - start) * 1000 / rows;
    const used = process.cpuUsage(cpu);
    if (round > 0) figures.push({ wall, cpu: (used.user + used.system) / rows });
  }
  figures.sort((a, b) => a.wall - b.wall);
  const { wall, cpu } = figures[Math.floor(ROUNDS / 2)];
  console.log(`${name.padEnd(44)} ${wall.toFixed(1).padStart(7)} ${cpu.toFixed(1).padStart(7)}`);
}

const server = await startMariadb();
try {
  await server.sql(`CREATE DATABASE sip; USE sip;
    CREATE TABLE subscriber (id INT PRIMARY KEY AUTO_INCREMENT, username CHAR(64) NOT NULL, domain CHAR(64) NOT NULL,
      ha1 CHAR(64) NOT NULL, UNIQUE (domain, username)) CHARACTER SET utf8mb4;
    INSERT INTO subscriber (username, domain, ha1)
      SELECT CONCAT('user', LPAD(seq, 6, '0')), 'example.com', MD5(seq) FROM seq_0_to_${ROWS - 1};`);
  const login = {
    host: "127.0.0.1",
    port: server.port,
    user: server.user,
    password: server.password,
    database: "sip",
  };
  const name = (i: number) => `user${String(i).padStart(6, "0")}`;
  const one = "SELECT username, domain, ha1 FROM subscriber WHERE domain = ? AND username IN (?)";
  const many = `SELECT username, domain, ha1 FROM subscriber WHERE domain = ? AND username IN (${
    "?, ".repeat(LIST - 1)
  }?)`;
  const list = (first: number) => ["example.com", ...Array.from({ length: LIST }, (_, i) => name(first + i))];
  console.log(
    `Deno ${Deno.version.deno}, ${ROWS} rows, median of ${ROUNDS}; microseconds per row${
      " ".repeat(8)
    }wall     CPU`,
  );

  const sequential = await mysql2.createConnection(login);
  await measure(
    "mysql2 execute, one by one",
    5000,
    1,
    1,
    (i) => sequential.execute(one, ["example.com", name(i)]),
  );
  await measure(
    "mysql2 execute, 50 at once",
    10000,
    50,
    1,
    (i) => sequential.execute(one, ["example.com", name(i)]),
  );
  await measure(
    `mysql2 execute IN (${LIST}), 4 at once`,
    40000,
    4,
    LIST,
    (i) => sequential.execute(many, list(i)),
  );
  await measure(
    `mysql2 query IN (${LIST}), 4 at once`,
    40000,
    4,
    LIST,
    (i) => sequential.query(many, list(i)),
  );
  await sequential.end();

  for (const connections of [1, 2, 4]) {
    const pool = mariadb.createPool({ ...login, connectionLimit: connections, pipelining: true });
    const title = `mariadb, ${connections} connection${connections > 1 ? "s" : ""}`;
    await measure(
      `${title}, execute, one by one`,
      5000,
      1,
      1,
      (i) => pool.execute(one, ["example.com", name(i)]),
    );
    await measure(
      `${title}, execute, 50 at once`,
      10000,
      50,
      1,
      (i) => pool.execute(one, ["example.com", name(i)]),
    );
    await measure(
      `${title}, execute IN (${LIST}), 4 at once`,
      40000,
      4,
      LIST,
      (i) => pool.execute(many, list(i)),
    );
    await measure(
      `${title}, query IN (${LIST}), 4 at once`,
      40000,
      4,
      LIST,
      (i) => pool.query(many, list(i)),
    );
    await pool.end();
  }
  const single = await mariadb.createConnection({ ...login, pipelining: true });
  await measure(
    "mariadb, no pool, execute, 50 at once",
    10000,
    50,
    1,
    (i) => single.execute(one, ["example.com", name(i)]),
  );
  await measure(
    "mariadb, no pool, query, 50 at once",
    10000,
    50,
    1,
    (i) => single.query(one, ["example.com", name(i)]),
  );
  await measure(
    `mariadb, no pool, execute IN (${LIST})`,
    40000,
    4,
    LIST,
    (i) => single.execute(many, list(i)),
  );
  await single.end();
} finally {
  await server.stop();
}
