/** What the tests of this folder share: accounts, credentials, answers, and a proxy reduced to what an agent sees. */
import { isMalformed, type MalformedAuth } from "../sip/auth_fields.ts";
import type { ChainAlgorithm, ChainHash } from "../hash/chain_hash.ts";
import { toHex } from "../hash/hex.ts";
import { loadHashBackend } from "../hash/select.ts";
import { type Random, seededRandom } from "../random.ts";
import { parseAuth } from "../sip/auth_params.ts";
import type { AgentAccount } from "./agent_types.ts";
import { chainSeed, type Credential, deriveCredential, ha1, ha1Algorithm } from "./derive.ts";
import { renewMac, responseMac } from "./mac.ts";
import {
  parsePcAnswer,
  parsePcChallenge,
  parsePcInfo,
  type PcAnswer,
  type PcChallenge,
  type PcInfo,
  writePcAnswer,
  writePcChallenge,
  writePcInfo,
} from "./pc_header.ts";
import { DEFAULT_VERIFIER_POLICY } from "./policy.ts";
import { VERDICTS } from "./verdict.ts";
import { type CredentialVerdict, LiveCredential, type VerifiedRequest } from "./verifier.ts";

export const { backend } = await loadHashBackend();
export const OPAQUE = "0123456789abcdef";
export const ALICE: AgentAccount = { username: "alice", realm: "example.com", password: "secret" };
export const INVITE: VerifiedRequest = {
  method: "INVITE",
  uri: "sip:bob@example.com",
  callId: "a84b4c76e66710@pc33.example.com",
  cseq: 2,
};

/** S of an account. */
export function secretOf(account: AgentAccount, algorithm: ChainAlgorithm): string {
  return ha1(backend.get(ha1Algorithm(algorithm)), account, account.password);
}

/** A credential as DBclient issues it, together with what only the user can compute. */
export class IssuedChain {
  readonly hash: ChainHash;
  readonly credential: Credential;
  readonly #chain: Uint8Array;

  constructor(
    n = 10,
    algorithm: ChainAlgorithm = "SHA-1",
    readonly account: AgentAccount = ALICE,
    nonce: Uint8Array = new Uint8Array(16).fill(7),
  ) {
    this.hash = backend.get(algorithm);
    const secret = secretOf(account, algorithm);
    this.credential = deriveCredential(this.hash, secret, account, nonce, n);
    this.#chain = this.hash.chain(nonce, chainSeed(this.hash, secret, nonce, n), n);
  }

  /** h_j. */
  token(j: number): Uint8Array {
    return this.#chain.slice(j * this.hash.size, (j + 1) * this.hash.size);
  }

  /** A proxy's state of it, in force from 0 to `expiresAt` ms. */
  live(expiresAt = 3_600_000, hash: ChainHash = this.hash): LiveCredential {
    return LiveCredential.issued(hash, this.credential, 0, expiresAt);
  }

  /** A right answer with h_j; `changes` are applied after its MAC was computed. */
  answer(j: number, changes: Partial<PcAnswer> = {}, request: VerifiedRequest = INVITE): PcAnswer {
    const response = responseMac(this.hash, this.credential.key, OPAQUE, j, request, request.bodyHash);
    const token = j < this.credential.n ? this.token(j) : new Uint8Array(this.hash.size);
    return { ...this.#fields(request), seq: j, token, response, ...changes };
  }

  /** A right answer that asks for a new credential. */
  renewal(changes: Partial<PcAnswer> = {}, request: VerifiedRequest = INVITE): PcAnswer {
    const response = renewMac(this.hash, this.credential.key, OPAQUE, request, request.bodyHash);
    return { ...this.#fields(request), seq: undefined, token: undefined, response, ...changes };
  }

  #fields({ uri, bodyHash }: VerifiedRequest) {
    const { algorithm, username, realm, nonce } = this.credential;
    const qop = bodyHash === undefined ? undefined : "auth-int" as const;
    return { algorithm, username, realm, nonce: toHex(nonce), opaque: OPAQUE, uri, qop };
  }
}

/** The value, or an error that names the field at fault. */
export function wellFormed<T extends object>(result: T | MalformedAuth): T {
  if (isMalformed(result)) throw new Error(`malformed: ${result.field} ${result.problem}`);
  return result;
}

/** What a hop says to a request. */
export type HopResponse =
  | { readonly status: 200; readonly infos: PcInfo[]; readonly verdict: CredentialVerdict }
  | { readonly status: 407; readonly challenge: PcChallenge; readonly verdict: CredentialVerdict | "none" };

/**
 * One proxy in front of one user: docs/PROTOCOL.md §4, §6 and §7 without look-ups, limits and SIP. Everything it reads
 * and says passes through the text of the headers.
 */
export class TestProxy {
  readonly #random: Random;
  readonly opaque: string;
  /** Newest first, two at most. */
  credentials: LiveCredential[] = [];
  /** All that it ever had. */
  readonly issued: IssuedChain[] = [];

