/** What every backend checks of its caller and of itself. */
import type { ChainAlgorithm } from "./chain_hash.ts";
import { toHex } from "./hex.ts";

/** Length of N in bytes, docs/PROTOCOL.md §3. */
export const NONCE_SIZE = 16;
/** Block length B of MD5, SHA-1 and SHA-256 in bytes, RFC 2104 §2. */
export const BLOCK_SIZE = 64;
/** Indices are 32 bits wide in a link, docs/PROTOCOL.md §3. */
const MAX_INDEX = 0xffffffff;

/** Digest lengths in bytes, docs/PROTOCOL.md §2. */
export const DIGEST_SIZE: Readonly<Record<ChainAlgorithm, number>> = {
  "MD5": 16,
  "SHA-1": 20,
  "SHA-256": 32,
};

/** H("abc"): RFC 1321 §A.5 and FIPS 180 examples. */
const OF_ABC: Readonly<Record<ChainAlgorithm, string>> = {
  "MD5": "900150983cd24fb0d6963f7d28e17f72",
  "SHA-1": "a9993e364706816aba3e25717850c26c9cd0d89d",
  "SHA-256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
};

/** @throws {RangeError} on a nonce of the wrong length, or indices that are none */
export function checkNonceAndLinks(nonce: Uint8Array, from: number, links: number): void {
  if (nonce.length !== NONCE_SIZE) {
    throw new RangeError(`nonce of ${nonce.length} bytes, not ${NONCE_SIZE}`);
  }
  if (!(Number.isInteger(from) && Number.isInteger(links) && from >= 0 && links >= 0)) {
    throw new RangeError(`walk from ${from} by ${links} links: both are whole numbers from 0 up`);
  }
  if (from + links > MAX_INDEX) throw new RangeError(`walk from ${from} by ${links} links passes 2^32 - 1`);
}

/** @throws {RangeError} on what `ChainHash.walk` does not take */
export function checkWalk(
  name: ChainAlgorithm,
  nonce: Uint8Array,
  from: number,
  value: Uint8Array,
  links: number,
): void {
  if (value.length !== DIGEST_SIZE[name]) {
    throw new RangeError(`${name} chain value of ${value.length} bytes, not ${DIGEST_SIZE[name]}`);
  }
  checkNonceAndLinks(nonce, from, links);
}

/** @throws {RangeError} on what `ChainHash.hmacInto` does not take */
export function checkHmacInto(size: number, data: Uint8Array, length: number, out: Uint8Array): void {
  if (out.length < size) throw new RangeError(`room for ${out.length} bytes of a MAC of ${size}`);
  if (!(Number.isInteger(length) && length >= 0 && length <= data.length)) {
    throw new RangeError(`a message of ${length} bytes in an array of ${data.length}`);
  }
}

/** Refuses a runtime that starts but miscounts. */
export function checkDigest(
  backend: string,
  name: ChainAlgorithm,
  hash: (data: Uint8Array) => Uint8Array,
): void {
  if (toHex(hash(new Uint8Array([0x61, 0x62, 0x63]))) !== OF_ABC[name]) {
    throw new Error(`${backend} gives wrong digests on this machine`);
  }
}
