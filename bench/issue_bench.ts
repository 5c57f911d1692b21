/**
 * Credentials issued per CPU second: derivation alone, with the SQLite look-up, and through the server over TCP; n = 10,
 * batches of 100 users as prefetchers send them, of 100,000 subscribers. Run: deno run -A bench/issue_bench.ts
 */
import process from "node:process";
import { DbclientConnection, encodeFrame, loadHashBackend, seededRandom, systemRandom } from "../mod.ts";
import { columnOf, Issuer } from "../dbclient/issuer.ts";
import { DbclientServer } from "../dbclient/server_io.ts";
import { SqliteStore } from "../dbclient/sqlite_store_io.ts";
import type { NewSubscriber } from "../dbclient/subscriber.ts";

const SUBSCRIBERS = 100_000;
const BATCH = 100;
const BATCHES = 300;
const directory = await Deno.makeTempDir({ prefix: "issue_bench_" });
const random = seededRandom(1);

async function measure(
  name: string,
  run: (batch: { username: string; realm: string }[]) => unknown,
): Promise<void> {
  const rates: number[] = [];
  for (let round = 0; round < 4; round++) {
    const batches = Array.from(
      { length: BATCHES },
      () =>
        Array.from(
          { length: BATCH },
          () => ({ username: `user${random.below(SUBSCRIBERS)}`, realm: "example.com" }),
        ),
    );
    const start = process.cpuUsage();
    for (const batch of batches) await run(batch);
    const { user, system } = process.cpuUsage(start);
    if (round > 0) rates.push(BATCHES * BATCH / (user + system) * 1e6);
  }
  rates.sort((a, b) => a - b);
  console.log(`${name.padEnd(58)} ${Math.round(rates[1]).toLocaleString("en").padStart(9)} per CPU second`);
}

try {
  const store = new SqliteStore(`${directory}/a.db`);
  const hash = "0123456789abcdef".repeat(2);
  const hashes = { ha1: hash, ha1_sha256: hash + hash, ha1_sha512t256: "" };
  const rows = function* (): Iterable<NewSubscriber> {
    for (let i = 0; i < SUBSCRIBERS; i++) {
      yield { username: `user${i}`, realm: "example.com", password: "", hashes };
    }
  };
  const started = performance.now();
  await store.write(rows(), false);
  console.log(
    `Deno ${Deno.version.deno}; ${SUBSCRIBERS} rows written in ${Math.round(performance.now() - started)} ms`,
  );
  for (const choice of ["auto", "hash-wasm", "noble"] as const) {
    const { backend } = await loadHashBackend(choice);
    const issuer = new Issuer({
      hashes: backend,
      n: 10,
      ttl: 3600,
      secret: new Uint8Array(32),
      random: systemRandom,
    });
    for (const algorithm of ["MD5", "SHA-1", "SHA-256"] as const) {
      const column = columnOf(algorithm);
      const name = `${choice}, ${algorithm}`;
      await measure(
        `${name}: derive`,
        (batch) =>
          issuer.issue(algorithm, batch, batch.map((user) => ({ ...user, hash: hashes[column] })), 0),
      );
      if (algorithm !== "SHA-1") continue;
      await measure(`${name}: look up in SQLite, derive, encode`, async (batch) => {
        const found = await store.lookup(batch, column);
        encodeFrame({
          type: "ISSUED",
          id: 1,
          algorithm,
          results: issuer.issue(algorithm, batch, found, 0).results,
        });
      });
      const server = await DbclientServer.start({
        host: "127.0.0.1",
        port: 0,
        store,
        hashes: backend,
        n: 10,
        ttl: 3600,
        issuerSecret: new Uint8Array(32),
        log: console.error,
      });
      const addresses = [{ host: "127.0.0.1", port: server.port }];
      const proxy = new DbclientConnection({ addresses, sha256: backend.get("SHA-256") });
      await proxy.whenConnected(5000);
      await measure(`${name}: over TCP, proxy's end included`, (batch) => proxy.issue(algorithm, batch));
      await proxy.close();
      await server.close();
    }
  }
  await store.close();
} finally {
  await Deno.remove(directory, { recursive: true });
}
