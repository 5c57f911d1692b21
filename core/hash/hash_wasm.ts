/** The default backend: the hash-wasm package, one WebAssembly instance per algorithm. */
import type { IHasher } from "hash-wasm";
import type { ChainAlgorithm, HashBackend } from "./chain_hash.ts";
import { checkDigest } from "./check.ts";
import { type HashFunction, singleLaneBackend } from "./single_lane.ts";

function hashFunction(name: ChainAlgorithm, hasher: IHasher): HashFunction {
  const hash: HashFunction = (data) => hasher.init().update(data).digest("binary");
  checkDigest("hash-wasm", name, hash);
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
    "MD5": hashFunction("MD5", md5),
    "SHA-1": hashFunction("SHA-1", sha1),
    "SHA-256": hashFunction("SHA-256", sha256),
  });
}
