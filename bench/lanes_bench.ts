/**
 * What hashing costs by itself, for the lanes kernel and the libraries, one at a time and in batches:
 *
 *     deno run -A --v8-flags=--expose-gc bench/lanes_bench.ts
 *
 * CPU time of the process per operation, in ns: median and lowest of measurements for which the backends take
 * turns. The figures are in docs/decisions/lanes_kernel.md.
 */
import { cpus } from "node:os";
import process from "node:process";
import {
  CHAIN_ALGORITHMS,
  type ChainHash,
  type HashChoice,
  LanesHash,
  loadHashBackend,
  loadScalarLanes,
  seededRandom,
} from "../mod.ts";
import {
  MAC_INNER,
  MAC_SIZE,
  WALK_LINKS,
  WALK_SIZE,
  WALK_VALUE,
} from "../core/hash/kernel/assembly/layout.ts";

/** How often each backend has its turn, and how many measurements it then gives. */
const TURNS = 3;
const SLICES = 5;
/** How long one measurement takes at least, µs of CPU time. */
const SLICE_US = 16_000;
/** Long enough for the engine to have compiled the kernel's large functions well, µs of CPU time per algorithm. */
const WARM_UP_US = 3_000_000;
/** Requests that are verified at once. */
const BATCH = 64;
/** Users of one ISSUE frame, docs/PROTOCOL.md §9. */
const USERS = 1000;
const CHAIN = 10;

/** One row of the table. */
interface Operation {
  readonly name: string;
  /** How many operations one call of `run` is. */
  readonly size: number;
  /** Prepares `run` for a backend; undefined if that backend has no such operation. */
  prepare(hash: ChainHash): (() => void) | undefined;
}

const random = seededRandom(1);

const OPERATIONS: readonly Operation[] = [
  {
    name: "link, one walk of 100",
    size: 100,
    prepare(hash) {
      const [nonce, value] = [random.bytes(16), random.bytes(hash.size)];
      return () => hash.walk(nonce, 0, value, 100);
    },
  },
  {
    name: `link, ${BATCH} walks of 10`,
    size: BATCH * 10,
    prepare(hash) {
      const walks = someWalks(hash, () => 10);
      return () => hash.walkMany(walks);
    },
  },
  {
    name: `link, ${BATCH} walks of 1 … 19`,
    size: BATCH * 10,
    prepare(hash) {
      // Ten links each in the mean.
      const walks = someWalks(hash, (i) => i % 2 === 0 ? 1 + i % 19 : 19 - (i - 1) % 19);
      return () => hash.walkMany(walks);
    },
  },
  {
    name: "verify the next token, one",
    size: 1,
    prepare(hash) {
      const [{ nonce, from, token, links, expected }] = someChecks(hash);
      return () => assertRight(hash.verify(nonce, from, token, links, expected));
    },
  },
  {
    name: `verify the next token, batch of ${BATCH}`,
    size: BATCH,
    prepare(hash) {
      const checks = someChecks(hash);
      return () => assertRight(hash.verifyMany(checks).every((right) => right));
    },
  },
  {
    name: `the same from flat records`,
    size: BATCH,
    prepare: flatVerification,
  },
  {
    name: "HMAC of 110 bytes, one",
    size: 1,
    prepare(hash) {
      const [{ key, data }] = someMacs(hash);
      return () => hash.hmac(key, data);
    },
  },
  {
    name: `HMAC of 110 bytes, batch of ${BATCH}`,
    size: BATCH,
    prepare(hash) {
      const jobs = someMacs(hash);
      return () => hash.hmacMany(jobs);
    },
  },
  {
    name: `the same from kept states of the pads`,
    size: BATCH,
    prepare: flatMacs,
  },
  {
    name: `credential of n = ${CHAIN}, batch of ${USERS}`,
    size: USERS,
    prepare(hash) {
      const secrets = Array.from({ length: USERS }, (_, i) => ({
        secret: i.toString(16).padStart(hash.name === "SHA-256" ? 64 : 32, "5b1f0e6c"),
        nonce: random.bytes(16),
        n: CHAIN,
      }));
      return () => hash.deriveMany(secrets);
    },
  },
];

function assertRight(right: boolean): void {
  if (!right) throw new Error("a right token was refused");
}

function someWalks(hash: ChainHash, linksOf: (i: number) => number) {
  return Array.from({ length: BATCH }, (_, i) => {
    return { nonce: random.bytes(16), from: 0, value: random.bytes(hash.size), links: linksOf(i) };
  });
}

function someChecks(hash: ChainHash) {
  return someWalks(hash, () => 1).map(({ nonce, value }) => {
    return { nonce, from: 8, token: value, links: 1, expected: hash.walk(nonce, 8, value, 1) };
  });
}

function someMacs(hash: ChainHash) {
  return Array.from({ length: BATCH }, () => ({ key: random.bytes(hash.size), data: random.bytes(110) }));
}

