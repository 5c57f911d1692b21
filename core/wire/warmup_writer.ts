/** Writes warm-up files (docs/PROTOCOL.md §10) in chunks: it never holds more than one of them. */
import { ALGORITHM_BYTE, ALGORITHM_SIZE, TEXT_LIMIT } from "./constants.ts";
import { ByteWriter, utf8Length } from "./bytes.ts";
import {
  type IncrementalMac,
  WARMUP_END_OF_RECORDS,
  WARMUP_LABEL,
  WARMUP_MAGIC,
  WARMUP_NONCE_BYTES,
  WARMUP_VERSION,
  type WarmupHeader,
  type WarmupRecord,
  warmupRecordLength,
} from "./warmup.ts";

/** Bytes that a {@linkcode WarmupWriter} collects before it hands them out: our own tuning. */
const CHUNK_BYTES = 1 << 20;

const encoder = new TextEncoder();

/**
 * Writes a warm-up file in chunks.
 *
 * @example
 * ```ts
 * import { deriveCredential, loadHashBackend, loadHmacSha256, WarmupReader, WarmupWriter } from "../../mod.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const { backend } = await loadHashBackend();
 * const hmac = await loadHmacSha256();
 * const key = new Uint8Array(16).fill(1);
 * const alice = { username: "alice", realm: "example.com" };
 * const header = { proxy: "p1", issuedAt: 1_700_000_000, ttl: 3600, serial: 0, firstNumber: 1, realms: ["example.com"] };
 * const writer = new WarmupWriter({ ...header, algorithm: "SHA-1" }, hmac(key));
 * const secret = "5ebe2294ecd0e0f08eab7690d2a6ee69";
 * writer.add({
 *   number: 1,
 *   credential: deriveCredential(backend.get("SHA-1"), secret, alice, new Uint8Array(16), 10),
 *   ttl: 3600,
 * });
 * const reader = new WarmupReader([hmac(key)], { proxy: "p1", time: 1_700_000_060 });
 * const records = reader.push(writer.finish());
 * assertEquals(reader.finish().count, 1);
 * assertEquals(records[0].credential.username, "alice");
 * ```
 */
export class WarmupWriter {
  readonly #out = new ByteWriter();
  readonly #realms: ReadonlyMap<string, number>;
  readonly #size: number;
  #count = 0;
  #written = 0;

  /**
   * @param mac keyed and empty: the writer feeds it
   * @throws {RangeError} when a value of the header does not fit its field
   */
  constructor(readonly header: WarmupHeader, private readonly mac: IncrementalMac) {
    const out = new ByteWriter();
    out.text(header.proxy, "proxy name");
    out.u64(header.issuedAt, "time of issue");
    out.u32(header.ttl, "time to live");
    out.u64(header.serial, "serial");
    out.u8(ALGORITHM_BYTE[header.algorithm], "algorithm");
    out.u32(header.firstNumber, "first number");
    out.u16(header.realms.length, "realms");
    for (const realm of header.realms) out.text(realm, "realm");
    const rest = out.take();
    this.#out.fixed(encoder.encode(WARMUP_MAGIC), WARMUP_MAGIC.length, "magic");
    this.#out.u16(WARMUP_VERSION, "version");
    this.#out.u16(rest.length, "header length");
    this.#out.fixed(rest, rest.length, "header");
    this.#realms = new Map(header.realms.map((realm, i) => [realm, i]));
    this.#size = ALGORITHM_SIZE[header.algorithm];
    mac.update(encoder.encode(WARMUP_LABEL));
  }

  /** Records so far. */
  get count(): number {
    return this.#count;
  }

  /** Bytes handed out so far. */
  get written(): number {
    return this.#written;
  }

  /** Whether {@linkcode take} has a chunk worth writing. */
  get full(): boolean {
    return this.#out.length >= CHUNK_BYTES;
  }

  /**
   * Adds one credential.
   *
   * @throws {RangeError} when it does not belong into this file: another algorithm or realm, a field out of range
   */
  add({ number, credential, ttl }: WarmupRecord): void {
    const { username, realm, algorithm, nonce, n, anchor, key } = credential;
    const out = this.#out;
    const realmIndex = this.#realms.get(realm);
    if (algorithm !== this.header.algorithm || realmIndex === undefined) {
      throw new RangeError(`a credential of ${algorithm}, ${realm} does not belong into this file`);
    }
    if (n < 1 || ttl < 1 || ttl > this.header.ttl) throw new RangeError(`n ${n} or time to live ${ttl} s`);
    const nameBytes = utf8Length(username);
    if (nameBytes === 0 || nameBytes > TEXT_LIMIT.username) {
      throw new RangeError(`username must be 1 to ${TEXT_LIMIT.username} bytes, not ${nameBytes}`);
    }
    out.u16(warmupRecordLength(nameBytes, this.#size), "record length");
    out.u32(number, "number");
    out.u16(realmIndex, "realm");
    out.text(username, "username");
    out.fixed(nonce, WARMUP_NONCE_BYTES, "nonce");
    out.u16(n, "n");
    out.fixed(anchor, this.#size, "anchor");
    out.fixed(key, this.#size, "key");
    out.u32(ttl, "time to live");
    this.#count++;
  }

  /** The bytes collected so far, to be written next. */
  take(): Uint8Array {
    const bytes = this.#out.take();
    this.#out.clear();
    this.mac.update(bytes);
    this.#written += bytes.length;
    return bytes;
  }

  /** The last bytes: what was left, the count and the MAC. Nothing may be added after it. */
  finish(): Uint8Array {
    this.#out.u16(WARMUP_END_OF_RECORDS, "record length");
    this.#out.u32(this.#count, "count");
    const bytes = this.take();
    const mac = this.mac.digest();
    this.#written += mac.length;
    const all = new Uint8Array(bytes.length + mac.length);
    all.set(bytes);
    all.set(mac, bytes.length);
    return all;
  }
}
