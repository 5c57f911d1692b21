/**
 * Verification of one answer against one live credential: docs/PROTOCOL.md §6 steps 2 to 6. All work is done on
 * local values; the credential changes in one place, at the end, and only on `ok`.
 */
import { equalBytes } from "../hash/equal.ts";
import type { ChainHash } from "../hash/chain_hash.ts";
import { toHex } from "../hash/hex.ts";
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
import type { PcAnswer } from "./pc_header.ts";
import { defaultMaxSkip, type VerifierPolicy } from "./policy.ts";
import type { Verdict } from "./verdict.ts";
import { ReplayWindow } from "./window.ts";

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
 * A proxy's state of one credential (docs/PROTOCOL.md §3): index i, value h_i and the replay window. It is never
 * copied to, or restored in, another process.
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
 * const live = new LiveCredential(backend.get("SHA-1"), credential, 0, 3_600_000);
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
  #index: number;
  #nonceHex: string | undefined;
  /** h_i; undefined: the anchor. Most users of a warm-up file never call, so that nothing is unpacked before it is used. */
  #value: Uint8Array | undefined;
  #window: ReplayWindow | undefined;
  #walks: number;
  #walksAt: number;

  /**
   * @param hash the hash of `credential.algorithm`
   * @param issuedAt when it arrived, ms on the proxy's monotonic clock
   * @param expiresAt end of its life, ms on the same clock
   */
  constructor(
    readonly hash: ChainHash,
    readonly credential: Credential,
    readonly issuedAt: number,
    readonly expiresAt: number,
  ) {
    this.#index = credential.n;
    this.#walks = Infinity;
    this.#walksAt = issuedAt;
  }

  /** hex(N), lower case: how challenges and answers name the credential. */
  get nonceHex(): string {
    return this.#nonceHex ??= toHex(this.credential.nonce);
  }

  /** i: the index of the last accepted token, n when none was. Tokens below it are left. */
  get index(): number {
    return this.#index;
  }

  /** Whether a token of it was ever accepted. */
  get touched(): boolean {
    return this.#index < this.credential.n;
  }

  /** Whether the credential's time is over. */
  isExpired(now: number): boolean {
    return now >= this.expiresAt;
  }

  /** Whether a challenge may offer it: alive, and with a token left (docs/PROTOCOL.md §4). */
  canOffer(now: number): boolean {
    return this.#index > 0 && now < this.expiresAt;
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
    const { hash, credential: { key, n } } = this;
    if (this.isExpired(now)) return "expired";
    const expected = answer.seq === undefined
      ? renewMac(hash, key, opaque, request, request.bodyHash)
      : responseMac(hash, key, opaque, answer.seq, request, request.bodyHash);
    if (!equalBytes(answer.response, expected)) return "bad_response";
    if (answer.seq === undefined) return "renew";
    const seq = answer.seq;
    if (seq > n - 1) return "malformed";
    if (seq < this.#index - (policy.maxSkip ?? defaultMaxSkip(n))) return "out_of_range";
    return seq < this.#index
      ? this.#acceptNext(seq, answer.token!, now, policy)
      : this.#acceptSkipped(seq, answer.token!, now, policy);
  }

  get #reached(): Uint8Array {
    return this.#value ?? this.credential.anchor;
  }

  /** A token below i: walk it up to h_i. */
  #acceptNext(seq: number, token: Uint8Array, now: number, policy: VerifierPolicy): CredentialVerdict {
    const drop = this.#index - seq;
    if (drop > 1 && !this.#mayWalk(now, policy)) return "bad_token";
    if (!this.hash.verify(this.credential.nonce, seq, token, drop, this.#reached)) {
      this.#walkFailed(now, policy);
      return "bad_token";
    }
    if (drop > 1) this.#window ??= new ReplayWindow();
    this.#window?.advance(this.#index, seq, now);
    this.#index = seq;
    this.#value = token.slice(); // the caller's may be a view of a buffer that is used again
    if (drop === 1 && this.#window?.isEmpty(now, policy.reorderMs)) this.#window = undefined;
    return "ok";
  }

  /** A token at or above i: good once, if it was skipped a short while ago. */
  #acceptSkipped(seq: number, token: Uint8Array, now: number, policy: VerifierPolicy): CredentialVerdict {
    if (!this.#window?.isOpen(this.#index, seq, now, policy.reorderMs)) return "replayed";
    if (!this.#mayWalk(now, policy)) return "bad_token";
    if (!this.hash.verify(this.credential.nonce, this.#index, this.#reached, seq - this.#index, token)) {
      this.#walkFailed(now, policy);
      return "bad_token";
    }
    this.#window.close(seq);
    return "ok";
  }

  /** Refills the bucket of failed walks; whether a walk of more than the next token may be tried. */
  #mayWalk(now: number, policy: VerifierPolicy): boolean {
    this.#refill(now, policy);
    return this.#walks >= 1;
  }

  #walkFailed(now: number, policy: VerifierPolicy): void {
    this.#refill(now, policy);
    this.#walks = Math.max(0, this.#walks - 1);
  }

  #refill(now: number, policy: VerifierPolicy): void {
    const refill = (now - this.#walksAt) / 1000 * policy.failedWalksPerSecond;
    this.#walks = Math.min(policy.failedWalks, this.#walks + refill);
    this.#walksAt = now;
  }

  /** `auth` of a guided challenge that offers this credential with `seq` = i - 1, docs/PROTOCOL.md §4. */
  challengeAuth(opaque: string, request: RequestIdentity): Uint8Array {
    return challengeMac(this.hash, this.credential.key, opaque, this.#index - 1, request);
  }

  /** `rspauth` for an accepted token, docs/PROTOCOL.md §7. */
  rspauth(opaque: string, seq: number, request: RequestIdentity, next: NextNonce | undefined): Uint8Array {
    return acceptedMac(this.hash, this.credential.key, opaque, seq, request, next);
  }
}
