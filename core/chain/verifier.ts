/**
 * Verification of one answer against one live credential: docs/PROTOCOL.md §6 steps 2 to 6. Index, value and window
 * change in one place, at the end, and only on `ok`; a failed walk is counted with `bad_token`.
 */
import { equalBytes } from "../hash/equal.ts";
import { CHAIN_ALGORITHMS, type ChainAlgorithm, type ChainHash } from "../hash/chain_hash.ts";
import { isHexOf, toHex } from "../hash/hex.ts";
import type { Credential } from "./derive.ts";
import {
  acceptedMac,
  challengeMac,
  type MacRequest,
  type NextNonce,
  renewMac,
  type RequestIdentity,
  responseMac,
} from "./mac.ts";
import type { MacText } from "./mac_text.ts";
import { DIGEST_BYTES, type PcAnswerView } from "./pc_answer_view.ts";
import type { PcAnswer } from "./pc_header.ts";
import { defaultMaxSkip, type VerifierPolicy } from "./policy.ts";
import type { Verdict } from "./verdict.ts";
import { ReplayWindow } from "./window.ts";

/** Room for the MAC that an answer should have, by the numbers of the algorithms. */
const EXPECTED = CHAIN_ALGORITHMS.map((algorithm) => new Uint8Array(DIGEST_BYTES[algorithm]));

/** The verdicts that a look at one credential can give. */
export type CredentialVerdict = Extract<
  Verdict,
  "ok" | "malformed" | "expired" | "bad_response" | "bad_token" | "out_of_range" | "replayed" | "renew"
>;

/** A request as the verifier sees it: what the response MAC binds, and the body hash under auth-int. */
export interface VerifiedRequest extends MacRequest {
  /** hex(H(body)) in lower case; present exactly when the proxy offers `qop=auth-int`. */
  readonly bodyHash?: string;
}

/**
 * What a proxy knows of one credential (docs/PROTOCOL.md §3), as plain values: who keeps many of them keeps them in
 * a form of its own. It is never copied to, or restored in, another process.
 */
export interface CredentialState {
  /** That of the credential's algorithm. */
  hash: ChainHash;
  /** N, 16 bytes. */
  nonce: Uint8Array;
  /** K, `hash.size` bytes. */
  key: Uint8Array;
  /** Chain length. */
  n: number;
  /** When it arrived, ms on the proxy's monotonic clock. */
  issuedAt: number;
  /** End of its life, ms on the same clock. */
  expiresAt: number;
  /** i: the index of the last accepted token, n when none was. */
  index: number;
  /** h_i, `hash.size` bytes; overwritten when a token is accepted. */
  value: Uint8Array;
  /** Tokens of the bucket of failed walks at `walksAt`; Infinity for a full one. */
  walks: number;
  /** ms */
  walksAt: number;
  /** Absent while no token is open. */
  window: ReplayWindow | undefined;
}

/**
 * One live credential and the verification of answers that name it.
 *
 * @example
 * ```ts
 * import {
 *   DEFAULT_VERIFIER_POLICY,
 *   deriveCredential,
 *   ha1,
 *   LiveCredential,
 *   loadHashBackend,
 *   PcAgent,
 *   seededRandom,
 * } from "../../mod.ts";
 * import { assert, assertEquals } from "@std/assert";
 *
 * const { backend } = await loadHashBackend();
 * const account = { username: "alice", realm: "example.com", password: "secret" };
 * const secret = ha1(backend.get("MD5"), account, account.password);
 * const credential = deriveCredential(backend.get("SHA-1"), secret, account, new Uint8Array(16), 10);
 * const live = LiveCredential.issued(backend.get("SHA-1"), credential, 0, 3_600_000);
 *
 * const opaque = "0123456789abcdef";
 * const challenge = { ...account, algorithm: "SHA-1", nonce: live.nonceHex, chain: 10, opaque } as const;
 * const request = { method: "INVITE", uri: "sip:bob@example.com", callId: "c@host", cseq: 2 };
 * const agent = new PcAgent(backend, seededRandom(1), [account]);
 * const reaction = agent.challenged(agent.begin("proxy"), [challenge], { callId: "c@host", cseq: 1 }, request);
 * assert(reaction.kind === "answer");
 * const [answer] = reaction.answers;
 * assertEquals(live.verify(answer, request, opaque, 10, DEFAULT_VERIFIER_POLICY), "ok");
 * assertEquals(live.verify(answer, request, opaque, 20, DEFAULT_VERIFIER_POLICY), "replayed");
 * assertEquals(live.index, 9);
 * ```
 */
export class LiveCredential {
  constructor(readonly state: CredentialState) {}

  /**
   * A credential of which no token was used.
   *
   * @param hash the hash of `credential.algorithm`
   * @param issuedAt when it arrived, ms on the proxy's monotonic clock
   * @param expiresAt end of its life, ms on the same clock
   */
  static issued(
    hash: ChainHash,
    credential: Credential,
    issuedAt: number,
    expiresAt: number,
  ): LiveCredential {
    const { nonce, key, n, anchor } = credential;
    return new LiveCredential({
      hash,
      nonce,
      key,
      n,
      issuedAt,
      expiresAt,
      index: n,
      value: anchor.slice(),
      walks: Infinity,
      walksAt: issuedAt,
      window: undefined,
    });
  }

  get algorithm(): ChainAlgorithm {
    return this.state.hash.name;
  }

  /** hex(N), lower case: how challenges and answers name the credential. */
  get nonceHex(): string {
    return toHex(this.state.nonce);
  }

  /** Whether an answer with this algorithm and this nonce, hexadecimal in lower case, is for this credential. */
  isNamed(algorithm: ChainAlgorithm, nonce: string): boolean {
    return this.state.hash.name === algorithm && isHexOf(nonce, this.state.nonce);
  }

