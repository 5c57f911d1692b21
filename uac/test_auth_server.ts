/**
 * For tests: a server that makes real challenges, of PC with a live credential per user and of Digest, and answers
 * the calls itself. It speaks for a proxy with the called side behind it.
 */
import {
  type Address,
  DEFAULT_VERIFIER_POLICY,
  deriveCredential,
  digestHa1,
  DigestHasher,
  digestMatches,
  DigestNonces,
  DigestServer,
  ha1,
  type HashBackend,
  HeaderId,
  isMalformed,
  LiveCredential,
  NonceUses,
  parseAuthAt,
  parsePcAnswer,
  PC_SCHEME,
  type PcAnswer,
  response,
  SipMessage,
  toHex,
  writePcChallenge,
  writePcInfo,
} from "../mod.ts";
import type { TestNetwork } from "./test_network.ts";

/** How the server behaves. */
export interface AuthServerOptions {
  readonly hashes: HashBackend;
  readonly realm: string;
  /** Challenges offered, in this order. */
  readonly offers: readonly ("PC" | "Digest")[];
  /** Methods that are authenticated. */
  readonly methods: readonly string[];
  /** Length of the chains. */
  readonly chain: number;
  readonly password: (user: string) => string;
  /** What it proves with an accepted PC answer. */
  proof: "right" | "none" | "wrong";
  /** 407 or 401. */
  readonly status?: 401 | 407;
}

/** A server with one credential at a time for each user; the next is announced with the last token but one. */
export class AuthServer {
  readonly verdicts: string[] = [];
  readonly #live = new Map<string, LiveCredential[]>();
  /** Answers by branch: a retransmitted request gets the same again, unverified. */
  readonly #answered = new Map<string, Uint8Array>();
  readonly #opaque: string;
  readonly #digest: DigestServer;
  readonly #hasher: DigestHasher;
  readonly #message = new SipMessage();

