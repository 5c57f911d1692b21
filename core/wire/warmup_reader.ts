/** Reads warm-up files (docs/PROTOCOL.md §10) in chunks of any size. */
import type { Credential } from "../chain/derive.ts";
import type { ChainAlgorithm } from "../hash/chain_hash.ts";
import { equalBytes } from "../hash/equal.ts";
import { ByteReader, WireError } from "./bytes.ts";
import { ALGORITHM_BYTE, ALGORITHM_SIZE } from "./constants.ts";
import {
  type IncrementalMac,
  MAX_WARMUP_RECORD_BYTES,
  WARMUP_CLOCK_SKEW,
  WARMUP_END_OF_RECORDS,
  WARMUP_LABEL,
  WARMUP_MAC_BYTES,
  WARMUP_MAGIC,
  WARMUP_NONCE_BYTES,
  WARMUP_PREFIX_BYTES,
  WARMUP_VERSION,
  WarmupError,
  type WarmupExpectation,
  type WarmupHeader,
  type WarmupRecord,
  type WarmupSummary,
} from "./warmup.ts";

const encoder = new TextEncoder();
const MAGIC_BYTES = encoder.encode(WARMUP_MAGIC);
const ALGORITHM_NAMES = new Map(
  Object.entries(ALGORITHM_BYTE).map(([name, byte]) => [byte, name as ChainAlgorithm]),
);

/** The sections of a file, in order; each is left when its bytes are there. */
type Section = "prefix" | "header" | "records" | "count" | "mac" | "end";

/**
 * Reads a warm-up file in chunks of any size.
 *
 * Nothing that it gives may be used before {@linkcode finish} has said that the MAC is right.
 */
export class WarmupReader {
  #section: Section = "prefix";
  #rest: Uint8Array = new Uint8Array(0);
  #headerLength = 0;
  #header: WarmupHeader | undefined;
  #count = 0;
  #rightMac = false;

  /**
   * @param macs one per key that may have been used, keyed and empty; the reader feeds them
   * @param expected what the file has to be for; checked as soon as the header is there
   */
  constructor(
    private readonly macs: readonly IncrementalMac[],
    private readonly expected: WarmupExpectation,
  ) {
    for (const mac of macs) mac.update(encoder.encode(WARMUP_LABEL));
  }

  /** The header, once it has come; not authenticated before {@linkcode finish}. */
  get header(): WarmupHeader | undefined {
    return this.#header;
  }

