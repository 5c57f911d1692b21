/**
 * A `PC` answer (docs/PROTOCOL.md §5) as offsets and decoded bytes: read from the bytes of a header without strings,
 * garbage or exceptions. `parsePcAnswer` is built on it, so that both find the same faults and say the same of them.
 */
import { CHAIN_ALGORITHMS, type ChainAlgorithm } from "../hash/chain_hash.ts";
import { fromHexAt } from "../hash/hex.ts";
import { encodeText, equalsIgnoreCase, equalsText } from "../sip/ascii.ts";
import type { MalformedAuth } from "../sip/auth_fields.ts";
import type { AuthHeader } from "../sip/auth_params.ts";
import { AUTH_ERROR_TEXTS, AuthScanner } from "../sip/auth_scanner.ts";
import { textLength } from "../sip/utf8.ts";
import { MAX_CHAIN, NONCE_BYTES, OPAQUE_BYTES, PC_SCHEME } from "./constants.ts";

/** Digest length of each algorithm in bytes: L of docs/PROTOCOL.md §2. */
export const DIGEST_BYTES: Readonly<Record<ChainAlgorithm, number>> = {
  "MD5": 16,
  "SHA-1": 20,
  "SHA-256": 32,
};

/** `seq` of an answer with `seq=none`. */
export const SEQ_NONE = -1;

const LONGEST_DIGEST = 32;
const EMPTY = new Uint8Array(0);
const SCHEME = encodeText(PC_SCHEME.toLowerCase());

/** The parameters of an answer, docs/PROTOCOL.md §5, by their numbers here. */
const NAMES = ["username", "realm", "algorithm", "nonce", "opaque", "seq", "token", "uri", "response", "qop"];
const NAME_BYTES = NAMES.map(encodeText);
const USERNAME = 0;
const REALM = 1;
const ALGORITHM = 2;
const NONCE = 3;
const OPAQUE = 4;
const SEQ = 5;
const TOKEN = 6;
const URI = 7;
const RESPONSE = 8;
const QOP = 9;

/** The value of one parameter: bytes of UTF-8, quotes and quoted-pairs taken out. */
export class AuthValue {
  /** Whether the parameter is there. */
  present = false;
  buffer: Uint8Array = EMPTY;
  start = 0;
  end = 0;

  /** Whether the value is these bytes. */
  equals(buffer: Uint8Array, start: number, end: number): boolean {
    const length = end - start;
    if (this.end - this.start !== length) return false;
    const own = this.buffer;
    for (let i = 0; i < length; i++) if (own[this.start + i] !== buffer[start + i]) return false;
    return true;
  }
}

/** Room for a digest, seen as exactly as many bytes as each algorithm has. */
function digestRoom(): readonly Uint8Array[] {
  const room = new ArrayBuffer(LONGEST_DIGEST);
  return CHAIN_ALGORITHMS.map((algorithm) => new Uint8Array(room, 0, DIGEST_BYTES[algorithm]));
}

/**
 * Reads one answer after the other; reusable. {@linkcode scan} finds the parameters, {@linkcode check} reads their
 * values; what they leave refers to the bytes that were read, which must not change meanwhile.
 *
 * @example
 * ```ts
 * import { PcAnswerView, toHex } from "../../mod.ts";
 * import { assert, assertEquals } from "@std/assert";
 *
 * const bytes = new TextEncoder().encode(
 *   `PC username="alice", realm="example.com", algorithm=MD5, nonce="${"AB".repeat(16)}", ` +
 *     `opaque="${"cd".repeat(8)}", seq=none, uri="sip:bob@example.com", response="${"00".repeat(16)}"`,
 * );
 * const answer = new PcAnswerView();
 * assert(answer.scan(bytes, 0, bytes.length) && answer.check());
 * assertEquals([toHex(answer.nonce), answer.seq, answer.token], ["ab".repeat(16), -1, undefined]);
 *
 * assert(answer.scan(bytes, 0, bytes.length - 5) && !answer.check());
 * assertEquals(answer.fault, { field: "response", problem: "has no closing quote" });
 * ```
 */
