/**
 * PC authentication at a proxy: the order of docs/PROTOCOL.md §6 around the verifier, challenges (§4), renewal (§5)
 * and confirmation (§7). Pure; every verdict comes at once, from memory. Only a challenge may have to wait, for a
 * credential from DBclient.
 */
import {
  type AuthHeader,
  isMalformed,
  type LiveCredential,
  parseAuthAt,
  parsePcAnswer,
  PC_SCHEME,
  type PcAnswer,
  type RequestIdentity,
  type SipMessage,
  toHex,
  type Verdict,
  VERDICTS,
  type VerifierPolicy,
  writePcChallenge,
  writePcInfo,
} from "../mod.ts";
import type { AuthKind } from "./auth_kind.ts";
import type { CachedUser, CredentialCache } from "./credential_cache.ts";
import type { CredentialSource } from "./credential_source.ts";
import type { MissLimiter } from "./miss_limiter.ts";
import { usernameFault } from "./subscriber.ts";

/** An accepted token: what the confirmation in the final response is made from. */
export interface Accepted {
  readonly kind: AuthKind;
  readonly user: CachedUser;
  readonly live: LiveCredential;
  readonly seq: number;
  readonly request: RequestIdentity;
}

/** What {@linkcode PcAuthenticator.authorize} found. */
export interface PcResult {
  readonly verdict: Verdict;
  /** Whom a challenge is for: the user name of the answer; undefined when there was no answer. */
  readonly username?: string;
  /** For `malformed`: the reason, naming the field. */
  readonly reason?: string;
  /** hex(N) of the live credential that the answer named. */
  readonly nonce?: string;
  /** With `ok`. */
  readonly accepted?: Accepted;
}

/** How a challenge ends: the header's value, or a refusal with 503 and Retry-After in seconds. */
export type ChallengeOutcome =
  | { readonly header: string }
  | { readonly unavailable: true; readonly retryAfter: number };

/** What an operator sets. */
export interface PcOptions {
  /** 16 hexadecimal digits, drawn when the proxy starts and the same for all its workers. */
  readonly opaque: string;
  /** Offer, and so require, auth-int. */
  readonly authInt: boolean;
  readonly policy: VerifierPolicy;
  /** Whether the answer's user name must be the From user (`check_from`). */
  readonly checkFrom: boolean;
  /** From users that answer under another name. */
  readonly aliases: ReadonlyMap<string, string>;
}

// deno-lint-ignore no-control-regex
const CONTROL = /[\x00-\x1f\x7f]/;
/** Seconds that a refused sender is told to wait when DBclient cannot be asked. */
const RETRY_AFTER_UNAVAILABLE = 5;
/** Seconds that a refused sender is told to wait for another renewal, docs/PROTOCOL.md §5. */
const RETRY_AFTER_RENEW = 2;

const OTHER_URI = "uri is not the Request-URI";

/** Verifies answers and makes challenges. */
export class PcAuthenticator {
  readonly #qop: "auth-int" | undefined;

  constructor(
    private readonly cache: CredentialCache,
    private readonly source: CredentialSource,
    private readonly misses: MissLimiter,
    private readonly options: PcOptions,
  ) {
    this.#qop = options.authInt ? "auth-int" : undefined;
  }

  /** The name under which a From user is known to the subscriber database. */
  subscriberName(fromUser: string): string {
    return this.options.aliases.get(fromUser) ?? fromUser;
  }

