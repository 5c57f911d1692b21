/**
 * The memory that the proxy's credential cache takes, and the time to fill it:
 *
 *     deno run -A bench/cache_memory.ts [USERS [ALGORITHM]]
 *
 * Users have one credential each. The figure is what the process has resident above what it had before the cache was
 * made; garbage of the filling is collected where the runtime allows it (--v8-flags=--expose-gc).
 */
import { type ChainAlgorithm, type Credential, loadHashBackend, systemRandom } from "../mod.ts";
import { CredentialCache } from "../proxy/credential_cache.ts";

const users = Number(Deno.args[0] ?? 1_000_000);
const algorithm = (Deno.args[1] ?? "SHA-1") as ChainAlgorithm;
const { backend } = await loadHashBackend();
const size = backend.get(algorithm).size;
const collect = (globalThis as { gc?: () => void }).gc ?? (() => {});
const resident = () => {
  collect();
  return Deno.memoryUsage().rss / 1e6;
};

const credential: { -readonly [K in keyof Credential]: Credential[K] } = {
  algorithm,
  username: "",
  realm: "example.com",
  n: 10,
  nonce: systemRandom.bytes(16),
  anchor: systemRandom.bytes(size),
  key: systemRandom.bytes(size),
};
const issued = { credential, issuedAt: 0, expiresAt: 3.6e6, serial: 0, lookAt: 3e6 };

function fill(cache: CredentialCache, count: number): void {
  for (let i = 0; i < count; i++) {
    credential.username = `+49301234${String(i % users).padStart(7, "0")}`;
    cache.preload(issued);
  }
}

// What code and garbage of the filling take is there in the empty proxy already.
fill(CredentialCache.create(100, backend, systemRandom, { digestBytes: size }), 200_000);
const before = resident();
const cache = CredentialCache.create(users, backend, systemRandom, { digestBytes: size });
const empty = resident();
const start = performance.now();
fill(cache, users);
const took = performance.now() - start;
const full = resident();
console.log(`${cache.size} users, ${algorithm}: ${cache.buffer.byteLength / 1e6} MB reserved`);
console.log(
  `resident: ${before.toFixed(1)} MB before, ${empty.toFixed(1)} MB empty, ${full.toFixed(1)} MB full`,
);
console.log(
  `${(full - before).toFixed(1)} MB for the cache, ${
    (1e6 * (full - before) / users).toFixed(0)
  } bytes a user`,
);
console.log(`filled in ${took.toFixed(0)} ms, ${(1000 * took / users).toFixed(2)} µs a user`);
