/** Where transactions are found: a hash table chained through the records, and the pool that the records come from. */
import { copyBytes } from "./copy.ts";
import { ClientTransaction, ServerTransaction, type TimerSink, type Transaction } from "./transaction.ts";
import type { TransactionKey } from "./transaction_key.ts";

/** Room for a key in its record's part of a page; 112 rather than 128, which would put all keys on the same cache lines. */
const KEY_ROOM = 112;
const KEYS_PER_PAGE = 512;

/** All live transactions of a layer, at most `limit`, and those that wait to be used again. */
export class TransactionIndex {
  readonly limit: number;
  #buckets: (Transaction | undefined)[] = new Array(1024).fill(undefined);
  #size = 0;
  readonly #freeClients: ClientTransaction[] = [];
  readonly #freeServers: ServerTransaction[] = [];
  #page = new Uint8Array(0);
  #pageUsed = 0;
  readonly #sink: TimerSink;

  constructor(limit: number, sink: TimerSink) {
    this.limit = limit;
    this.#sink = sink;
  }

  /** How many transactions live. */
  get size(): number {
    return this.#size;
  }
  get full(): boolean {
    return this.#size >= this.limit;
  }

  /** The transaction with this key, if there is one. */
  find(key: TransactionKey): Transaction | undefined {
    return this.#search(this.#buckets[key.hash & (this.#buckets.length - 1)], key);
  }

  /** The next one with the same key, after one that `find` gave: RFC 2543 keys are not unique. */
  findNext(after: Transaction, key: TransactionKey): Transaction | undefined {
    return this.#search(after.bucketNext, key);
  }

  /** A record from the pool, entered under `key`. The caller has asked `full` before. */
  addClient(key: TransactionKey): ClientTransaction {
    let record = this.#freeClients.pop();
    if (record === undefined) record = new ClientTransaction(this.#sink, this.#keyPage(), this.#keyStart());
    this.#enter(record, key);
    return record;
  }

  /** The same for a server transaction. */
  addServer(key: TransactionKey): ServerTransaction {
    let record = this.#freeServers.pop();
    if (record === undefined) record = new ServerTransaction(this.#sink, this.#keyPage(), this.#keyStart());
    this.#enter(record, key);
    return record;
  }

  /** Takes a transaction out, so that nothing finds it any more. */
  remove(record: Transaction): void {
    const bucket = record.hash & (this.#buckets.length - 1);
    let at = this.#buckets[bucket];
    if (at === record) this.#buckets[bucket] = record.bucketNext;
    else {
      while (at!.bucketNext !== record) at = at!.bucketNext;
      at!.bucketNext = record.bucketNext;
    }
    record.bucketNext = undefined;
    this.#size--;
  }

  /** Lets the record be used again. */
  recycle(record: Transaction): void {
    record.forget();
    if (record instanceof ClientTransaction) this.#freeClients.push(record);
    else this.#freeServers.push(record as ServerTransaction);
  }

  /** All live transactions, in no order: for rare needs. */
  list(): Transaction[] {
    const all: Transaction[] = [];
    for (let record of this.#buckets) {
      for (; record !== undefined; record = record.bucketNext) all.push(record);
    }
    return all;
  }

  #search(from: Transaction | undefined, key: TransactionKey): Transaction | undefined {
    for (let record = from; record !== undefined; record = record.bucketNext) {
      if (record.hash === key.hash && record.keyLength === key.length && sameKey(record, key)) return record;
    }
    return undefined;
  }

  #enter(record: Transaction, key: TransactionKey): void {
    if (this.#size >= this.#buckets.length) this.#grow();
    record.hash = key.hash;
    record.keyLength = key.length;
    if (key.length <= KEY_ROOM) copyBytes(key.bytes, 0, key.length, record.keyBytes, record.keyStart);
    else record.longKey = key.bytes.slice(0, key.length);
    const bucket = key.hash & (this.#buckets.length - 1);
    record.bucketNext = this.#buckets[bucket];
    this.#buckets[bucket] = record;
    this.#size++;
  }

  #grow(): void {
    const buckets: (Transaction | undefined)[] = new Array(this.#buckets.length * 2).fill(undefined);
    for (let record of this.#buckets) {
      while (record !== undefined) {
        const next: Transaction | undefined = record.bucketNext;
        const bucket = record.hash & (buckets.length - 1);
        record.bucketNext = buckets[bucket];
        buckets[bucket] = record;
        record = next;
      }
    }
    this.#buckets = buckets;
  }

  #keyPage(): Uint8Array {
    if (this.#pageUsed === this.#page.length) {
      this.#page = new Uint8Array(KEY_ROOM * KEYS_PER_PAGE);
      this.#pageUsed = 0;
    }
    return this.#page;
  }
  #keyStart(): number {
    const start = this.#pageUsed;
    this.#pageUsed += KEY_ROOM;
    return start;
  }
}

function sameKey(record: Transaction, key: TransactionKey): boolean {
  const bytes = record.longKey ?? record.keyBytes;
  const start = record.longKey === undefined ? record.keyStart : 0;
  for (let i = 0; i < key.length; i++) if (bytes[start + i] !== key.bytes[i]) return false;
  return true;
}