  /**
   * Verifies the request's answer for a realm.
   *
   * @param realm a realm that this proxy serves
   * @param fromUser the unescaped user part of From
   */
  authorize(message: SipMessage, kind: AuthKind, realm: string, fromUser: string, now: number): PcResult {
    const answers = ownAnswers(message, kind, realm);
    if (answers.length === 0) return { verdict: "no_credentials" };
    if (answers.some((answer) => !this.#isOwn(answer, fromUser))) return { verdict: "forbidden" };
    const username = usernameOf(answers[0]);
    const fault = username === undefined ? undefined : usernameFault(username);
    if (fault !== undefined) return { verdict: "malformed", reason: `username ${fault}` };
    const control = fieldWithControl(message);
    if (control !== undefined) return { verdict: "malformed", reason: `${control} has a control character` };
    let found: { live: LiveCredential; user: CachedUser; answer: PcAnswer } | undefined;
    let malformed: string | undefined;
    for (const header of answers) {
      const answer = parsePcAnswer(header, this.#qop);
      if (isMalformed(answer)) {
        malformed ??= `${answer.field} ${answer.problem}`.trim();
        continue;
      }
      const user = answer.opaque === this.options.opaque ? this.cache.get(answer.username, realm) : undefined;
      const live = user?.find(answer.algorithm, answer.nonce);
      if (user === undefined || live === undefined) {
        if (answer.uri !== message.requestUri) malformed ??= OTHER_URI;
        continue;
      }
      if (found !== undefined) {
        return { verdict: "malformed", reason: "two answers are for live credentials" };
      }
      found = { live, user, answer };
    }
    if (found === undefined) {
      return malformed !== undefined && answers.length === 1
        ? { verdict: "malformed", reason: malformed }
        : { verdict: "stale", username };
    }
    if (found.answer.uri !== message.requestUri) return { verdict: "malformed", reason: OTHER_URI };
    return this.#verify(found.live, found.user, found.answer, message, kind, now);
  }

  #verify(
    live: LiveCredential,
    user: CachedUser,
    answer: PcAnswer,
    message: SipMessage,
    kind: AuthKind,
    now: number,
  ): PcResult {
    const request = {
      method: message.method,
      uri: answer.uri,
      callId: message.callId,
      cseq: message.cseqNumber,
      ...(this.#qop === undefined ? {} : { bodyHash: toHex(live.hash.digest(message.body())) }),
    };
    const verdict = live.verify(answer, request, this.options.opaque, now, this.options.policy);
    if (verdict !== "ok") {
      const reason = verdict === "malformed" ? "seq is not within the chain" : undefined;
      return { verdict, username: user.username, nonce: live.nonceHex, reason };
    }
    user.seenSinceIssue = true;
    this.cache.markVerified(user);
    this.source.noteAccepted(user, now);
    const { callId, cseq } = request;
    return { verdict, accepted: { kind, user, live, seq: answer.seq!, request: { callId, cseq } } };
  }

  /**
   * Makes the challenge that answers a result. `done` is called once, at once when a credential is at hand.
   *
   * @param result of {@linkcode authorize}; a verdict that is answered with a challenge
   * @param request the request that is being answered
   * @param source the sender's address, for the limit on misses
   */
  challenge(
    result: PcResult,
    realm: string,
    fromUser: string,
    request: RequestIdentity,
    source: string,
    now: number,
    done: (outcome: ChallengeOutcome, now: number) => void,
  ): void {
    const { guided, stale, renew } = describe(result.verdict);
    const username = result.username ?? this.subscriberName(fromUser);
    const known = this.cache.get(username, realm);
    const offer = known?.newest;
    const spent = renew && offer?.nonceHex === result.nonce;
    if (offer?.canOffer(now) && !spent) {
      done({ header: this.#write(offer, realm, guided, stale, request) }, now);
      return;
    }
    if (known === undefined || !this.source.isFetching(known)) {
      if (known !== undefined && spent) {
        if (!this.source.mayRenew(known, now)) {
          done({ unavailable: true, retryAfter: RETRY_AFTER_RENEW }, now);
          return;
        }
      } else if (!this.misses.take(source, now)) {
        // Not added to the cache, where it would push out another.
        done({ unavailable: true, retryAfter: RETRY_AFTER_UNAVAILABLE }, now);
        return;
      }
    }
    this.source.fetch(known ?? this.cache.getOrAdd(username, realm), now, (fetched, at) => {
      const fresh = fetched?.newest;
      done(
        fresh?.canOffer(at)
          ? { header: this.#write(fresh, realm, guided, stale, request) }
          : { unavailable: true, retryAfter: RETRY_AFTER_UNAVAILABLE },
        at,
      );
    });
  }

  /** The value of the confirmation header for an accepted token, docs/PROTOCOL.md §7. */
  confirmation({ user, live, seq, request }: Accepted, now: number): string {
    const { newest } = user;
    const next = newest !== undefined && newest !== live && !newest.touched && newest.canOffer(now)
      ? { nonce: newest.nonceHex, chain: newest.credential.n }
      : undefined;
    return writePcInfo({
      realm: user.realm,
      nonce: live.nonceHex,
      seq,
      rspauth: live.rspauth(this.options.opaque, seq, request, next),
      ...(next === undefined ? {} : { next }),
    });
  }

  #write(
    live: LiveCredential,
    realm: string,
    guided: boolean,
    stale: boolean,
    request: RequestIdentity,
  ): string {
    return writePcChallenge({
      realm,
      algorithm: live.credential.algorithm,
      nonce: live.nonceHex,
      chain: live.credential.n,
      opaque: this.options.opaque,
      ...(this.#qop === undefined ? {} : { qop: this.#qop }),
      stale,
      ...(guided
        ? { guide: { seq: live.index - 1, auth: live.challengeAuth(this.options.opaque, request) } }
        : {}),
    });
  }

  /** The user rule: the answer's user name is the From user, or its alias. */
  #isOwn(answer: AuthHeader, fromUser: string): boolean {
    if (!this.options.checkFrom) return true;
    const username = usernameOf(answer);
    return username === undefined || username === fromUser || username === this.options.aliases.get(fromUser);
  }
}

/** A field of the request that goes into a MAC and may not (docs/PROTOCOL.md §2), since LF joins the fields there. */
function fieldWithControl(message: SipMessage): string | undefined {
  if (CONTROL.test(message.callId)) return "Call-ID";
  if (CONTROL.test(message.requestUri)) return "Request-URI";
  return CONTROL.test(message.method) ? "method" : undefined;
}

function usernameOf(answer: AuthHeader): string | undefined {
  return answer.params.find(([name]) => name === "username")?.[1];
}

/** What kind of challenge a verdict asks for, docs/PROTOCOL.md §4, §6. */
function describe(verdict: Verdict): { guided: boolean; stale: boolean; renew: boolean } {
  const row = VERDICTS[verdict];
  return { guided: row.answer === "guided", stale: row.stale ?? false, renew: row.renew ?? false };
}

/**
 * The PC answers for one realm. Those for other realms or without a realm, and other schemes, are another proxy's;
 * one that breaks off before its realm could be read counts as ours, so that its sender is told.
 */
function ownAnswers(message: SipMessage, kind: AuthKind, realm: string): AuthHeader[] {
  const own: AuthHeader[] = [];
  for (let i = message.first(kind.answer); i >= 0; i = message.next(i)) {
    const header = parseAuthAt(message.buffer, message.valueStart(i), message.valueEnd(i));
    if (header.scheme.toUpperCase() !== PC_SCHEME) continue;
    const stated = header.params.find(([name]) => name === "realm")?.[1];
    if (stated === realm || (stated === undefined && header.error !== undefined)) own.push(header);
  }
  return own;
}
