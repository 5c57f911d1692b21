/**
 * What authorizing, challenging and confirming allocate, in bytes of heap per request, phase by phase:
 *
 *     deno run -A --v8-flags=--trace-gc,--min-semi-space-size=128,--max-semi-space-size=128 bench/authorize_garbage.ts
 *
 * The young generation is so large that no collection comes in between; --trace-gc would show one.
 */
import { loadHashBackend } from "../mod.ts";
import { AuthorizeScene } from "./authorize_scene.ts";

const { backend } = await loadHashBackend("lanes");
const USERS = 10_000;
const ROUNDS = 16;
const scene = new AuthorizeScene(backend, USERS, ROUNDS);

const phases = {
  "parse the message": () => scene.prepare(),
  "malformed": () => scene.refuse("malformed"),
  "bad response": () => scene.refuse("bad_response"),
  "authorize": () => scene.accept(),
  "confirm": () => scene.confirm(),
  "challenge": () => scene.challenge(),
  "guided challenge": () => scene.challengeGuided(),
};
/** By phase and round. */
const bytes = new Map<string, number[]>();
const times = new Map<string, number[]>();
for (const name of Object.keys(phases)) {
  bytes.set(name, []);
  times.set(name, []);
}

for (let round = 0; round < 4 * ROUNDS; round++) {
  for (const [name, run] of Object.entries(phases)) {
    const before = Deno.memoryUsage().heapUsed;
    const start = performance.now();
    run();
    times.get(name)!.push(1000 * (performance.now() - start) / USERS);
    bytes.get(name)!.push((Deno.memoryUsage().heapUsed - before) / USERS);
  }
}

const median = (values: number[]) => values.toSorted((a, b) => a - b)[values.length >> 1];
for (const name of Object.keys(phases)) {
  // The first half is until the code is compiled, twice: users who were never verified come first.
  const tail = bytes.get(name)!.slice(2 * ROUNDS);
  const time = median(times.get(name)!.slice(2 * ROUNDS)).toFixed(2);
  console.log(
    `${name.padEnd(18)} ${median(tail).toFixed(2)} bytes (at most ${
      Math.max(...tail).toFixed(2)
    }), ${time} µs`,
  );
}
