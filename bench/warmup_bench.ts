/**
 * Warm-up files: `deno bench -A bench/warmup_bench.ts`. Writing is measured from a SQLite file to the renamed file,
 * loading from the file to the proxy's cache, both without the start of the program (add 0.1 s); the MAC for itself.
 */
import { createHMAC, createSHA256 } from "hash-wasm";
import { hmac as nobleHmac } from "@noble/hashes/hmac.js";
import { sha256 as nobleSha256 } from "@noble/hashes/sha2.js";
import {
  loadHashBackend,
  loadHmacSha256,
  now,
  parseFlags,
  seededRandom,
  systemRandom,
  writeWarmupFile,
} from "../mod.ts";
import { type NewSubscriber } from "../dbclient/subscriber.ts";
import { SqliteStore } from "../dbclient/sqlite_store_io.ts";
import { writeWarmup } from "../dbclient/warmup_io.ts";
import { chooseWarmup, WARMUP_FLAGS } from "../dbclient/warmup_options.ts";
import { PROXY_FLAGS } from "../proxy/options.ts";
import { Proxy } from "../proxy/proxy.ts";
import { readSettings } from "../proxy/settings.ts";
import { readWarmup } from "../proxy/warmup_io.ts";

const WRITTEN = 20_000;
const LOADED = 200_000;
const REALM = "example.com";
const key = new Uint8Array(16).fill(1);
const folder = await Deno.makeTempDir();
globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));
const { backend } = await loadHashBackend();
const nameOf = (number: number) => `user${String(number).padStart(6, "0")}`;

const store = new SqliteStore(`${folder}/users.db`);
const digits = "5ebe2294ecd0e0f08eab7690d2a6ee69".repeat(2);
const rows = Array.from({ length: WRITTEN }, (_, i): NewSubscriber => ({
  username: nameOf(i + 1),
  realm: REALM,
  password: "",
  hashes: { ha1: digits.slice(0, 32), ha1_sha256: digits, ha1_sha512t256: digits },
}));
await store.write(rows, false);
const flags = [
  "--out",
  `${folder}/written.pcw`,
  "--realm",
  REALM,
  "--users",
  "user%06d",
  "--count",
  `${WRITTEN}`,
];
const { values: job } = parseFlags(WARMUP_FLAGS, flags);
for (const algorithm of ["SHA-1", "SHA-256"] as const) {
  Deno.bench({
    name: `write ${WRITTEN} users, n 10, ${algorithm}, ${backend.name}`,
    group: "write",
    n: 5,
    warmup: 1,
    async fn() {
      const values = { ...job, algorithm };
      await writeWarmup(chooseWarmup(values), {
        store,
        hashes: backend,
        key,
        values,
        time: Date.now() / 1000,
      });
    },
  });
}

const random = seededRandom(1);
const file = `${folder}/loaded.pcw`;
await writeWarmupFile(file, {
  key,
  header: {
    proxy: "proxy",
    issuedAt: Math.floor(Date.now() / 1000),
    ttl: 86400,
    serial: 0,
    algorithm: "SHA-1",
    firstNumber: 1,
    realms: [REALM],
  },
  fill({ writer, flush }) {
    for (let number = 1; number <= LOADED; number++) {
      const [nonce, anchor, k] = [16, 20, 20].map((size) => random.bytes(size));
      const credential = { username: nameOf(number), realm: REALM, nonce, n: 10, anchor, key: k } as const;
      writer.add({ number, credential: { ...credential, algorithm: "SHA-1" }, ttl: 86400 });
      flush();
    }
    return Promise.resolve();
  },
});
const { values } = parseFlags(PROXY_FLAGS, ["--realm", REALM, "--cache_warmup", "--cache_warmup_file", file]);
const environment = { random: systemRandom, now: now(), send: () => true, locate() {}, log() {} };
const service = { connected: false, issue() {}, verify() {} };
Deno.bench({
  name: `load ${LOADED} users`,
  group: "load",
  n: 10,
  warmup: 2,
  async fn(bench) {
    bench.start();
    const { records, issuedAt, serial } = await readWarmup(values, [key]);
    const proxy = new Proxy(values, readSettings(values), backend, environment, service);
    const loaded = proxy.preload(records, issuedAt, serial, now());
    bench.end();
    if (loaded !== LOADED) throw new Error(`${loaded} users loaded`);
  },
});

const data = random.bytes(30 << 20);
const PIECE = 1 << 20;
const pieces = Array.from({ length: 30 }, (_, i) => data.subarray(i * PIECE, (i + 1) * PIECE));
const system = await loadHmacSha256();
const wasm = await createHMAC(createSHA256(), key);
const group = { group: "HMAC-SHA-256 of 30 MB in pieces of 1 MiB", n: 5, warmup: 1 };
Deno.bench({
  name: "node:crypto",
  ...group,
  baseline: true,
  fn() {
    const mac = system(key);
    for (const piece of pieces) mac.update(piece);
    mac.digest();
  },
});
Deno.bench({
  name: "hash-wasm",
  ...group,
  fn() {
    wasm.init();
    for (const piece of pieces) wasm.update(piece);
    wasm.digest();
  },
});
Deno.bench({
  name: "noble",
  ...group,
  fn() {
    const mac = nobleHmac.create(nobleSha256, key);
    for (const piece of pieces) mac.update(piece);
    mac.digest();
  },
});
