/**
 * The columns of all transactions, and where they are found. What belongs to one transaction stands together in a record
 * of 64 bytes, a cache line; a hash table is chained through the records. Nothing is allocated per transaction.
 */
import type { Address } from "./address.ts";
import { ENTRY_WORDS } from "./flat_timer_wheel.ts";
import { NO_TRANSACTION, type TransactionId } from "./transaction.ts";
import type { TransactionKey } from "./transaction_key.ts";

/** A record is 1 << RECORD_SHIFT words long, and so begins at the word `tx << RECORD_SHIFT`. */
export const RECORD_SHIFT = 4;
/** Its length in bytes, as a shift. */
export const BYTE_SHIFT = RECORD_SHIFT + 2;

// Words of a record.
/** The key, hashed to 64 bits. */
export const HASH_LOW = 0;
export const HASH_HIGH = 1;
/** The next record in the same bucket, or the next free one; as its number + 1, 0: none. */
const NEXT = 2;
/** See {@linkcode TransactionTable.nextSerial}; 0 while the record is free. */
export const SERIAL = 3;
/** Entries of the timer wheel: of the layer's timers, of the user's. */
export const OWN_TIMER = 6;
export const USER_TIMER = OWN_TIMER + ENTRY_WORDS;
/** When the repeating and the ending timer are due: ticks of the wheel. They mean something while their event is not 0. */
export const REPEAT_TICK = 12;
export const END_TICK = 13;
/** The copies that are held, as places in the byte store: of the request, of the last response or the ACK. 0: none. */
export const REQUEST = 14;
export const ANSWER = 15;

// Bytes of a record: those of words 4 and 5.
export const STATE = 16;
/** Place in `COMPILED_MACHINES`. */
export const MACHINE = 17;
/** Bits below. */
export const FLAGS = 18;
/** Number of the method. */
export const METHOD = 19;
/** The event of the timer that repeats something, and of the one that ends a state; 0: it does not run. */
export const REPEAT_EVENT = 20;
export const END_EVENT = 21;
/** How often the interval of the repeating timer was doubled. */
export const DOUBLINGS = 22;

/** Bits of FLAGS. */
export const LIVE = 1;
/** The transport retransmits by itself (RFC 3261 §17). */
export const RELIABLE = 2;
/** A CANCEL is wanted and waits for the first provisional response (RFC 3261 §9.1). */
export const CANCEL_WANTED = 4;
/** Matched by the rules for RFC 2543: its tags are in `asides`. */
export const OLD = 8;
/** Something about it is in `asides`. */
export const HAS_ASIDE = 16;

const NOWHERE: Address = { host: "", port: 0 };

/** What only few transactions need. */
export interface Aside {
  /** A method without a number of its own, else "". */
  method: string;
  /** To tag of the last response: used to match requests of RFC 2543. */
  answerTag: string;
}

/** All transactions of a layer. */
export class TransactionTable {
  readonly capacity: number;
  /** The records, as words and as bytes. Memory that was never written to is not resident. */
  readonly words: Int32Array;
  readonly bytes: Uint8Array;
  /**
   * Two per transaction: where its messages go, the next hop of a request, the previous hop for responses; and where the
   * request of a server transaction came from, which may be another port (RFC 3261 §18.2.2).
   */
  readonly #addresses: Address[] = [];
  readonly asides = new Map<TransactionId, Aside>();
  /** Per bucket its first record, as number + 1; 0: none. */
  #buckets = new Int32Array(1024);
  #mask = 1023;
  /** The free record that was used last, as number + 1: low numbers stay in use, and in the processor's caches. */
  #free = 0;
  #used = 0;
  #size = 0;
  #serial = 0;

  constructor(capacity: number) {
    this.capacity = capacity;
    const memory = new ArrayBuffer(capacity * (1 << BYTE_SHIFT));
    this.words = new Int32Array(memory);
    this.bytes = new Uint8Array(memory);
  }

  /** How many transactions live. */
  get size(): number {
    return this.#size;
  }
  get full(): boolean {
    return this.#size >= this.capacity;
  }
  /** All numbers that were ever used are below this. */
  get used(): number {
    return this.#used;
  }

