/** Proofs that both ends of a DBclient link know the pre-shared key (docs/PROTOCOL.md §9). */
import type { ChainHash } from "../hash/chain_hash.ts";
import { equalBytes } from "../hash/equal.ts";
import { PROOF_BYTES, PROOF_LABEL } from "./constants.ts";
import { encodeFrame, type HelloFrame, type WelcomeFrame } from "./frame.ts";

const encoder = new TextEncoder();

/**
 * HMAC-SHA-256(key, label || the whole HELLO frame || the WELCOME frame up to its proof count). Frames have one
 * spelling, so that encoding the decoded frame gives the bytes that were on the wire; the length field of WELCOME is
 * that of the frame with its proofs.
 *
 * @param sha256 the SHA-256 backend
 * @param role who proves
 * @param proofs how many proofs WELCOME carries
 * @example
 * ```ts
 * import { handshakeProof, loadHashBackend } from "../../mod.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const sha256 = (await loadHashBackend("noble")).backend.get("SHA-256");
 * const hello = { type: "HELLO", id: 0, proxy: "p1", random: new Uint8Array(16), serial: 0 } as const;
 * const welcome = { type: "WELCOME", id: 0, random: new Uint8Array(16), n: 10, ttl: 3600, serial: 0, proofs: [] } as const;
 * assertEquals(handshakeProof(sha256, new Uint8Array(16), "proxy", hello, welcome, 1).length, 32);
 * ```
 */
export function handshakeProof(
  sha256: ChainHash,
  key: Uint8Array,
  role: keyof typeof PROOF_LABEL,
  hello: HelloFrame,
  welcome: WelcomeFrame,
  proofs: number,
): Uint8Array {
  const label = encoder.encode(PROOF_LABEL[role]);
  const helloBytes = encodeFrame(hello);
  const welcomeBytes = encodeFrame({ ...welcome, proofs: [] });
  new DataView(welcomeBytes.buffer).setUint32(0, welcomeBytes.length - 4 + proofs * PROOF_BYTES);
  const data = new Uint8Array(label.length + helloBytes.length + welcomeBytes.length - 1);
  data.set(label);
  data.set(helloBytes, label.length);
  // The last byte of a WELCOME without proofs is the proof count.
  data.set(welcomeBytes.subarray(0, -1), label.length + helloBytes.length);
  return sha256.hmac(key, data);
}

/**
 * The first of `keys` under which one of `proofs` is right, or undefined. All keys are tried in any case, each
 * comparison in constant time.
 */
export function keyOfProof(
  sha256: ChainHash,
  keys: readonly Uint8Array[],
  role: keyof typeof PROOF_LABEL,
  hello: HelloFrame,
  welcome: WelcomeFrame,
  proofs: readonly Uint8Array[],
): Uint8Array | undefined {
  let found: Uint8Array | undefined;
  for (const key of keys) {
    const expected = handshakeProof(sha256, key, role, hello, welcome, welcome.proofs.length);
    for (const proof of proofs) {
      const right = equalBytes(expected, proof);
      if (right && found === undefined) found = key;
    }
  }
  return found;
}
