/**
 * Stateless nonces (RFC 7616 §3.3, RFC 3261 §22.4): a nonce carries its own time and a MAC, so the server keeps
 * nothing for those that it has given out, however many there are.
 *
 *     nonce = hex( u48(time) || 8 random bytes || first 16 bytes of
 *                  HMAC-SHA-256(key, "Digest nonce" LF realm LF u48(time) || random bytes) )
 */
import type { ChainHash } from "../hash/chain_hash.ts";
import { equalBytes } from "../hash/equal.ts";
import { fromHex, isHex, toHex } from "../hash/hex.ts";
import type { Random } from "../random.ts";

/** What {@linkcode DigestNonces.check} says of a nonce: ours and young, ours and too old, or not ours. */
export type NonceStatus = "ok" | "stale" | "invalid";

/** How long a nonce is good, ms (our choice; the field uses 30 s to some minutes). */
export const DEFAULT_NONCE_LIFETIME_MS = 300_000;

const TIME_BYTES = 6;
const RANDOM_BYTES = 8;
const MAC_BYTES = 16;
const SIGNED_BYTES = TIME_BYTES + RANDOM_BYTES;
const NONCE_BYTES = SIGNED_BYTES + MAC_BYTES;

/** Makes and checks the nonces of one realm. */
export class DigestNonces {
  /** ms. */
  readonly lifetimeMs: number;
  readonly #hash: ChainHash;
  readonly #key: Uint8Array;
  /** Label, realm and the signed bytes: what the MAC covers, contiguous. */
  readonly #message: Uint8Array;
  readonly #signedAt: number;

  /**
   * @param options.hash SHA-256 of a backend
   * @param options.key 16 random bytes or more, drawn when the server starts; a nonce of another key is invalid.
   * Workers that share it must share the clock behind `now` too
   * @param options.lifetimeMs default {@linkcode DEFAULT_NONCE_LIFETIME_MS}
   * @throws {RangeError} if the key is short, the hash is another or the lifetime is not positive
   */
  constructor(
    options: {
      readonly hash: ChainHash;
      readonly key: Uint8Array;
      readonly realm: string;
      readonly lifetimeMs?: number;
    },
  ) {
    const { hash, key, realm, lifetimeMs = DEFAULT_NONCE_LIFETIME_MS } = options;
    if (hash.name !== "SHA-256") throw new RangeError(`nonces are signed with SHA-256, not ${hash.name}`);
    if (key.length < 16) throw new RangeError(`nonce key of ${key.length} bytes; at least 16 are needed`);
    if (!(lifetimeMs > 0)) throw new RangeError(`nonce lifetime of ${lifetimeMs} ms; it must be positive`);
    this.lifetimeMs = lifetimeMs;
    this.#hash = hash;
    this.#key = new Uint8Array(key);
    const label = new TextEncoder().encode(`Digest nonce\n${realm}\n`);
    this.#message = new Uint8Array(label.length + SIGNED_BYTES);
    this.#message.set(label);
    this.#signedAt = label.length;
  }

  /** A new nonce: 60 hexadecimal digits. */
  make(now: number, random: Random): string {
    const nonce = new Uint8Array(NONCE_BYTES);
    const view = new DataView(nonce.buffer);
    const time = Math.floor(now);
    view.setUint16(0, Math.floor(time / 2 ** 32));
    view.setUint32(2, time % 2 ** 32);
    nonce.set(random.bytes(RANDOM_BYTES), TIME_BYTES);
    nonce.set(this.#mac(nonce), SIGNED_BYTES);
    return toHex(nonce);
  }

  /** Whether `nonce` is one of ours, and still good at `now`. */
  check(nonce: string, now: number): NonceStatus {
    // Upper case would be another spelling of the same nonce, and so a way around the count of its uses.
    if (!isHex(nonce, NONCE_BYTES) || nonce !== nonce.toLowerCase()) return "invalid";
    const bytes = fromHex(nonce);
    if (!equalBytes(this.#mac(bytes), bytes.subarray(SIGNED_BYTES))) return "invalid";
    const age = Math.floor(now) - this.issuedAt(nonce);
    return age >= 0 && age < this.lifetimeMs ? "ok" : "stale";
  }

  /** When a nonce that {@linkcode check} found to be ours was made, ms. */
  issuedAt(nonce: string): number {
    return parseInt(nonce.slice(0, TIME_BYTES * 2), 16);
  }

  #mac(nonce: Uint8Array): Uint8Array {
    this.#message.set(nonce.subarray(0, SIGNED_BYTES), this.#signedAt);
    return this.#hash.hmac(this.#key, this.#message).subarray(0, MAC_BYTES);
  }
}