  /** The transaction with this key, or `NO_TRANSACTION`. */
  find(key: TransactionKey): TransactionId {
    return this.#search(this.#buckets[key.low & this.#mask], key);
  }

  /** A new transaction, entered under `key`, with a serial and nothing else. The caller has asked `full` before. */
  add(key: TransactionKey): TransactionId {
    if (this.#size * 2 > this.#mask) this.#grow();
    const { words } = this;
    let next = this.#free;
    if (next === 0) {
      next = ++this.#used;
      this.#addresses.push(NOWHERE, NOWHERE);
    } else this.#free = words[((next - 1) << RECORD_SHIFT) + NEXT];
    const at = (next - 1) << RECORD_SHIFT;
    const bucket = key.low & this.#mask;
    words[at + HASH_LOW] = key.low;
    words[at + HASH_HIGH] = key.high;
    words[at + NEXT] = this.#buckets[bucket];
    this.#buckets[bucket] = next;
    this.#serial = this.#serial === 0x7fffffff ? 1 : this.#serial + 1;
    words[at + SERIAL] = this.#serial;
    this.bytes[(at << 2) + FLAGS] = LIVE;
    this.#size++;
    return next - 1;
  }

  /** Takes a transaction out, so that nothing finds it any more. */
  remove(tx: TransactionId): void {
    const { words } = this;
    const at = tx << RECORD_SHIFT;
    const bucket = words[at + HASH_LOW] & this.#mask;
    let next = this.#buckets[bucket];
    if (next === tx + 1) this.#buckets[bucket] = words[at + NEXT];
    else {
      for (;;) {
        const link = ((next - 1) << RECORD_SHIFT) + NEXT;
        next = words[link];
        if (next === tx + 1) {
          words[link] = words[at + NEXT];
          break;
        }
      }
    }
    this.#size--;
  }

  /** Lets the number be used again. */
  recycle(tx: TransactionId): void {
    const { words, bytes } = this;
    const at = tx << RECORD_SHIFT;
    if ((bytes[(at << 2) + FLAGS] & HAS_ASIDE) !== 0) this.asides.delete(tx);
    this.setAddresses(tx, NOWHERE, NOWHERE);
    bytes[(at << 2) + FLAGS] = 0;
    words[at + SERIAL] = 0;
    words[at + NEXT] = this.#free;
    this.#free = tx + 1;
  }

  /** Where messages of a transaction go. */
  to(tx: TransactionId): Address {
    return this.#addresses[2 * tx];
  }
  /** Where the request of a server transaction came from. */
  from(tx: TransactionId): Address {
    return this.#addresses[2 * tx + 1];
  }
  setAddresses(tx: TransactionId, to: Address, from: Address): void {
    this.#addresses[2 * tx] = to;
    this.#addresses[2 * tx + 1] = from;
  }

  /** What is kept aside about a transaction, which begins with that. */
  aside(tx: TransactionId): Aside {
    let aside = this.asides.get(tx);
    if (aside === undefined) {
      aside = { method: "", answerTag: "" };
      this.asides.set(tx, aside);
      this.bytes[(tx << BYTE_SHIFT) + FLAGS] |= HAS_ASIDE;
    }
    return aside;
  }

  /** Twice as many buckets: as few as will do, since each look goes to a random one and they should fit the processor's caches. */
  #grow(): void {
    const { words } = this;
    this.#buckets = new Int32Array(this.#buckets.length * 2);
    this.#mask = this.#buckets.length - 1;
    for (let tx = 0; tx < this.#used; tx++) {
      const at = tx << RECORD_SHIFT;
      if ((this.bytes[(at << 2) + FLAGS] & LIVE) === 0) continue;
      const bucket = words[at + HASH_LOW] & this.#mask;
      words[at + NEXT] = this.#buckets[bucket];
      this.#buckets[bucket] = tx + 1;
    }
  }

  #search(first: number, key: TransactionKey): TransactionId {
    const { words } = this;
    const { low, high } = key;
    for (let next = first; next !== 0;) {
      const at = (next - 1) << RECORD_SHIFT;
      if (words[at + HASH_LOW] === low && words[at + HASH_HIGH] === high) return next - 1;
      next = words[at + NEXT];
    }
    return NO_TRANSACTION;
  }
}
