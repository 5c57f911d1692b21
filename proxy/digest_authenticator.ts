/**
 * Digest authentication at a proxy: nonces and counts are checked here, the response by DBclient (VERIFY,
 * docs/PROTOCOL.md §9), so that HA1 never reaches the proxy. Answers are collected and asked about in batches.
 */
import {
  type Address,
  type AuthHeader,
  authParam,
  type DigestAlgorithm,
  type DigestAnswer,
  type DigestAuthorization,
  DigestHasher,
  DigestNonces,
  DigestServer,
  type DigestVerdict,
  type HashBackend,
  isDigest,
  NonceUses,
  parseAuthAt,
  type Random,
  type SipMessage,
  type VerifyStatus,
} from "../mod.ts";
import type { AuthKind } from "./auth_kind.ts";
import { type AttemptLimiter, TOO_MANY_FAILURES, USER_RATE } from "./limits/attempt_limiter.ts";

/** The way to DBclient as Digest needs it. */
export interface VerifyService {
  /**
   * Has answers checked. `done` is called once: with a status by position, or with undefined when the service cannot be
   * reached or gave no answer in time.
   */
  verify(
    answers: readonly DigestAnswer[],
    done: (statuses: readonly VerifyStatus[] | undefined, now: number) => void,
  ): void;
}

/** What an operator sets. */
export interface DigestOptions {
  readonly realms: readonly string[];
  /** Offered in this order. */
  readonly algorithms: readonly DigestAlgorithm[];
  /** How long a nonce is good, ms. */
  readonly nonceLifetimeMs: number;
  /** Signs the nonces: at least 16 random bytes, drawn when the proxy starts. */
  readonly nonceKey: Uint8Array;
  readonly checkFrom: boolean;
  readonly aliases: ReadonlyMap<string, string>;
  /** Whether the `uri` of an answer fits a Request-URI that it is not equal to. */
  readonly sameUri: (uri: string, requestUri: string) => boolean;
  /** Slows guessing. */
  readonly attempts: AttemptLimiter;
}

/** What {@linkcode DigestAuthenticator.authorize} found. */
export interface DigestResult {
  readonly verdict: DigestVerdict;
  /** With `ok`: the user name of the answer. */
  readonly username?: string;
  /** For `malformed`: the reason, naming the field. */
  readonly reason?: string;
}

type Done = (result: DigestResult, now: number) => void;

/** Most answers in one VERIFY frame, docs/PROTOCOL.md §9. */
const MAX_BATCH = 1000;

const encoder = new TextEncoder();