  constructor(
    private readonly network: TestNetwork,
    private readonly local: Address,
    private readonly options: AuthServerOptions,
  ) {
    const { hashes, realm } = options;
    this.#opaque = toHex(network.random.bytes(8));
    this.#hasher = new DigestHasher(hashes);
    this.#digest = new DigestServer({
      realm,
      nonces: new DigestNonces({ hash: hashes.get("SHA-256"), key: network.random.bytes(16), realm }),
      uses: new NonceUses({ lifetimeMs: 300_000 }),
    });
    network.add(local, this);
  }

  /** Forgets all credentials, as a restart does. */
  forget(): void {
    this.#live.clear();
  }

  receive(bytes: Uint8Array, start: number, end: number, from: Address, now: number): void {
    const message = this.#message;
    if (message.parse(bytes, start, end) !== undefined || !message.isRequest || message.method === "ACK") {
      return;
    }
    const branch = message.topVia()!.branch;
    let answer = this.#answered.get(branch);
    if (answer === undefined) this.#answered.set(branch, answer = this.#answer(message, now));
    this.network.sender(this.local)(answer, 0, answer.length, from);
  }

  #answer(message: SipMessage, now: number): Uint8Array {
    const { methods, offers, status = 407 } = this.options;
    const challenges: string[] = [];
    const contact = "Contact: <sip:10.0.0.2>";
    let info: string | undefined;
    if (methods.includes(message.method)) {
      const user = message.fromUri()!.user!;
      const pc = this.#verifyPc(message, user, now);
      if (pc.accepted) info = pc.info;
      else if (!this.#verifyDigest(message, user, now)) {
        for (const offer of offers) {
          if (offer === "PC") challenges.push(pc.challenge);
          else challenges.push(...this.#digest.challenges(now, this.network.random));
        }
      }
    }
    const proxy = status === 407;
    if (challenges.length > 0) {
      const name = proxy ? "Proxy-Authenticate" : "WWW-Authenticate";
      return response(message, status, undefined, {
        toTag: "c",
        headers: challenges.map((c) => `${name}: ${c}`),
      });
    }
    const name = proxy ? "Proxy-Authentication-Info" : "Authentication-Info";
    const headers = info === undefined ? [contact] : [contact, `${name}: ${info}`];
    return response(message, 200, undefined, { toTag: "s", headers });
  }

  #answers(message: SipMessage) {
    const id = this.options.status === 401 ? HeaderId.AUTHORIZATION : HeaderId.PROXY_AUTHORIZATION;
    const headers = [];
    for (let i = message.first(id); i >= 0; i = message.next(i)) {
      headers.push(parseAuthAt(message.buffer, message.valueStart(i), message.valueEnd(i)));
    }
    return headers;
  }

  #verifyPc(message: SipMessage, user: string, now: number) {
    const { offers, proof, realm } = this.options;
    const request = {
      method: message.method,
      uri: message.requestUri,
      callId: message.callId,
      cseq: message.cseqNumber,
    };
    let live = offers.includes("PC") ? this.#live.get(user) ?? [this.#issue(user, now)] : [];
    this.#live.set(user, live);
    let guided = false;
    for (const header of this.#answers(message)) {
      if (header.scheme !== PC_SCHEME) continue;
      const parsed = parsePcAnswer(header);
      if (isMalformed(parsed) || parsed.uri !== request.uri) {
        this.verdicts.push("malformed");
        continue;
      }
      const answer: PcAnswer = parsed;
      const credential = live.find(({ nonceHex }) => nonceHex === answer.nonce);
      if (credential === undefined || answer.opaque !== this.#opaque) {
        this.verdicts.push("stale");
        continue;
      }
      const verdict = credential.verify(answer, request, this.#opaque, now, DEFAULT_VERIFIER_POLICY);
      this.verdicts.push(verdict);
      guided = verdict === "replayed" || verdict === "bad_token" || verdict === "out_of_range";
      if (verdict === "renew") this.#live.set(user, live = [this.#issue(user, now), credential]);
      if (verdict !== "ok") continue;
      if (credential.index <= 1 && live[0] === credential) {
        this.#live.set(user, live = [this.#issue(user, now), credential]);
      }
      const next = live[0] === credential
        ? undefined
        : { nonce: live[0].nonceHex, chain: this.options.chain };
      const rspauth = credential.rspauth(this.#opaque, answer.seq!, request, next);
      if (proof === "wrong") rspauth[0] ^= 1;
      const info = writePcInfo({ realm, nonce: answer.nonce, seq: answer.seq!, rspauth, next });
      return { accepted: true as const, info: proof === "none" ? undefined : info };
    }
    if (live.length === 0) return { accepted: false as const, challenge: "" };
    if (!live[0].canOffer(now)) this.#live.set(user, live = [this.#issue(user, now), live[0]]);
    const { algorithm, nonceHex, n, index } = live[0];
    const challenge = writePcChallenge({
      realm,
      algorithm,
      nonce: nonceHex,
      chain: n,
      opaque: this.#opaque,
      ...(guided ? { guide: { seq: index - 1, auth: live[0].challengeAuth(this.#opaque, request) } } : {}),
    });
    return { accepted: false as const, challenge };
  }

  #issue(user: string, now: number): LiveCredential {
    const { hashes, realm, chain, password } = this.options;
    const identity = { username: user, realm };
    const hash = hashes.get("SHA-1");
    const secret = ha1(hashes.get("MD5"), identity, password(user));
    const credential = deriveCredential(hash, secret, identity, this.network.random.bytes(16), chain);
    return LiveCredential.issued(hash, credential, now, now + 3_600_000);
  }

  #verifyDigest(message: SipMessage, user: string, now: number): boolean {
    const { offers, password, realm } = this.options;
    if (!offers.includes("Digest")) return false;
    const finding = this.#digest.examine(this.#answers(message), message.requestUri, now);
    if (finding.verdict !== "check") return false;
    const { answer } = finding;
    const secret = digestHa1(this.#hasher, answer.algorithm, user, realm, password(user));
    const { nonce, protection } = answer;
    const input = {
      algorithm: answer.algorithm,
      nonce,
      method: message.method,
      uri: message.requestUri,
      qop: protection?.qop,
      nc: protection?.nc,
      cnonce: protection?.cnonce,
    };
    const right = digestMatches(this.#hasher, secret, input, answer.response);
    const verdict = right ? this.#digest.accept(answer, now) : "wrong";
    this.verdicts.push(`digest ${verdict}`);
    return verdict === "ok";
  }
}
