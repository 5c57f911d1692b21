/** Many users with a credential in the cache of one proxy, and requests with good answers: for authorize_bench.ts. */
import {
  ByteWriter,
  chainSeed,
  DEFAULT_VERIFIER_POLICY,
  deriveCredential,
  ha1,
  ha1Algorithm,
  type HashBackend,
  isMalformed,
  parseAuthAt,
  parsePcAnswer,
  responseMac,
  seededRandom,
  SipMessage,
  toHex,
  writePcAnswer,
} from "../mod.ts";
import { PROXY_AUTH } from "../proxy/auth_kind.ts";
import { type CachedUser, CredentialCache, type Issued } from "../proxy/credential_cache.ts";
import { CredentialSource } from "../proxy/credential_source.ts";
import { MissLimiter } from "../proxy/miss_limiter.ts";
import { AcceptedToken, PcAuthenticator, PcResult } from "../proxy/pc_authenticator.ts";
import { ClaimView } from "../proxy/subscriber.ts";

const REALM = "example.com";
const URI = "sip:service@example.com:5060";
const OPAQUE = "0123456789abcdef";
const encoder = new TextEncoder();

/** A proxy's authenticator with its cache, and the requests of its users. */
export class AuthorizeScene {
  readonly pc: PcAuthenticator;
  readonly claim = new ClaimView();
  readonly result = new PcResult();
  readonly out = new ByteWriter();
  /** The requests of the round, one per user, parsed. */
  readonly messages: SipMessage[];
  readonly #cache: CredentialCache;
  readonly #user: CachedUser;
  readonly #issued: Issued[] = [];
  /** By round and user. */
  readonly #bytes: Uint8Array[][] = [];
  readonly #tokens: AcceptedToken[];
  readonly #words = new Int32Array(AcceptedToken.WORDS);
  #round = 0;

