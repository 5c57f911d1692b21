import { assert, assertEquals } from "@std/assert";
import { CredentialCache } from "../credential_cache.ts";
import { backend } from "../testing.ts";
import { chainOf, type Race, RESULTS, Signal } from "./race_testing.ts";
import { issued, newCache, REALM } from "./testing.ts";

const workerUrl = new URL("./test_race_worker.ts", import.meta.url);

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Lets threads run against each other.
 *
 * @returns the results that they share, and what each of them found wrong
 */
async function race(
  threads: number,
  cache: CredentialCache,
  of: Pick<Race, "kind" | "seed" | "users" | "n">,
): Promise<{ results: Int32Array; wrong: string[][] }> {
  const shared = new SharedArrayBuffer((RESULTS + of.users * of.n) * 4);
  const words = new Int32Array(shared);
  const workers = Array.from({ length: threads }, () => new Worker(workerUrl, { type: "module" }));
  try {
    const answers = workers.map((worker, thread) =>
      new Promise<string[]>((resolve, reject) => {
        worker.onmessage = ({ data }) => {
          if (data !== "ready") resolve(data);
          else worker.postMessage({ ...of, cache: cache.buffer, shared, thread } satisfies Race);
        };
        worker.onerror = (event) => {
          event.preventDefault();
          reject(new Error(event.message));
        };
      })
    );
    while (Atomics.load(words, Signal.READY) < threads) await pause(5);
    Atomics.store(words, Signal.START, 1);
    Atomics.notify(words, Signal.START);
    return { results: words.subarray(RESULTS), wrong: await Promise.all(answers) };
  } finally {
    for (const worker of workers) worker.terminate();
  }
}

Deno.test("race: of the same tokens in several threads each is accepted exactly once", async (t) => {
  for (const [threads, seed] of [[2, 1], [3, 2], [4, 3]]) {
    await t.step(`${threads} threads, seed ${seed}`, async () => {
      const users = 2000;
      const n = 8;
      const cache = newCache(4 * 16 * users); // a window for each, should it need one
      for (let user = 0; user < users; user++) cache.install(issued(chainOf(seed, user, n).credential));
      const { results, wrong } = await race(threads, cache, { kind: "tokens", seed, users, n });
      assertEquals(wrong, wrong.map(() => []));
      const times = new Map<number, number>();
      for (const count of results) times.set(count, (times.get(count) ?? 0) + 1);
      assertEquals([...times], [[1, users * n]], `seed ${seed}`);
      assertEquals(cache.verifiedSize, users);
      for (let user = 0; user < users; user++) {
        assertEquals(cache.peek(`user${user}`, REALM)?.newest?.index, 0, `seed ${seed}, user ${user}`);
      }
    });
  }
});

/** As many users are found as are counted, at most as many as may be, and each in the part where it is counted. */
function assertWhole(cache: CredentialCache, users: number, maxUsers: number, note: string): void {
  const found = Array.from({ length: users }, (_, i) => cache.peek(`user${i}`, REALM))
    .filter((user) => user !== undefined);
  const verified = found.filter((user) => user.verified).length;
  assertEquals([found.length, verified], [cache.size, cache.verifiedSize], note);
  assert(cache.size <= maxUsers && found.length - verified <= maxUsers / 4, note);
}

Deno.test("race: users are added, moved, renewed and forgotten, and nobody sees half of it", async (t) => {
  for (const [threads, seed] of [[2, 11], [4, 12]]) {
    await t.step(`${threads} threads, seed ${seed}`, async () => {
      const [users, maxUsers] = [200, 64];
      const cache = newCache(maxUsers);
      const { wrong } = await race(threads, cache, { kind: "users", seed, users, n: 60_000 });
      assertEquals(wrong, wrong.map(() => []), `seed ${seed}`);
      assertWhole(cache, users, maxUsers, `seed ${seed}`);
    });
  }
});

Deno.test("race: a thread that is lost in the middle of a change stops nobody for long", async () => {
  const seed = 21;
  const [users, maxUsers] = [200, 64];
  const cache = newCache(maxUsers);
  const { wrong } = await race(3, cache, { kind: "lost", seed, users, n: 60_000 });
  assertEquals(wrong, [[], [], []], `seed ${seed}`);
  cache.getOrAdd("one more", REALM); // Puts the chains in order if the other threads were through already.
  cache.remove({ username: "one more", realm: REALM });
  assertWhole(cache, users, maxUsers, `seed ${seed}`);
});

Deno.test("race: one question in flight per user, whichever thread asks", async () => {
  const users = 2000;
  const cache = CredentialCache.create(4 * users, backend, {
    bytes: () => new Uint8Array(8),
    below: () => 0,
  });
  const { results } = await race(4, cache, { kind: "fetches", seed: 31, users, n: 1 });
  assertEquals(results.every((count) => count === 1), true);
  assertEquals(cache.size, users);
});
