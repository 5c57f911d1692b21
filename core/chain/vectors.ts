/** Checks test vectors in the form of tests/vectors/pc.json against this implementation: for `deno task vectors`. */
import { CHAIN_ALGORITHMS, type HashBackend } from "../hash/chain_hash.ts";
import { fromHex, toHex } from "../hash/hex.ts";
import { chainSeed, deriveCredential, ha1, ha1Algorithm } from "./derive.ts";
import { acceptedMac, challengeMac, renewMac, responseMac } from "./mac.ts";

/** One value of a vector that this implementation computes otherwise, or an input that it cannot read. */
export interface VectorDifference {
  readonly field: string;
  /** What the file says. */
  readonly stated: string;
  /** What this implementation gives, or what is wrong with an input. */
  readonly computed: string;
}

const TEXTS = [
  "algorithm",
  "username",
  "realm",
  "password",
  "nonce",
  "opaque",
  "callId",
  "method",
  "uri",
  "body",
  "nextnonce",
];
const NUMBERS = ["chain", "seq", "challengedCseq", "cseq"];

/** Fields of a vector that are wrong before anything is computed. */
function inputFaults(vector: Record<string, unknown>): VectorDifference[] {
  const faults: VectorDifference[] = [];
  const fault = (field: string, problem: string) =>
    faults.push({
      field,
      stated: field in vector ? JSON.stringify(vector[field]) : "nothing",
      computed: problem,
    });
  for (const field of TEXTS) if (typeof vector[field] !== "string") fault(field, "a text is needed");
  for (const field of NUMBERS) {
    if (!Number.isSafeInteger(vector[field])) fault(field, "a whole number is needed");
  }
  if (faults.length > 0) return faults;
  const { algorithm, nonce, chain, seq } = vector as {
    algorithm: string;
    nonce: string;
    chain: number;
    seq: number;
  };
  if (!CHAIN_ALGORITHMS.some((name) => name === algorithm)) {
    fault("algorithm", `one of ${CHAIN_ALGORITHMS.join(", ")}`);
  }
  if (!/^[0-9a-f]{32}$/i.test(nonce)) fault("nonce", "32 hexadecimal digits are needed");
  if (chain < 1 || chain > 65535) fault("chain", "1 … 65535 is needed");
  if (seq < 0 || seq >= chain) fault("seq", "0 … chain - 1 is needed");
  return faults;
}

/**
 * Computes every value of one test vector and compares it with what the vector states.
 *
 * @param vector an object in the form of tests/vectors/pc.json
 * @returns the differences, none when the vector agrees
 */
export function checkVector(hashes: HashBackend, vector: Record<string, unknown>): VectorDifference[] {
  const faults = inputFaults(vector);
  if (faults.length > 0) return faults;
  // inputFaults has looked at the type of each of these.
  const v = vector as Record<string, string> & {
    chain: number;
    seq: number;
    challengedCseq: number;
    cseq: number;
  };
  const hash = hashes.get(CHAIN_ALGORITHMS.find((name) => name === v.algorithm)!);
  const identity = { username: v.username, realm: v.realm };
  const nonce = fromHex(v.nonce);
  const secret = ha1(hashes.get(ha1Algorithm(hash.name)), identity, v.password);
  const seed = chainSeed(hash, secret, nonce, v.chain);
  const { anchor, key } = deriveCredential(hash, secret, identity, nonce, v.chain);
  const request = { method: v.method, uri: v.uri, callId: v.callId, cseq: v.cseq };
  const opaque = v.opaque.toLowerCase();
  const bodyHash = toHex(hash.digest(new TextEncoder().encode(v.body)));
  const next = { nonce: v.nextnonce.toLowerCase(), chain: v.chain };
  const computed: Record<string, string | Uint8Array> = {
    ha1: secret,
    h_0: seed,
    h_1: hash.walk(nonce, 0, seed, 1),
    anchor,
    key,
    token: hash.walk(nonce, 0, seed, v.seq),
    auth: challengeMac(hash, key, opaque, v.seq, { callId: v.callId, cseq: v.challengedCseq }),
    response: responseMac(hash, key, opaque, v.seq, request),
    responseAuthInt: responseMac(hash, key, opaque, v.seq, request, bodyHash),
    renew: renewMac(hash, key, opaque, request),
    rspauth: acceptedMac(hash, key, opaque, v.seq, request),
    rspauthNext: acceptedMac(hash, key, opaque, v.seq, request, next),
  };
  const differences: VectorDifference[] = [];
  for (const [field, value] of Object.entries(computed)) {
    const text = typeof value === "string" ? value : toHex(value);
    const stated: unknown = vector[field];
    if (typeof stated !== "string" || stated.toLowerCase() !== text) {
      differences.push({ field, stated: stated === undefined ? "nothing" : String(stated), computed: text });
    }
  }
  return differences;
}