  /**
   * Takes the next bytes.
   *
   * @returns the records that they complete, in the order of the file
   * @throws {WarmupError} when something is wrong; the reader is of no use then
   */
  push(chunk: Uint8Array): WarmupRecord[] {
    // In memory of its own: the records point into it, which takes a quarter of the time of copies of each field.
    const bytes = new Uint8Array(this.#rest.length + chunk.length);
    bytes.set(this.#rest);
    bytes.set(chunk, this.#rest.length);
    const records: WarmupRecord[] = [];
    let at = 0;
    try {
      for (;;) {
        const length = this.#step(bytes, at, records);
        if (length < 0) break;
        at += length;
        // All of the file up to here is under the MAC that comes now.
        if (this.#section === "mac") this.#feed(bytes.subarray(0, at));
      }
    } catch (error) {
      if (error instanceof WireError) throw new WarmupError("bad_value", error.message);
      throw error;
    }
    if (this.#section !== "mac" && this.#section !== "end") this.#feed(bytes.subarray(0, at));
    this.#rest = bytes.subarray(at);
    return records;
  }

  /**
   * The end of the file.
   *
   * @throws {WarmupError} when the file is not whole, or its MAC is wrong
   */
  finish(): WarmupSummary {
    if (this.#section !== "end") {
      throw new WarmupError(
        "truncated",
        `it ends within its ${this.#section}: it was cut short, or is damaged`,
      );
    }
    if (!this.#rightMac) {
      throw new WarmupError("wrong_mac", "its MAC is wrong: it is damaged or was written under another key");
    }
    return { ...this.#header!, count: this.#count };
  }

  /** Takes one element of the current section: its length, or -1 while its bytes are not all there. */
  #step(bytes: Uint8Array, at: number, records: WarmupRecord[]): number {
    const left = bytes.length - at;
    switch (this.#section) {
      case "prefix":
        checkPrefix(bytes, at);
        if (left < WARMUP_PREFIX_BYTES) return -1;
        this.#headerLength = bytes[at + WARMUP_PREFIX_BYTES - 2] << 8 | bytes[at + WARMUP_PREFIX_BYTES - 1];
        this.#section = "header";
        return WARMUP_PREFIX_BYTES;
      case "header":
        if (left < this.#headerLength) return -1;
        this.#header = readHeader(new ByteReader(bytes, at, at + this.#headerLength));
        checkHeader(this.#header, this.expected);
        this.#section = "records";
        return this.#headerLength;
      case "records": {
        if (left < 2) return -1;
        const length = bytes[at] << 8 | bytes[at + 1];
        if (length === WARMUP_END_OF_RECORDS) {
          this.#section = "count";
          return 2;
        }
        if (length > MAX_WARMUP_RECORD_BYTES) {
          throw new WarmupError("record_too_long", `record ${this.#count + 1} says it has ${length} bytes`);
        }
        if (left < 2 + length) return -1;
        records.push(readRecord(new ByteReader(bytes, at + 2, at + 2 + length), this.#header!));
        this.#count++;
        return 2 + length;
      }
      case "count": {
        if (left < 4) return -1;
        const count = new ByteReader(bytes, at, at + 4).u32("count");
        if (count !== this.#count) {
          throw new WarmupError("bad_value", `count: it says ${count} records, but has ${this.#count}`);
        }
        this.#section = "mac";
        return 4;
      }
      case "mac":
        if (left < WARMUP_MAC_BYTES) return -1;
        this.#checkMac(bytes.subarray(at, at + WARMUP_MAC_BYTES));
        this.#section = "end";
        return WARMUP_MAC_BYTES;
      default:
        if (left > 0) throw new WarmupError("trailing_bytes", "there are bytes after its end");
        return -1;
    }
  }

  #feed(bytes: Uint8Array): void {
    for (const mac of this.macs) mac.update(bytes);
  }

  /** Every key is tried in any case, each comparison in constant time. */
  #checkMac(stated: Uint8Array): void {
    for (const mac of this.macs) {
      if (equalBytes(mac.digest(), stated)) this.#rightMac = true;
    }
  }
}

/** Looks at as much of magic and version as there is. */
function checkPrefix(bytes: Uint8Array, at: number): void {
  const magic = Math.min(MAGIC_BYTES.length, bytes.length - at);
  for (let i = 0; i < magic; i++) {
    if (bytes[at + i] !== MAGIC_BYTES[i]) {
      throw new WarmupError("not_a_warmup_file", "it is no warm-up file: its first bytes are others");
    }
  }
  if (bytes.length - at < MAGIC_BYTES.length + 2) return;
  const version = bytes[at + MAGIC_BYTES.length] << 8 | bytes[at + MAGIC_BYTES.length + 1];
  if (version !== WARMUP_VERSION) {
    throw new WarmupError(
      "other_version",
      `it is of version ${version}; this program reads version ${WARMUP_VERSION}`,
    );
  }
}

function readHeader(from: ByteReader): WarmupHeader {
  const proxy = from.text("proxy name");
  const issuedAt = from.u64("time of issue");
  const ttl = from.u32("time to live");
  const serial = from.u64("serial");
  const algorithm = from.oneOf(from.u8("algorithm"), ALGORITHM_NAMES, "algorithm");
  const firstNumber = from.u32("first number");
  const realms = Array.from({ length: from.u16("realms") }, () => from.text("realm"));
  from.finish("header");
  return { proxy, issuedAt, ttl, serial, algorithm, firstNumber, realms };
}

/** What a reader that has not seen the MAC yet may say: it only ever refuses. */
function checkHeader(header: WarmupHeader, expected: WarmupExpectation): void {
  const { proxy, algorithm, realms, time } = expected;
  const quote = (text: string) => JSON.stringify(text);
  if (proxy !== undefined && header.proxy !== proxy) {
    throw new WarmupError(
      "other_proxy",
      `it was written for the proxy ${quote(header.proxy)}, and this is ${quote(proxy)}`,
    );
  }
  if (algorithm !== undefined && header.algorithm !== algorithm) {
    throw new WarmupError(
      "other_algorithm",
      `its credentials are for ${header.algorithm}, and this proxy uses ${algorithm}`,
    );
  }
  const foreign = header.realms.find((realm) => realms?.includes(realm) === false);
  if (foreign !== undefined) {
    throw new WarmupError(
      "other_realm",
      `it holds users of the realm ${quote(foreign)}, which is not served`,
    );
  }
  if (time === undefined) return;
  const age = Math.floor(time - header.issuedAt);
  if (age >= header.ttl) {
    throw new WarmupError("expired", `it has expired: written ${age} s ago for ${header.ttl} s`);
  }
  if (age < -WARMUP_CLOCK_SKEW) {
    throw new WarmupError(
      "issued_in_the_future",
      `it was written ${-age} s in the future: the clock of this machine or of DBclient's is wrong`,
    );
  }
}

/** A credential within the bytes of the file: its fields become arrays when they are asked for. */
class PackedCredential implements Credential {
  #nonce: Uint8Array | undefined;
  #anchor: Uint8Array | undefined;
  #key: Uint8Array | undefined;

  /** @param bytes never changed again; N || u16 n || h_n || K start at `at` */
  constructor(
    readonly algorithm: ChainAlgorithm,
    readonly username: string,
    readonly realm: string,
    readonly n: number,
    private readonly bytes: Uint8Array,
    private readonly at: number,
  ) {}

  get nonce(): Uint8Array {
    return this.#nonce ??= this.bytes.subarray(this.at, this.at + WARMUP_NONCE_BYTES);
  }

  get anchor(): Uint8Array {
    const start = this.at + WARMUP_NONCE_BYTES + 2;
    return this.#anchor ??= this.bytes.subarray(start, start + ALGORITHM_SIZE[this.algorithm]);
  }

  get key(): Uint8Array {
    const size = ALGORITHM_SIZE[this.algorithm];
    const start = this.at + WARMUP_NONCE_BYTES + 2 + size;
    return this.#key ??= this.bytes.subarray(start, start + size);
  }
}

function readRecord(from: ByteReader, { algorithm, realms, ttl: longest }: WarmupHeader): WarmupRecord {
  const size = ALGORITHM_SIZE[algorithm];
  const number = from.u32("number");
  const realm = realms[from.u16("realm")];
  const username = from.text("username");
  const at = from.skip(WARMUP_NONCE_BYTES, "nonce");
  const n = from.u16("n");
  from.skip(2 * size, "anchor and key");
  const ttl = from.u32("time to live");
  from.finish("record");
  if (realm === undefined) throw new WarmupError("bad_value", "realm: a record refers to none of the header");
  if (username === "") throw new WarmupError("bad_value", "username: a record has none");
  if (n < 1) throw new WarmupError("bad_value", "n: a record has a chain of 0 links");
  if (ttl < 1 || ttl > longest) {
    throw new WarmupError("bad_value", `time to live: a record has ${ttl} s, the header at most ${longest}`);
  }
  return { number, credential: new PackedCredential(algorithm, username, realm, n, from.bytes, at), ttl };
}
