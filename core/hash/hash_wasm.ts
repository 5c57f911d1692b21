/** The default backend: the hash-wasm package, one WebAssembly instance per algorithm. */
import type { IHasher } from "hash-wasm";
import type { HashBackend } from "./chain_hash.ts";
import { type HashFunction, singleLaneBackend } from "./single_lane.ts";
import { toHex } from "./hex.ts";

/** H("abc"): RFC 1321 §A.5 and FIPS 180 examples. A runtime that compiles but miscounts must not be used. */
const OF_ABC = {
  md5: "900150983cd24fb0d6963f7d28e17f72",
  sha1: "a9993e364706816aba3e25717850c26c9cd0d89d",
  sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
} as const;

function hashFunction(hasher: IHasher, ofAbc: string): HashFunction {
  const hash: HashFunction = (data) => hasher.init().update(data).digest("binary");
  if (toHex(hash(new Uint8Array([0x61, 0x62, 0x63]))) !== ofAbc) {
    throw new Error("hash-wasm gives wrong digests on this machine");
  }
  return hash;
}

/**
 * Loads the package and starts its three instances; after that everything is synchronous.
 *
 * @throws {Error} if the package is missing, or WebAssembly is missing or does not start
 */
export async function loadHashWasm(): Promise<HashBackend> {
  // Loaded here and not at the top: who has chosen another backend needs neither the package nor WebAssembly.
  const { createMD5, createSHA1, createSHA256 } = await import("hash-wasm");
  const [md5, sha1, sha256] = await Promise.all([createMD5(), createSHA1(), createSHA256()]);
  return singleLaneBackend("hash-wasm", {
    "MD5": hashFunction(md5, OF_ABC.md5),
    "SHA-1": hashFunction(sha1, OF_ABC.sha1),
    "SHA-256": hashFunction(sha256, OF_ABC.sha256),
  });
}
