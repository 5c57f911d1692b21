/** The open calls by the bytes of their Call-ID, and the memory of those that have ended. */
import { KeyedHash } from "../mod.ts";
import type { Call } from "./call.ts";
import { REMEMBER } from "./constants.ts";

/** Buckets at first; they double when there are more calls. */
const FIRST_BUCKETS = 1024;

/** Finds calls without making text of a Call-ID. */
export class CallTable {
  readonly hash: KeyedHash;
  #buckets: (Call | undefined)[] = new Array(FIRST_BUCKETS).fill(undefined);
  #size = 0;

  /** @param key 8 random bytes */
  constructor(key: Uint8Array) {
    this.hash = new KeyedHash(key);
  }

  get size(): number {
    return this.#size;
  }

  /** Leaves the hash of a Call-ID in {@linkcode hash}. */
  digest(bytes: Uint8Array, start: number, end: number): void {
    const { hash } = this;
    hash.begin();
    hash.part(bytes, start, end);
    hash.end();
  }

  /** The call with this Call-ID; its hash is left in {@linkcode hash}. */
  find(bytes: Uint8Array, start: number, end: number): Call | undefined {
    this.digest(bytes, start, end);
    const { low, high } = this.hash;
    const buckets = this.#buckets;
    for (let call = buckets[low & (buckets.length - 1)]; call !== undefined; call = call.nextInTable) {
      if (call.hashLow === low && call.hashHigh === high && same(call, bytes, start, end)) return call;
    }
    return undefined;
  }

  /** Takes in a call whose `callId` is set. */
  add(call: Call): void {
    if (this.#size >= this.#buckets.length) this.#grow();
    this.digest(call.callId.bytes, 0, call.callId.length);
    call.hashLow = this.hash.low;
    call.hashHigh = this.hash.high;
    const at = call.hashLow & (this.#buckets.length - 1);
    call.nextInTable = this.#buckets[at];
    this.#buckets[at] = call;
    this.#size++;
  }

  delete(call: Call): void {
    const buckets = this.#buckets;
    const at = call.hashLow & (buckets.length - 1);
    let other = buckets[at];
    if (other === call) buckets[at] = call.nextInTable;
    else {
      while (other !== undefined && other.nextInTable !== call) other = other.nextInTable;
      if (other === undefined) return;
      other.nextInTable = call.nextInTable;
    }
    call.nextInTable = undefined;
    this.#size--;
  }

  /** All calls. */
  all(): Call[] {
    const calls: Call[] = [];
    for (const first of this.#buckets) {
      for (let call = first; call !== undefined; call = call.nextInTable) calls.push(call);
    }
    return calls;
  }

  #grow(): void {
    const calls = this.all();
    this.#buckets = new Array(2 * this.#buckets.length).fill(undefined);
    for (const call of calls) {
      const at = call.hashLow & (this.#buckets.length - 1);
      call.nextInTable = this.#buckets[at];
      this.#buckets[at] = call;
    }
  }
}

function same({ callId }: Call, bytes: Uint8Array, start: number, end: number): boolean {
  if (callId.length !== end - start) return false;
  const own = callId.bytes;
  for (let i = 0; i < callId.length; i++) if (own[i] !== bytes[start + i]) return false;
  return true;
}

/** A set of 64-bit hashes: open addressing in one array. */
class HashSet {
  #slots = new Int32Array(2 * 1024);
  #size = 0;

  has(low: number, high: number): boolean {
    return this.#slots[this.#place(low, high) + 1] !== 0;
  }

  add(low: number, high: number): void {
    if (2 * this.#size >= this.#slots.length / 2) this.#grow();
    const at = this.#place(low, high);
    if (this.#slots[at + 1] !== 0) return;
    this.#slots[at] = low;
    this.#slots[at + 1] = high | 1;
    this.#size++;
  }

  clear(): void {
    // A set that was large may be so again.
    this.#slots.fill(0);
    this.#size = 0;
  }

  #place(low: number, high: number): number {
    const slots = this.#slots;
    const mask = slots.length / 2 - 1;
    high |= 1;
    let at = low & mask;
    while (slots[2 * at + 1] !== 0 && (slots[2 * at] !== low || slots[2 * at + 1] !== high)) {
      at = (at + 1) & mask;
    }
    return 2 * at;
  }

  #grow(): void {
    const old = this.#slots;
    this.#slots = new Int32Array(2 * old.length);
    for (let i = 0; i < old.length; i += 2) {
      if (old[i + 1] === 0) continue;
      const at = this.#place(old[i], old[i + 1]);
      this.#slots[at] = old[i];
      this.#slots[at + 1] = old[i + 1];
    }
  }
}

/**
 * The calls that ended a short while ago, by the hash of their Call-ID: what comes late for them is no news. Each is
 * remembered for {@linkcode REMEMBER} to twice that, in two generations.
 */
export class RecentCalls {
  #young = new HashSet();
  #old = new HashSet();
  #turnAt: number;

  /** @param now ms */
  constructor(now: number) {
    this.#turnAt = now + REMEMBER;
  }

  has(low: number, high: number): boolean {
    return this.#young.has(low, high) || this.#old.has(low, high);
  }

  add(low: number, high: number): void {
    this.#young.add(low, high);
  }

  /** Forgets what is old enough. */
  advance(now: number): void {
    if (now < this.#turnAt) return;
    const older = this.#old;
    older.clear();
    if (now >= this.#turnAt + REMEMBER) this.#young.clear();
    this.#old = this.#young;
    this.#young = older;
    this.#turnAt = now + REMEMBER;
  }
}