  constructor(
    readonly account: AgentAccount,
    readonly n: number,
    seed: number,
    readonly options: {
      confirms?: boolean;
      announces?: boolean;
      qop?: "auth-int";
      algorithm?: ChainAlgorithm;
    } = {},
  ) {
    this.#random = seededRandom(seed);
    this.opaque = toHex(this.#random.bytes(8));
  }

  get newest(): LiveCredential {
    if (this.credentials.length === 0) this.issue();
    return this.credentials[0];
  }

  issue(): void {
    const { algorithm = "SHA-1" } = this.options;
    const nonce = this.#random.bytes(16);
    const chain = new IssuedChain(this.n, algorithm, this.account, nonce);
    this.issued.push(chain);
    this.credentials = [chain.live(Infinity), ...this.credentials].slice(0, 2);
  }

  /** Takes a request with the answers of all realms. */
  receive(request: VerifiedRequest, answers: readonly PcAnswer[], now = 0): HopResponse {
    const { qop } = this.options;
    const ours = answers.filter(({ realm }) => realm === this.account.realm)
      .map((answer) => wellFormed(parsePcAnswer(parseAuth(writePcAnswer(answer)), qop)));
    for (const answer of ours) {
      const live = this.credentials.find(({ nonceHex }) => nonceHex === answer.nonce);
      if (live === undefined || answer.opaque !== this.opaque) continue;
      const verdict = live.verify(answer, request, this.opaque, now, DEFAULT_VERIFIER_POLICY);
      if (verdict === "ok") return { status: 200, infos: this.#confirm(live, answer.seq!, request), verdict };
      const { renew, answer: kind } = VERDICTS[verdict];
      if (renew && live === this.newest) this.issue();
      return { status: 407, challenge: this.challenge(kind === "guided" ? request : undefined), verdict };
    }
    return { status: 407, challenge: this.challenge(), verdict: "none" };
  }

  /** A challenge, guided when the request that it answers is given. */
  challenge(guided?: VerifiedRequest): PcChallenge {
    if (this.newest.index === 0) this.issue();
    const live = this.newest;
    return wellFormed(parsePcChallenge(parseAuth(writePcChallenge({
      realm: this.account.realm,
      algorithm: live.algorithm,
      nonce: live.nonceHex,
      chain: this.n,
      opaque: this.opaque,
      qop: this.options.qop,
      guide: guided && { seq: live.index - 1, auth: live.challengeAuth(this.opaque, guided) },
    }))));
  }

  #confirm(live: LiveCredential, seq: number, request: VerifiedRequest): PcInfo[] {
    const { confirms = true, announces = false } = this.options;
    if (!confirms) return [];
    if (announces && live === this.newest && live.index <= 1) this.issue();
    const next = this.newest === live || this.newest.touched
      ? undefined
      : { nonce: this.newest.nonceHex, chain: this.n };
    const rspauth = live.rspauth(this.opaque, seq, request, next);
    const info = { realm: this.account.realm, nonce: live.nonceHex, seq, rspauth, next };
    return [wellFormed(parsePcInfo(parseAuth(writePcInfo(info))))];
  }
}

/** Bytes of a hexadecimal text with one bit changed. */
export function flipped(bytes: Uint8Array): Uint8Array {
  const copy = bytes.slice();
  copy[copy.length - 1] ^= 1;
  return copy;
}

/** `count` different nonces as hexadecimal, from a seed. */
export function nonces(count: number, seed: number): string[] {
  const random = seededRandom(seed);
  return Array.from({ length: count }, () => toHex(random.bytes(16)));
}
