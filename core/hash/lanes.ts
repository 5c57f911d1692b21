/**
 * The backend of this project's own: a WebAssembly kernel that keeps whole walks inside and works on four or eight
 * chains side by side in vector lanes (kernel/). Built for many chains at once; a single one goes through it too.
 */
import type {
  ChainAlgorithm,
  ChainCheck,
  ChainHash,
  ChainSecret,
  ChainWalk,
  DerivedChain,
  HashBackend,
  HmacJob,
} from "./chain_hash.ts";
import { KEY_LABEL, SEED_LABEL } from "./chain_text.ts";
import {
  BLOCK_SIZE,
  checkDigest,
  checkHmacInto,
  checkNonceAndLinks,
  checkWalk,
  DIGEST_SIZE,
} from "./check.ts";
import { hashBackend } from "./hash_backend.ts";
import { ALGORITHM_NUMBER, type KernelExports, LaneKernel, MacArea, WalkArea } from "./kernel/kernel.ts";

/** How many jobs go into the kernel at once: enough to keep the lanes full, few enough for the nearest cache. */
const BATCH = 128;
/** Bytes for the messages of one batch of HMACs, and the piece by which longer messages go in. */
const ROOM = 32_768;

/** What the hashes of all algorithms share: one kernel, used by one of them at a time. */
class Workplace {
  readonly walks: WalkArea;
  readonly macs: MacArea;
  /** Address of {@linkcode ROOM} bytes and their padding: messages in, chains out. */
  readonly data: number;
  /** Address of the state of a digest. */
  readonly state: number;
  /** Address of both labels, docs/PROTOCOL.md §3. */
  readonly labels: number;

  constructor(readonly kernel: LaneKernel) {
    this.walks = new WalkArea(kernel, BATCH);
    this.macs = new MacArea(kernel, BATCH, ROOM);
    this.data = kernel.allocate(ROOM + 2 * BLOCK_SIZE);
    this.state = kernel.allocate(32);
    this.labels = kernel.allocate(SEED_LABEL.length + KEY_LABEL.length);
    kernel.bytes.set(new TextEncoder().encode(SEED_LABEL + KEY_LABEL), this.labels);
  }
}

const encoder = new TextEncoder();
/** Stands for bytes that the kernel fills in, or that do not matter. */
const NOTHING = new Uint8Array(0);

/** A {@linkcode ChainHash} on the kernel, and areas of its memory for callers that keep their records flat. */
export class LanesHash implements ChainHash {
  readonly size: number;
  readonly #kernel: LaneKernel;
  readonly #at: Workplace;
  readonly #number: number;

  constructor(readonly backend: string, readonly name: ChainAlgorithm, workplace: Workplace) {
    this.size = DIGEST_SIZE[name];
    this.#kernel = workplace.kernel;
    this.#at = workplace;
    this.#number = ALGORITHM_NUMBER[name];
  }

