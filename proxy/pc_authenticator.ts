/**
 * PC authentication at a proxy: the order of docs/PROTOCOL.md §6 around the verifier, challenges (§4), renewal (§5)
 * and confirmation (§7). Pure; every verdict comes at once, from memory. Only a challenge may have to wait, for a
 * credential from DBclient.
 */
import {
  acceptedMac,
  type AuthHeader,
  type ChainHash,
  isMalformed,
  type LiveCredential,
  parsePcAnswer,
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
import type { CredentialCopy } from "./cache/credential_copy.ts";
import type { CachedUser, CredentialCache } from "./credential_cache.ts";
import type { CredentialSource } from "./credential_source.ts";
import type { MissLimiter } from "./miss_limiter.ts";
import { fieldWithControl, ownAnswers, usernameOf } from "./pc_answers.ts";
import { usernameFault } from "./subscriber.ts";

/** An accepted token: what the confirmation in the final response is made from. */
export interface Accepted {
  readonly kind: AuthKind;
  readonly username: string;
  readonly realm: string;
  /** hex(N) of the credential that the token is of. */
  readonly nonce: string;
  /** Tells it from the user's other credentials. */
  readonly tag: number;
  readonly hash: ChainHash;
  /** Its K: the cache may have forgotten it when the final response comes. */
  readonly key: Uint8Array;
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

/** Seconds that a refused sender is told to wait when DBclient cannot be asked. */
const RETRY_AFTER_UNAVAILABLE = 5;
/** Seconds that a refused sender is told to wait for another renewal, docs/PROTOCOL.md §5. */
const RETRY_AFTER_RENEW = 2;

const OTHER_URI = "uri is not the Request-URI";

/** Verifications of one answer that another thread came in between. */
const MAX_RETRIES = 16;

/** Verifies answers and makes challenges. */
export class PcAuthenticator {
  readonly #qop: "auth-int" | undefined;
  /** Copies of users, used again and again. */
  readonly #user: CachedUser;
  readonly #challenged: CachedUser;

  constructor(
    private readonly cache: CredentialCache,
    private readonly source: CredentialSource,
    private readonly misses: MissLimiter,
    private readonly options: PcOptions,
  ) {
    this.#qop = options.authInt ? "auth-int" : undefined;
    this.#user = cache.newUser();
    this.#challenged = cache.newUser();
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
    let found: PcAnswer | undefined;
    let malformed: string | undefined;
    for (const header of answers) {
      const answer = parsePcAnswer(header, this.#qop);
      if (isMalformed(answer)) {
        malformed ??= `${answer.field} ${answer.problem}`.trim();
        continue;
      }
      if (answer.opaque !== this.options.opaque || this.#find(answer, realm) === undefined) {
        if (answer.uri !== message.requestUri) malformed ??= OTHER_URI;
        continue;
      }
      if (found !== undefined) {
        return { verdict: "malformed", reason: "two answers are for live credentials" };
      }
      found = answer;
    }
    if (found === undefined) {
      return malformed !== undefined && answers.length === 1
        ? { verdict: "malformed", reason: malformed }
        : { verdict: "stale", username };
    }
    if (found.uri !== message.requestUri) return { verdict: "malformed", reason: OTHER_URI };
    return this.#verify(found, realm, message, kind, now);
  }

  /** The live credential that an answer names, as a copy; of the user in `#user`. */
  #find({ username, algorithm, nonce }: PcAnswer, realm: string): CredentialCopy | undefined {
    return this.cache.get(username, realm, this.#user)?.find(algorithm, nonce);
  }

  /** Verifies an answer on a copy of its user; again when the user was changed meanwhile by another thread. */
  #verify(answer: PcAnswer, realm: string, message: SipMessage, kind: AuthKind, now: number): PcResult {
    for (let attempt = 0; attempt < MAX_RETRIES; attempt++) {
      const live = this.#find(answer, realm);
      if (live === undefined) return { verdict: "stale", username: answer.username };
      const result = this.#verifyCopy(live, answer, message, kind, now);
      if (result !== undefined) return result;
    }
    // Others use up this user's tokens faster than this thread looks at them.
    return { verdict: "replayed", username: answer.username, nonce: answer.nonce };
  }

  /** Undefined when the outcome came too late to count. */
  #verifyCopy(
    live: CredentialCopy,
    answer: PcAnswer,
    message: SipMessage,
    kind: AuthKind,
    now: number,
  ): PcResult | undefined {
    const user = this.#user;
    const request = {
      method: message.method,
      uri: answer.uri,
      callId: message.callId,
      cseq: message.cseqNumber,
      ...(this.#qop === undefined ? {} : { bodyHash: toHex(live.state.hash.digest(message.body())) }),
    };
    const verdict = live.verify(answer, request, this.options.opaque, now, this.options.policy);
    const { username, nonce, seq } = answer;
    // A failed walk is counted; the other verdicts change nothing.
    const changed = verdict === "ok" || verdict === "bad_token";
    if (changed && !this.cache.commit(user, live, verdict === "ok", now)) return undefined;
    if (verdict !== "ok") {
      const reason = verdict === "malformed" ? "seq is not within the chain" : undefined;
      return { verdict, username, nonce, reason };
    }
    this.source.noteAccepted(user, now);
    const { tag, state: { hash, key } } = live;
    const { callId, cseq } = request;
    const accepted = {
      kind,
      username,
      realm: user.realm,
      nonce,
      tag,
      hash,
      key: key.slice(),
      seq: seq!,
      request: { callId, cseq },
    };
    return { verdict, accepted };
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
    const known = this.cache.get(username, realm, this.#challenged);
    const offer = known?.newest;
    const spent = renew && offer?.nonceHex === result.nonce;
    if (offer?.canOffer(now) && !spent) {
      done({ header: this.#write(offer, realm, guided, stale, request) }, now);
      return;
    }
    if (known === undefined || !this.source.isFetching(known, now)) {
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
    this.source.fetch(known ?? this.cache.getOrAdd(username, realm, this.#challenged), now, (fetched, at) => {
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
  confirmation(accepted: Accepted, now: number): string {
    const { username, realm, nonce, tag, hash, key, seq, request } = accepted;
    const newest = this.cache.peek(username, realm, this.#user)?.newest;
    const next = newest !== undefined && newest.tag !== tag && !newest.touched && newest.canOffer(now)
      ? { nonce: newest.nonceHex, chain: newest.n }
      : undefined;
    return writePcInfo({
      realm,
      nonce,
      seq,
      rspauth: acceptedMac(hash, key, this.options.opaque, seq, request, next),
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
      algorithm: live.algorithm,
      nonce: live.nonceHex,
      chain: live.n,
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

/** What kind of challenge a verdict asks for, docs/PROTOCOL.md §4, §6. */
function describe(verdict: Verdict): { guided: boolean; stale: boolean; renew: boolean } {
  const row = VERDICTS[verdict];
  return { guided: row.answer === "guided", stale: row.stale ?? false, renew: row.renew ?? false };
}