export class PcAnswerView {
  /** By the numbers above; the first of each name. */
  readonly #values: readonly AuthValue[] = NAMES.map(() => new AuthValue());
  readonly username: AuthValue = this.#values[USERNAME];
  readonly realm: AuthValue = this.#values[REALM];
  readonly uri: AuthValue = this.#values[URI];
  /** N, and the same as words in the order of this machine. */
  readonly nonce: Uint8Array = new Uint8Array(NONCE_BYTES);
  readonly nonceWords: Int32Array = new Int32Array(this.nonce.buffer);
  readonly opaque: Uint8Array = new Uint8Array(OPAQUE_BYTES);
  /** Number of the algorithm in CHAIN_ALGORITHMS. */
  algorithm = 0;
  /** j, or {@linkcode SEQ_NONE}. */
  seq = SEQ_NONE;
  /** h_j, as many bytes as the algorithm has; undefined exactly with `seq=none`. */
  token: Uint8Array | undefined;
  /** As many bytes as the algorithm has. */
  response: Uint8Array;
  readonly #scanner = new AuthScanner();
  readonly #tokens = digestRoom();
  readonly #responses = digestRoom();
  /** The first parameter that stands twice, -1 when none does. */
  #twice = -1;
  /** Whether the list is broken, and how. */
  #broken = false;
  #brokenField = "";
  #brokenText = "";
  /** Whether values may hold control characters: never when they come from the scanner. */
  #unscanned = false;
  #faultField = "";
  #faultText = "";

  constructor() {
    this.response = this.#responses[0];
  }