  digest(data: Uint8Array): Uint8Array {
    const { exports, bytes } = this.#kernel;
    const { state, data: room } = this.#at;
    exports.start(this.#number, state);
    let done = 0;
    for (; data.length - done > ROOM; done += ROOM) {
      bytes.set(data.subarray(done, done + ROOM), room);
      exports.update(this.#number, state, room, ROOM / BLOCK_SIZE);
    }
    bytes.set(done === 0 ? data : data.subarray(done), room);
    exports.finish(this.#number, state, room, data.length - done, data.length);
    return bytes.slice(state, state + this.size);
  }

  walk(nonce: Uint8Array, from: number, value: Uint8Array, links: number): Uint8Array {
    checkWalk(this.name, nonce, from, value, links);
    const { walks } = this.#at;
    walks.put(0, nonce, from, value, links);
    walks.walk(this.#number, 1);
    return walks.value(0, this.size);
  }

  walkMany(walks: readonly ChainWalk[]): Uint8Array[] {
    const results = new Array<Uint8Array>(walks.length);
    const area = this.#at.walks;
    for (let first = 0; first < walks.length; first += BATCH) {
      const count = Math.min(BATCH, walks.length - first);
      for (let i = 0; i < count; i++) {
        const { nonce, from, value, links } = walks[first + i];
        checkWalk(this.name, nonce, from, value, links);
        area.put(i, nonce, from, value, links);
      }
      area.walk(this.#number, count);
      const values = this.#collect(area, count);
      for (let i = 0; i < count; i++) results[first + i] = this.#part(values, i);
    }
    return results;
  }

  chain(nonce: Uint8Array, seed: Uint8Array, n: number): Uint8Array {
    checkWalk(this.name, nonce, 0, seed, n);
    const { walks, data } = this.#at;
    const { exports, bytes } = this.#kernel;
    const values = new Uint8Array((n + 1) * this.size);
    values.set(seed);
    walks.put(0, nonce, 0, seed, 0);
    const most = Math.floor(ROOM / this.size);
    for (let done = 0; done < n; done += most) {
      const links = Math.min(most, n - done);
      exports.chain(this.#number, walks.records, data, links);
      values.set(bytes.subarray(data, data + links * this.size), (done + 1) * this.size);
    }
    return values;
  }

  verify(nonce: Uint8Array, from: number, token: Uint8Array, links: number, expected: Uint8Array): boolean {
    if (token.length !== this.size || expected.length !== this.size) return false;
    checkWalk(this.name, nonce, from, token, links);
    const { walks } = this.#at;
    walks.put(0, nonce, from, token, links);
    walks.putExpected(0, expected);
    walks.verify(this.#number, 1);
    return walks.verdict(0);
  }

  verifyMany(checks: readonly ChainCheck[]): boolean[] {
    const results = new Array<boolean>(checks.length);
    const area = this.#at.walks;
    const { size } = this;
    for (let first = 0; first < checks.length; first += BATCH) {
      const count = Math.min(BATCH, checks.length - first);
      for (let i = 0; i < count; i++) {
        const { nonce, from, token, links, expected } = checks[first + i];
        if (token.length === size && expected.length === size) {
          checkWalk(this.name, nonce, from, token, links);
          area.put(i, nonce, from, token, links);
          area.putExpected(i, expected);
        } else {
          area.put(i, NOTHING, 0, NOTHING, 0);
        }
      }
      area.verify(this.#number, count);
      for (let i = 0; i < count; i++) {
        const { token, expected } = checks[first + i];
        results[first + i] = area.verdict(i) && token.length === size && expected.length === size;
      }
    }
    return results;
  }

  hmac(key: Uint8Array, data: Uint8Array): Uint8Array {
    const { macs } = this.#at;
    if (!macs.takes(data.length)) return this.#longHmac(key, data);
    macs.clear();
    macs.putKey(0, key.length > BLOCK_SIZE ? this.digest(key) : key);
    macs.putMessage(0, data);
    macs.hmac(this.#number, 1);
    return macs.result(0, this.size);
  }

  hmacInto(key: Uint8Array, data: Uint8Array, length: number, out: Uint8Array): void {
    checkHmacInto(this.size, data, length, out);
    const { macs } = this.#at;
    if (!macs.takes(length)) {
      out.set(this.#longHmac(key, data.subarray(0, length)));
      return;
    }
    macs.clear();
    macs.putKey(0, key.length > BLOCK_SIZE ? this.digest(key) : key);
    macs.putMessage(0, data, length);
    macs.hmac(this.#number, 1);
    macs.copyResult(0, this.size, out);
  }

  hmacMany(jobs: readonly HmacJob[]): Uint8Array[] {
    const results = new Array<Uint8Array>(jobs.length);
    const { macs } = this.#at;
    let first = 0;
    while (first < jobs.length) {
      macs.clear();
      let count = 0;
      while (count < BATCH && first + count < jobs.length) {
        const { key, data } = jobs[first + count];
        if (!macs.putMessage(count, data)) break;
        macs.putKey(count, key.length > BLOCK_SIZE ? this.digest(key) : key);
        count++;
      }
      macs.hmac(this.#number, count);
      const values = this.#collect(macs, count);
      for (let i = 0; i < count; i++) results[first + i] = this.#part(values, i);
      // A message that has no room even in an empty area.
      if (count === 0) results[first] = this.#longHmac(jobs[first].key, jobs[first].data);
      first += Math.max(count, 1);
    }
    return results;
  }

  deriveMany(secrets: readonly ChainSecret[]): DerivedChain[] {
    const results = new Array<DerivedChain>(secrets.length);
    const { macs, walks, labels } = this.#at;
    for (let first = 0; first < secrets.length; first += BATCH) {
      const count = Math.min(BATCH, secrets.length - first);
      for (let i = 0; i < count; i++) {
        const { secret, nonce, n } = secrets[first + i];
        checkNonceAndLinks(nonce, 0, n);
        if (!macs.putAsciiKey(i, secret)) {
          const key = encoder.encode(secret);
          macs.putKey(i, key.length > BLOCK_SIZE ? this.digest(key) : key);
        }
        walks.put(i, nonce, 0, NOTHING, n);
      }
      macs.derive(this.#number, walks, count, labels, SEED_LABEL.length, KEY_LABEL.length);
      const anchors = this.#collect(walks, count);
      const keys = this.#collect(macs, count);
      for (let i = 0; i < count; i++) {
        results[first + i] = { anchor: this.#part(anchors, i), key: this.#part(keys, i) };
      }
    }
    return results;
  }

  /**
   * Areas of one's own in the kernel's memory, for as long as the program runs: for a caller that keeps its records
   * flat and copies words (kernel/assembly/layout.ts) instead of making objects.
   *
   * @param capacity records of each area
   * @param room bytes for the messages of one batch of HMACs
   * @returns the areas, and the number of this algorithm, which their methods take
   */
  areas(capacity: number, room: number): {
    readonly walks: WalkArea;
    readonly macs: MacArea;
    readonly algorithm: number;
  } {
    return {
      walks: new WalkArea(this.#kernel, capacity),
      macs: new MacArea(this.#kernel, capacity, room),
      algorithm: this.#number,
    };
  }

  /** A copy of all values of an area: one new buffer for many results, since that is what costs most. */
  #collect(area: WalkArea | MacArea, count: number): Uint8Array {
    const { data } = this.#at;
    this.#kernel.exports.collect(this.#number, area.values, area.stride, data, count);
    return this.#kernel.bytes.slice(data, data + count * this.size);
  }

  #part(values: Uint8Array, i: number): Uint8Array {
    return values.subarray(i * this.size, (i + 1) * this.size);
  }

  /** RFC 2104 §2 by two digests, for messages too long for the area. */
  #longHmac(key: Uint8Array, data: Uint8Array): Uint8Array {
    const short = key.length > BLOCK_SIZE ? this.digest(key) : key;
    const inner = new Uint8Array(BLOCK_SIZE + data.length).fill(0x36, 0, BLOCK_SIZE);
    const outer = new Uint8Array(BLOCK_SIZE + this.size).fill(0x5c, 0, BLOCK_SIZE);
    for (let i = 0; i < short.length; i++) {
      inner[i] ^= short[i];
      outer[i] ^= short[i];
    }
    inner.set(data, BLOCK_SIZE);
    outer.set(this.digest(inner), BLOCK_SIZE);
    return this.digest(outer);
  }
}

/** More chains than there are lanes, of different lengths, against links that are digested one by one. */
function checkLanes(hash: LanesHash): void {
  const walks = Array.from({ length: 11 }, (_, i) => ({
    nonce: new Uint8Array(16).fill(i + 1),
    from: i,
    value: new Uint8Array(hash.size).fill(0xf0 - i),
    links: i % 4,
  }));
  const right = hash.walkMany(walks).every((reached, i) => {
    const { nonce, from, value, links } = walks[i];
    let expected: Uint8Array = value;
    for (let k = from + 1; k <= from + links; k++) {
      expected = hash.digest(new Uint8Array([...nonce, 0, 0, 0, k, ...expected]));
    }
    return reached.every((byte, at) => byte === expected[at]);
  });
  if (!right) throw new Error(`${hash.backend} gives wrong chains on this machine`);
}

function start(name: string, exports: KernelExports): HashBackend {
  const workplace = new Workplace(new LaneKernel(exports));
  return hashBackend(name, (algorithm) => {
    const hash = new LanesHash(name, algorithm, workplace);
    checkDigest(name, algorithm, (data) => hash.digest(data));
    checkLanes(hash);
    return hash;
  });
}

/** A module has one instance, and so one backend. */
const started = new Map<string, HashBackend>();

async function startOnce(name: string, load: () => Promise<unknown>): Promise<HashBackend> {
  let backend = started.get(name);
  if (backend === undefined) {
    const exports = await load() as KernelExports;
    backend = started.get(name) ?? start(name, exports);
    started.set(name, backend);
  }
  return backend;
}

/**
 * Starts the kernel with vector lanes; after that everything is synchronous.
 *
 * @throws {Error} if the runtime cannot import WebAssembly modules, or has no vectors
 * @example
 * ```ts
 * import { loadHashBackend } from "../../mod.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const { backend } = await loadHashBackend("lanes");
 * const sha1 = backend.many("SHA-1");
 * const issued = sha1.deriveMany([
 *   { secret: "3e4b55d3a0dd0d2d0b6d4b4b7a2b7d6f", nonce: new Uint8Array(16), n: 10 },
 *   { secret: "99c1a9bc2fda4a8f97b0e6dd4b1f2b6f", nonce: new Uint8Array(16), n: 10 },
 * ]);
 * assertEquals(issued.map(({ anchor, key }) => [anchor.length, key.length]), [[20, 20], [20, 20]]);
 * ```
 */
export function loadLanes(): Promise<HashBackend> {
  // Imported here and not at the top: a runtime without vectors fails on the import itself.
  return startOnce("lanes", () => import("./kernel/lanes_simd.wasm"));
}

/** {@linkcode loadLanes} without vectors: one chain after the other. */
export function loadScalarLanes(): Promise<HashBackend> {
  return startOnce("lanes-scalar", () => import("./kernel/lanes_scalar.wasm"));
}