/** Challenges with Digest and has the answers checked. */
export class DigestAuthenticator {
  /** Answers that were sent to DBclient: one database question each. */
  asked = 0;
  readonly #servers = new Map<string, DigestServer>();
  readonly #hasher: DigestHasher;
  readonly #queue: {
    readonly answer: DigestAnswer;
    readonly done: (status: VerifyStatus | undefined, now: number) => void;
  }[] = [];

  constructor(
    hashes: HashBackend,
    private readonly random: Random,
    private readonly service: VerifyService,
    private readonly options: DigestOptions,
  ) {
    this.#hasher = new DigestHasher(hashes);
    for (const realm of options.realms) {
      const nonces = new DigestNonces({
        hash: hashes.get("SHA-256"),
        key: options.nonceKey,
        realm,
        lifetimeMs: options.nonceLifetimeMs,
      });
      const uses = new NonceUses({ lifetimeMs: options.nonceLifetimeMs });
      const { algorithms, sameUri } = options;
      this.#servers.set(realm, new DigestServer({ realm, algorithms, nonces, uses, sameUri }));
    }
  }

  /** The values of the challenge headers for a served realm, one for each algorithm. */
  challenges(realm: string, now: number, stale: boolean): string[] {
    return this.#server(realm).challenges(now, this.random, stale);
  }

  /**
   * Verifies the request's answer for a served realm. `done` is called once: at once when no password is needed for the
   * verdict, else after the next {@linkcode flush}.
   */
  authorize(
    message: SipMessage,
    kind: AuthKind,
    realm: string,
    fromUser: string,
    source: Address,
    now: number,
    done: Done,
  ): void {
    const { attempts } = this.options;
    attempts.from(source);
    const server = this.#server(realm);
    const headers = answersOf(message, kind);
    const finding = server.examine(headers, message.requestUri, now);
    switch (finding.verdict) {
      case "check":
        break;
      case "malformed":
        return done({ verdict: "malformed", reason: `${finding.field} ${finding.problem}`.trim() }, now);
      default:
        return done({ verdict: finding.verdict }, now);
    }
    const { answer } = finding;
    const { username } = answer;
    if (!this.#isOwn(username, fromUser)) {
      attempts.wrongName(now);
      return done({ verdict: "forbidden" }, now);
    }
    const name = encoder.encode(username);
    if (!attempts.begin(realm, name, 0, name.length, now)) {
      return done({ verdict: "unavailable", reason: TOO_MANY_FAILURES }, now);
    }
    this.#queue.push({
      answer: this.#question(answer, message),
      done: (status, at) => {
        attempts.from(source);
        attempts.select(realm, name, 0, name.length);
        const verdict = verdictOf(status, server, answer, at);
        if (verdict === "ok" && !attempts.right(at)) {
          return done({ verdict: "unavailable", reason: USER_RATE }, at);
        }
        if (verdict === "bad_response") attempts.wrong(at);
        else if (verdict !== "ok") attempts.undecided(at);
        done({ verdict, username }, at);
      },
    });
  }

  /** Sends the answers collected since the last call to DBclient. */
  flush(): void {
    while (this.#queue.length > 0) {
      const batch = this.#queue.splice(0, MAX_BATCH);
      this.asked += batch.length;
      this.service.verify(
        batch.map(({ answer }) => answer),
        (statuses, now) => batch.forEach(({ done }, i) => done(statuses?.[i], now)),
      );
    }
  }

  #server(realm: string): DigestServer {
    const server = this.#servers.get(realm);
    if (server === undefined) throw new TypeError(`realm ${JSON.stringify(realm)} is not served (--realm)`);
    return server;
  }

  #isOwn(username: string, fromUser: string): boolean {
    const { checkFrom, aliases } = this.options;
    return !checkFrom || username === fromUser || username === aliases.get(fromUser);
  }

  #question(answer: DigestAuthorization, message: SipMessage): DigestAnswer {
    const { protection } = answer;
    return {
      username: answer.username,
      realm: answer.realm,
      nonce: answer.nonce,
      uri: answer.uri,
      method: message.method,
      qop: protection?.qop ?? "",
      nc: protection?.nc ?? "",
      cnonce: protection?.cnonce ?? "",
      algorithm: answer.algorithm,
      bodyHash: protection?.qop === "auth-int" ? this.#hasher.bytes(answer.algorithm, message.body()) : "",
      response: answer.response,
    };
  }
}

function verdictOf(
  status: VerifyStatus | undefined,
  server: DigestServer,
  answer: DigestAuthorization,
  now: number,
): DigestVerdict {
  switch (status) {
    case "ok":
      return server.accept(answer, now);
    case "wrong":
    case "malformed":
      return "bad_response";
    case "forbidden_realm":
    case "unavailable":
    case undefined:
      return "unavailable";
  }
}

function answersOf(message: SipMessage, kind: AuthKind): AuthHeader[] {
  const headers: AuthHeader[] = [];
  for (let i = message.first(kind.answer); i >= 0; i = message.next(i)) {
    headers.push(parseAuthAt(message.buffer, message.valueStart(i), message.valueEnd(i)));
  }
  return headers;
}

/** Whether a request has a Digest answer for a realm. */
export function hasDigestAnswer(message: SipMessage, kind: AuthKind, realm: string): boolean {
  return answersOf(message, kind).some((header) => isDigest(header) && authParam(header, "realm") === realm);
}