/** As a proxy does whose credentials stand in one flat array: records are copied over by words. */
function flatVerification(hash: ChainHash): (() => void) | undefined {
  if (!(hash instanceof LanesHash)) return undefined;
  const { walks, algorithm } = hash.areas(BATCH, 0);
  const checks = someChecks(hash);
  checks.forEach(({ nonce, from, token, links, expected }, i) => {
    walks.put(i, nonce, from, token, links);
    walks.putExpected(i, expected);
  });
  const { words } = walks.kernel;
  const [first, expected] = [walks.records / 4, walks.expected / 4];
  const credentials = words.slice(first, first + BATCH * WALK_SIZE / 4);
  const anchors = words.slice(expected, expected + BATCH * 8);
  return () => {
    for (let i = 0; i < BATCH; i++) {
      const record = i * WALK_SIZE / 4;
      for (let k = 0; k <= WALK_LINKS / 4; k++) words[first + record + k] = credentials[record + k];
      for (let k = 0; k < 8; k++) words[expected + i * 8 + k] = anchors[i * 8 + k];
    }
    walks.verify(algorithm, BATCH);
    for (let i = 0; i < BATCH; i++) {
      assertRight(walks.verdict(i));
      // What is accepted becomes the new anchor.
      const record = i * WALK_SIZE / 4 + WALK_VALUE / 4;
      for (let k = 0; k < 8; k++) anchors[i * 8 + k] = words[first + record + k];
    }
  };
}

/** As a proxy does that keeps the states behind the pads of K with each credential. */
function flatMacs(hash: ChainHash): (() => void) | undefined {
  if (!(hash instanceof LanesHash)) return undefined;
  const { macs, algorithm } = hash.areas(BATCH, BATCH * 192 + 256);
  const jobs = someMacs(hash);
  jobs.forEach(({ key }, i) => macs.putKey(i, key));
  macs.pads(algorithm, BATCH);
  const { words } = macs.kernel;
  const states = jobs.map((_, i) => {
    const at = (macs.records + i * MAC_SIZE + MAC_INNER) / 4;
    return words.slice(at, at + 16);
  });
  return () => {
    macs.clear();
    for (let i = 0; i < BATCH; i++) {
      const at = (macs.records + i * MAC_SIZE + MAC_INNER) / 4;
      for (let k = 0; k < 16; k++) words[at + k] = states[i][k];
      macs.putMessage(i, jobs[i].data);
    }
    macs.finish(algorithm, BATCH);
  };
}

function cpuMicroseconds(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/** ns per operation over at least {@linkcode SLICE_US}. */
function measure(run: () => void, size: number): number {
  const began = cpuMicroseconds();
  let calls = 0;
  let taken = 0;
  for (let step = 1; taken < SLICE_US; step *= 2) {
    for (let i = 0; i < step; i++) run();
    calls += step;
    taken = cpuMicroseconds() - began;
  }
  return taken * 1000 / (calls * size);
}

const figure = (value: number): string => value < 1000 ? value.toFixed(1) : value.toFixed(0);

function print(name: string, cells: readonly string[]): void {
  console.log(`${name.padEnd(40)}${cells.map((cell) => cell.padStart(18)).join("")}`);
}

if (import.meta.main) {
  const load = async (choice: HashChoice) => (await loadHashBackend(choice)).backend;
  const backends = [
    await load("lanes"),
    await loadScalarLanes(),
    await load("hash-wasm"),
    await load("noble"),
  ];
  const { deno, v8 } = Deno.version;
  console.log(
    `Deno ${deno}, V8 ${v8}, ${cpus()[0].model}, ${cpus().length} cores; load ${
      Deno.loadavg()[0].toFixed(1)
    }`,
  );
  console.log(`CPU time in ns per operation: median of ${TURNS * SLICES} (and the lowest)`);
  for (const algorithm of CHAIN_ALGORITHMS) {
    console.log();
    print(algorithm, backends.map(({ name }) => name));
    const prepared = OPERATIONS.map(({ prepare }) =>
      backends.map((backend) => prepare(backend.many(algorithm)))
    );
    const began = cpuMicroseconds();
    while (cpuMicroseconds() - began < WARM_UP_US) {
      for (const run of prepared.flat()) run?.();
    }
    for (const [row, { name, size }] of OPERATIONS.entries()) {
      const samples = backends.map((): number[] => []);
      for (let turn = 0; turn < TURNS; turn++) {
        for (const [i, run] of prepared[row].entries()) {
          if (run === undefined) continue;
          // What the backend before has left to be collected is not to be charged to this one.
          (globalThis as { gc?: () => void }).gc?.();
          measure(run, size);
          for (let slice = 0; slice < SLICES; slice++) samples[i].push(measure(run, size));
        }
      }
      const cells = samples.map((values) => {
        if (values.length === 0) return "–";
        const sorted = values.toSorted((a, b) => a - b);
        return `${figure(sorted[sorted.length >> 1])} (${figure(sorted[0])})`;
      });
      print(name, cells);
      if (size === USERS) {
        const perSecond = samples.map((values) => 1e9 / values.toSorted((a, b) => a - b)[values.length >> 1]);
        print("credentials per CPU-second", perSecond.map((value) => Math.round(value).toLocaleString("en")));
      }
    }
  }
}