  /** Chain length. */
  get n(): number {
    return this.state.n;
  }

  /** When it arrived, ms on the proxy's monotonic clock. */
  get issuedAt(): number {
    return this.state.issuedAt;
  }

  /** End of its life, ms on the same clock. */
  get expiresAt(): number {
    return this.state.expiresAt;
  }

  /** i: the index of the last accepted token, n when none was. Tokens below it are left. */
  get index(): number {
    return this.state.index;
  }

  /** Whether a token of it was ever accepted. */
  get touched(): boolean {
    return this.state.index < this.state.n;
  }

  /** Whether the credential's time is over. */
  isExpired(now: number): boolean {
    return now >= this.state.expiresAt;
  }

  /** Whether a challenge may offer it: alive, and with a token left (docs/PROTOCOL.md §4). */
  canOffer(now: number): boolean {
    return this.state.index > 0 && now < this.state.expiresAt;
  }

  /**
   * Verifies an answer that names this credential.
   *
   * @param opaque of this run of the proxy; the caller has compared it with the answer's
   * @param now ms, monotonic
   */
  verify(
    answer: PcAnswer,
    request: VerifiedRequest,
    opaque: string,
    now: number,
    policy: VerifierPolicy,
  ): CredentialVerdict {
    const { hash, key } = this.state;
    if (this.isExpired(now)) return "expired";
    const expected = answer.seq === undefined
      ? renewMac(hash, key, opaque, request, request.bodyHash)
      : responseMac(hash, key, opaque, answer.seq, request, request.bodyHash);
    if (!equalBytes(answer.response, expected)) return "bad_response";
    return answer.seq === undefined ? "renew" : this.#accept(answer.seq, answer.token!, now, policy);
  }

  /**
   * {@linkcode verify} from bytes, without garbage.
   *
   * @param answer read without a fault, and of this credential's algorithm
   * @param text what its `response` should be made over ({@linkcode MacText.response})
   */
  verifyView(answer: PcAnswerView, text: MacText, now: number, policy: VerifierPolicy): CredentialVerdict {
    const { hash, key } = this.state;
    if (this.isExpired(now)) return "expired";
    const expected = EXPECTED[answer.algorithm];
    hash.hmacInto(key, text.buffer, text.length, expected);
    if (!equalBytes(answer.response, expected)) return "bad_response";
    return answer.token === undefined ? "renew" : this.#accept(answer.seq, answer.token, now, policy);
  }

  /** Steps 4 and 5 of docs/PROTOCOL.md §6: the MAC was right. */
  #accept(seq: number, token: Uint8Array, now: number, policy: VerifierPolicy): CredentialVerdict {
    const { n, index } = this.state;
    if (seq > n - 1) return "malformed";
    if (seq < index - (policy.maxSkip ?? defaultMaxSkip(n))) return "out_of_range";
    return seq < index
      ? acceptNext(this.state, seq, token, now, policy)
      : acceptSkipped(this.state, seq, token, now, policy);
  }

  /** `auth` of a guided challenge that offers this credential with `seq` = i - 1, docs/PROTOCOL.md §4. */
  challengeAuth(opaque: string, request: RequestIdentity): Uint8Array {
    const { hash, key, index } = this.state;
    return challengeMac(hash, key, opaque, index - 1, request);
  }

  /** `rspauth` for an accepted token, docs/PROTOCOL.md §7. */
  rspauth(opaque: string, seq: number, request: RequestIdentity, next: NextNonce | undefined): Uint8Array {
    return acceptedMac(this.state.hash, this.state.key, opaque, seq, request, next);
  }
}

/** A token below i: walk it up to h_i. */
function acceptNext(
  state: CredentialState,
  seq: number,
  token: Uint8Array,
  now: number,
  policy: VerifierPolicy,
): CredentialVerdict {
  const drop = state.index - seq;
  if (drop > 1 && !mayWalk(state, now, policy)) return "bad_token";
  if (!state.hash.verify(state.nonce, seq, token, drop, state.value)) {
    walkFailed(state, now, policy);
    return "bad_token";
  }
  if (drop > 1) state.window ??= new ReplayWindow();
  state.window?.advance(state.index, seq, now);
  state.index = seq;
  state.value.set(token); // a copy: the caller's may be a view of a buffer that is used again
  if (drop === 1 && state.window?.isEmpty(now, policy.reorderMs)) state.window = undefined;
  return "ok";
}

/** A token at or above i: good once, if it was skipped a short while ago. */
function acceptSkipped(
  state: CredentialState,
  seq: number,
  token: Uint8Array,
  now: number,
  policy: VerifierPolicy,
): CredentialVerdict {
  if (!state.window?.isOpen(state.index, seq, now, policy.reorderMs)) return "replayed";
  if (!mayWalk(state, now, policy)) return "bad_token";
  if (!state.hash.verify(state.nonce, state.index, state.value, seq - state.index, token)) {
    walkFailed(state, now, policy);
    return "bad_token";
  }
  state.window.close(seq);
  return "ok";
}

/** Refills the bucket of failed walks; whether a walk of more than the next token may be tried. */
function mayWalk(state: CredentialState, now: number, policy: VerifierPolicy): boolean {
  refill(state, now, policy);
  return state.walks >= 1;
}

function walkFailed(state: CredentialState, now: number, policy: VerifierPolicy): void {
  refill(state, now, policy);
  state.walks = Math.max(0, state.walks - 1);
}

function refill(state: CredentialState, now: number, policy: VerifierPolicy): void {
  const refill = (now - state.walksAt) / 1000 * policy.failedWalksPerSecond;
  state.walks = Math.min(policy.failedWalks, state.walks + refill);
  state.walksAt = now;
}