  /** @param rounds tokens of a credential; then all credentials are put in the cache again */
  constructor(
    backend: HashBackend,
    readonly users = 1000,
    readonly rounds = 32,
    algorithm: "MD5" | "SHA-1" | "SHA-256" = "SHA-1",
  ) {
    const random = seededRandom(1);
    const hash = backend.get(algorithm);
    // The last token is never used: what is used up is not offered.
    const n = rounds + 1;
    this.#cache = CredentialCache.create(4 * users, backend, random);
    this.#user = this.#cache.newUser();
    const service = { connected: true, issue: () => {} };
    const source = new CredentialSource(this.#cache, service, {
      algorithm,
      prefetching: false,
      prefetchDelayMs: 1000,
      lowWater: 1,
    });
    const misses = new MissLimiter({ perSource: 10, total: 100 });
    this.pc = new PcAuthenticator(this.#cache, source, misses, {
      opaque: OPAQUE,
      authInt: false,
      policy: DEFAULT_VERIFIER_POLICY,
      checkFrom: true,
      aliases: new Map(),
    });
    this.messages = Array.from({ length: users }, () => new SipMessage(32));
    this.#tokens = Array.from({ length: users }, () => new AcceptedToken());
    for (let round = 0; round < rounds; round++) this.#bytes.push([]);
    for (let i = 0; i < users; i++) {
      const identity = { username: `user${String(i).padStart(6, "0")}`, realm: REALM };
      const secret = ha1(backend.get(ha1Algorithm(algorithm)), identity, `password${i}`);
      const nonce = random.bytes(16);
      const credential = deriveCredential(hash, secret, identity, nonce, n);
      this.#issued.push({ credential, issuedAt: 0, expiresAt: 1e12, serial: 0, lookAt: 1e12 });
      const chain = hash.chain(nonce, chainSeed(hash, secret, nonce, n), n);
      for (let round = 0; round < rounds; round++) {
        const seq = n - 1 - round;
        const callId = `${toHex(random.bytes(8))}@192.0.2.10`;
        const request = { method: "INVITE", uri: URI, callId, cseq: 2 };
        const answer = writePcAnswer({
          ...identity,
          algorithm,
          nonce: toHex(nonce),
          opaque: OPAQUE,
          seq,
          token: chain.slice(seq * hash.size, (seq + 1) * hash.size),
          uri: URI,
          response: responseMac(hash, credential.key, OPAQUE, seq, request),
          qop: undefined,
        });
        const { username } = identity;
        this.#bytes[round].push(encoder.encode(
          `INVITE ${URI} SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10:5061;rport;branch=z9hG4bK${callId}\r\n` +
            `From: ${username} <sip:${username}@${REALM}>;tag=${callId}\r\nTo: service <${URI}>\r\n` +
            `Call-ID: ${callId}\r\nCSeq: 2 INVITE\r\nContact: <sip:${username}@192.0.2.10:5061>\r\n` +
            `Max-Forwards: 70\r\nProxy-Authorization: ${answer}\r\nContent-Length: 0\r\n\r\n`,
        ));
      }
    }
    this.#install();
  }

  /** Parses the requests of the next round. To be called before each of the methods that use up tokens. */
  prepare(): void {
    if (this.#round === this.rounds) this.#install();
    const round = this.#bytes[this.#round++];
    for (let i = 0; i < round.length; i++) this.messages[i].parse(round[i], 0, round[i].length);
  }

  #install(): void {
    for (const issued of this.#issued) this.#cache.install(issued, this.#user);
    this.#round = 0;
  }

  /** From the bytes of each message to its verdict. */
  authorize(): void {
    const { messages, claim, result, pc } = this;
    for (let i = 0; i < messages.length; i++) {
      claim.read(messages[i]);
      const verdict = pc.authorize(messages[i], PROXY_AUTH, REALM, claim, 1, result);
      if (verdict !== "ok") throw new Error(`verdict ${verdict} ${result.reason}`);
    }
  }

  /** {@linkcode authorize}, keeping what was accepted. */
  accept(): void {
    const words = this.#words;
    const { messages, claim, result, pc } = this;
    for (let i = 0; i < messages.length; i++) {
      claim.read(messages[i]);
      pc.authorize(messages[i], PROXY_AUTH, REALM, claim, 1, result);
      result.accepted.save(words, 0);
      this.#tokens[i].load(words, 0);
    }
  }

  /** The confirmation of each accepted token. */
  confirm(): void {
    const { messages, out, pc } = this;
    for (let i = 0; i < messages.length; i++) {
      this.#tokens[i].confirmed &&= false;
      out.clear();
      pc.writeConfirmation(out, this.#tokens[i], messages[i], 1);
    }
  }

  /** A bare challenge for each message, as if it had no answer. */
  challenge(): void {
    const { messages, claim, result, out, pc } = this;
    result.clear();
    for (let i = 0; i < messages.length; i++) {
      claim.read(messages[i]);
      out.clear();
      const state = pc.challenge(result, PROXY_AUTH, REALM, claim, messages[i], "192.0.2.10", 1, out);
      if (state !== "written") throw new Error(`the challenge is ${state}`);
    }
  }

  /** A guided challenge for each message, as for a token that came twice. */
  challengeGuided(): void {
    const { messages, claim, result, out, pc } = this;
    result.clear();
    result.be("replayed");
    for (let i = 0; i < messages.length; i++) {
      claim.read(messages[i]);
      out.clear();
      pc.challenge(result, PROXY_AUTH, REALM, claim, messages[i], "192.0.2.10", 1, out);
    }
  }

  /** Each message with its response spoiled: by another digit, or one that is no digit. No token is used up. */
  refuse(verdict: "bad_response" | "malformed"): void {
    const { messages, claim, result, pc } = this;
    for (let i = 0; i < messages.length; i++) {
      const message = messages[i];
      const { buffer } = message;
      const digit = message.valueEnd(message.first(PROXY_AUTH.answer)) - 2;
      const right = buffer[digit];
      buffer[digit] = verdict === "malformed" ? 0x7a : right === 0x30 ? 0x31 : 0x30;
      claim.read(message);
      const found = pc.authorize(message, PROXY_AUTH, REALM, claim, 1, result);
      buffer[digit] = right;
      if (found !== verdict) throw new Error(`verdict ${found} ${result.reason}`);
    }
  }

  /** What {@linkcode authorize} does, by objects and strings: how the proxy did it before. */
  authorizeByObjects(): void {
    const { messages } = this;
    for (let i = 0; i < messages.length; i++) {
      const message = messages[i];
      const from = message.fromUri();
      const line = message.first(PROXY_AUTH.answer);
      const header = parseAuthAt(message.buffer, message.valueStart(line), message.valueEnd(line));
      if (header.scheme.toUpperCase() !== "PC") throw new Error("no answer");
      if (header.params.find(([name]) => name === "realm")?.[1] !== REALM) throw new Error("another realm");
      const answer = parsePcAnswer(header);
      if (isMalformed(answer) || answer.username !== from?.user) throw new Error("malformed");
      const user = this.#cache.get(answer.username, REALM, this.#user)!;
      const live = user.find(answer.algorithm, answer.nonce)!;
      const request = {
        method: message.method,
        uri: answer.uri,
        callId: message.callId,
        cseq: message.cseqNumber,
      };
      const verdict = live.verify(answer, request, OPAQUE, 1, DEFAULT_VERIFIER_POLICY);
      if (verdict !== "ok" || !this.#cache.commit(user, live, true, 1)) throw new Error(verdict);
    }
  }
}