  /**
   * Finds the parameters in the value of an Authorization or Proxy-Authorization header.
   *
   * @returns false when its scheme is not PC
   */
  scan(buffer: Uint8Array, start: number, end: number): boolean {
    const scanner = this.#scanner;
    scanner.begin(buffer, start, end);
    if (!scanner.isScheme(SCHEME)) return false;
    this.#clear();
    let field = -1;
    while (scanner.next()) {
      field = fieldAt(buffer, scanner.nameStart, scanner.nameEnd, field + 1);
      if (field < 0) continue;
      const value = this.#values[field];
      if (value.present) {
        if (this.#twice < 0) this.#twice = field;
        continue;
      }
      value.present = true;
      if (scanner.escaped) {
        value.buffer = scanner.unescaped();
        value.start = 0;
        value.end = value.buffer.length;
      } else {
        value.buffer = buffer;
        value.start = scanner.valueStart;
        value.end = scanner.valueEnd;
      }
    }
    if (scanner.error !== undefined) {
      this.#broken = true;
      this.#brokenField = scanner.errorField;
      this.#brokenText = AUTH_ERROR_TEXTS[scanner.error];
    }
    return true;
  }

  /** Takes the parameters of a header that was read into an object. */
  take(header: AuthHeader): void {
    this.#clear();
    this.#unscanned = true;
    for (const [name, text] of header.params) {
      const field = NAMES.indexOf(name);
      if (field < 0) continue;
      const value = this.#values[field];
      if (value.present) {
        if (this.#twice < 0) this.#twice = field;
        continue;
      }
      value.present = true;
      value.buffer = encodeText(text);
      value.start = 0;
      value.end = value.buffer.length;
    }
    if (header.error === undefined) return;
    const { field, text } = header.error;
    this.#broken = true;
    this.#brokenField = field;
    this.#brokenText = field === "" ? text : text.slice(field.length + 1);
  }

  #clear(): void {
    const values = this.#values;
    for (let i = 0; i < values.length; i++) values[i].present = false;
    this.#twice = -1;
    this.#broken = this.#unscanned = false;
  }

  /** Whether the list breaks off with an error, behind the parameters that were found. */
  get broken(): boolean {
    return this.#broken;
  }

  /**
   * Reads the values of what was found, docs/PROTOCOL.md §5 and §6 step 1. The caller compares `uri` with the Request-URI.
   *
   * @param offeredQop the qop that this proxy offers: an answer must repeat it, and may have no other
   * @returns false when the answer is malformed: {@linkcode fault} says how
   */
  check(offeredQop?: "auth-int"): boolean {
    if (this.#twice >= 0) return this.#fail(this.#twice, "stands twice");
    if (this.#broken) {
      this.#faultField = this.#brokenField;
      this.#faultText = this.#brokenText;
      return false;
    }
    if (!this.#text(ALGORITHM)) return false;
    if (!this.#readAlgorithm()) return this.#fail(ALGORITHM, "is unknown");
    if (!this.#text(SEQ)) return false;
    const none = this.#is(SEQ, "none");
    if (none && this.#values[TOKEN].present) return this.#fail(TOKEN, "must be absent with seq=none");
    if (!this.#checkQop(offeredQop)) return false;
    if (!this.#text(USERNAME) || !this.#text(REALM)) return false;
    if (!this.#hex(NONCE, this.nonce) || !this.#hex(OPAQUE, this.opaque)) return false;
    this.seq = SEQ_NONE;
    this.token = undefined;
    if (!none) {
      if (!this.#readSeq()) return false;
      this.token = this.#tokens[this.algorithm];
      if (!this.#hex(TOKEN, this.token)) return false;
    }
    if (!this.#text(URI)) return false;
    this.response = this.#responses[this.algorithm];
    return this.#hex(RESPONSE, this.response);
  }

  /** What {@linkcode check} found. */
  get fault(): MalformedAuth {
    return { field: this.#faultField, problem: this.#faultText };
  }

  #checkQop(offered: "auth-int" | undefined): boolean {
    if (!this.#values[QOP].present) return offered === undefined || this.#fail(QOP, "is missing");
    if (offered === undefined) return this.#fail(QOP, "was not offered");
    return this.#text(QOP) && (this.#is(QOP, offered) || this.#fail(QOP, "was not offered"));
  }

  #readAlgorithm(): boolean {
    for (let i = 0; i < CHAIN_ALGORITHMS.length; i++) {
      if (!this.#is(ALGORITHM, CHAIN_ALGORITHMS[i])) continue;
      this.algorithm = i;
      return true;
    }
    return false;
  }

  #readSeq(): boolean {
    const { buffer, start, end } = this.#values[SEQ];
    let seq = end - start > 5 || (end - start > 1 && buffer[start] === 0x30) || end === start ? -1 : 0;
    for (let i = start; i < end && seq >= 0; i++) {
      const digit = buffer[i] - 0x30;
      seq = digit >= 0 && digit <= 9 ? seq * 10 + digit : -1;
    }
    if (seq < 0) return this.#fail(SEQ, "is not a canonical decimal number");
    if (seq > MAX_CHAIN - 1) return this.#fail(SEQ, `is not within 0 … ${MAX_CHAIN - 1}`);
    this.seq = seq;
    return true;
  }

  /** Whether a parameter is there, and without control characters. */
  #text(field: number): boolean {
    const { present, buffer, start, end } = this.#values[field];
    if (!present) return this.#fail(field, "is missing");
    if (!this.#unscanned) return true;
    for (let i = start; i < end; i++) {
      if (buffer[i] < 0x20 || buffer[i] === 0x7f) return this.#fail(field, "has a control character");
    }
    return true;
  }

  #hex(field: number, out: Uint8Array): boolean {
    if (!this.#text(field)) return false;
    const { buffer, start, end } = this.#values[field];
    if (fromHexAt(buffer, start, end, out)) return true;
    const digits = out.length * 2;
    return textLength(buffer, start, end) === digits
      ? this.#fail(field, "is not hexadecimal")
      : this.#fail(field, `is not ${digits} hexadecimal digits`);
  }

  #is(field: number, text: string): boolean {
    const { buffer, start, end } = this.#values[field];
    return equalsText(buffer, start, end, text);
  }

  #fail(field: number, problem: string): false {
    this.#faultField = NAMES[field];
    this.#faultText = problem;
    return false;
  }
}

/** The number of a parameter's name in any case, or -1. @param expected is looked at first: senders keep the order of docs/PROTOCOL.md §5 */
function fieldAt(buffer: Uint8Array, start: number, end: number, expected: number): number {
  if (expected < NAMES.length && equalsIgnoreCase(buffer, start, end, NAME_BYTES[expected])) return expected;
  const length = end - start;
  for (let i = 0; i < NAME_BYTES.length; i++) {
    const name = NAME_BYTES[i];
    if (name.length === length && equalsIgnoreCase(buffer, start, end, name)) return i;
  }
  return -1;
}
