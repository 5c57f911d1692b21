/**
 * PC authentication at a proxy: the order of docs/PROTOCOL.md §6 around the verifier, challenges (§4), renewal (§5)
 * and confirmation (§7). Pure; every verdict comes at once, from memory. Only a challenge may have to wait, for a
 * credential from DBclient. All that an ordinary request needs is read from its bytes and written as bytes, without
 * garbage; so is what a sender of nonsense gets.
 */
import {
  type ByteWriter,
  equalBytes,
  fromHex,
  MacText,
  type PcAnswerView,
  type RequestIdentity,
  type SipMessage,
  type Verdict,
  VERDICTS,
  type VerifierPolicy,
  writePcChallenge,
} from "../mod.ts";
import type { AcceptedToken } from "./accepted_token.ts";
import type { AuthKind } from "./auth_kind.ts";
import type { CredentialCopy } from "./cache/credential_copy.ts";
import type { CachedUser, CredentialCache } from "./credential_cache.ts";
import type { CredentialSource } from "./credential_source.ts";
import { type AttemptLimiter, TOO_MANY_FAILURES, USER_RATE } from "./limits/attempt_limiter.ts";
import type { MissLimiter } from "./miss_limiter.ts";
import { fieldWithControl, PcAnswers } from "./pc_answers.ts";
import { PcLines, PcRealm } from "./pc_lines.ts";
import type { PcResult } from "./pc_result.ts";
import { type ClaimView, usernameFaultAt } from "./subscriber.ts";

export { AcceptedToken } from "./accepted_token.ts";
export { PcResult } from "./pc_result.ts";

/** How a challenge that had to wait ends: the header's value, or a refusal with 503 and Retry-After in seconds. */
export type ChallengeOutcome =
  | { readonly header: string }
  | { readonly unavailable: true; readonly retryAfter: number };

/** What {@linkcode PcAuthenticator.challenge} did. */
export type ChallengeState =
  /** The header line is written. */
  | "written"
  /** Refuse with 503; {@linkcode PcAuthenticator.retryAfter} says for how long. */
  | "unavailable"
  /** A credential is on the way: `done` will be called. */
  | "waiting";

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
  /** Slows guessing; {@linkcode AttemptLimiter.from} is told the source before. */
  readonly attempts?: AttemptLimiter;
}

/** Seconds that a refused sender is told to wait when DBclient cannot be asked. */
const RETRY_AFTER_UNAVAILABLE = 5;
/** Seconds that a refused sender is told to wait for another renewal, docs/PROTOCOL.md §5. */
const RETRY_AFTER_RENEW = 2;

const OTHER_URI = "uri is not the Request-URI";

/** Verifications of one answer that another thread came in between. */
const MAX_RETRIES = 16;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Verifies answers and makes challenges. */
export class PcAuthenticator {
  /** Seconds for Retry-After, when {@linkcode challenge} has returned "unavailable". */
  retryAfter = 0;
  readonly #qop: "auth-int" | undefined;
  readonly #opaque: Uint8Array;
  readonly #realms: PcRealm[] = [];
  readonly #realmOf = new Map<string, PcRealm>();
  readonly #answers = new PcAnswers();
  readonly #text: MacText;
  readonly #lines: PcLines;
  /** Room for `auth`, by the numbers of the algorithms. */
  readonly #auths: readonly Uint8Array[];
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
    this.#opaque = fromHex(options.opaque);
    this.#text = new MacText(encoder.encode(options.opaque));
    this.#lines = new PcLines(options.opaque, this.#qop);
    this.#auths = cache.hashes.map(({ size }) => new Uint8Array(size));
    this.#user = cache.newUser();
    this.#challenged = cache.newUser();
  }

  /** The name under which a From user is known to the subscriber database. */
  subscriberName(fromUser: string): string {
    return this.options.aliases.get(fromUser) ?? fromUser;
  }

  /** A served realm; its number is what an accepted token remembers of it. */
  #realm(text: string): PcRealm {
    let realm = this.#realmOf.get(text);
    if (realm === undefined) {
      realm = new PcRealm(this.#realms.length, text);
      this.#realms.push(realm);
      this.#realmOf.set(text, realm);
    }
    return realm;
  }

  /**
   * Verifies the request's answer for a realm.
   *
   * @param realm a realm that this proxy serves
   * @param claim of this message
   * @param result is overwritten
   */
  authorize(
    message: SipMessage,
    kind: AuthKind,
    realm: string,
    claim: ClaimView,
    now: number,
    result: PcResult,
  ): Verdict {
    result.clear();
    const served = this.#realm(realm);
    const answers = this.#answers;
    answers.read(message, kind, served.bytes);
    const { count, views } = answers;
    if (count === 0) return result.be("no_credentials");
    for (let i = 0; i < count; i++) {
      if (this.#isOwn(views[i], claim)) continue;
      this.options.attempts?.wrongName(now);
      return result.be("forbidden");
    }
    const { username } = views[0];
    const fault = username.present
      ? usernameFaultAt(username.buffer, username.start, username.end)
      : undefined;
    if (fault !== undefined) return result.be("malformed", `username ${fault}`);
    const control = fieldWithControl(message);
    if (control !== undefined) return result.be("malformed", `${control} has a control character`);
    const number = this.cache.realmNumber(realm);
    let found: PcAnswerView | undefined;
    let looked: PcAnswerView | undefined;
    let malformed: string | undefined;
    for (let i = 0; i < count; i++) {
      const answer = views[i];
      if (!answer.check(this.#qop)) {
        // Of several answers it is never said what is wrong with one of them.
        if (count === 1) malformed = reasonOf(answer);
        continue;
      }
      const isLive = equalBytes(answer.opaque, this.#opaque) &&
        this.#find(looked = answer, number) !== undefined;
      if (!isLive) {
        if (!isRequestUri(answer, message)) malformed ??= OTHER_URI;
        continue;
      }
      if (found !== undefined) return result.be("malformed", "two answers are for live credentials");
      found = answer;
    }
    if (found === undefined) {
      if (malformed !== undefined && count === 1) return result.be("malformed", malformed);
      if (username.present) result.setName(username.buffer, username.start, username.end);
      return result.be("stale");
    }
    if (!isRequestUri(found, message)) return result.be("malformed", OTHER_URI);
    // The copy of its user is still at hand, unless another answer was looked for since.
    const live = looked === found ? this.#user.findNamed(found) : this.#find(found, number);
    return this.#verify(found, live, number, message, kind, served, now, result);
  }

  /** The live credential that an answer names, as a copy; of the user in `#user`. */
  #find(answer: PcAnswerView, realm: number): CredentialCopy | undefined {
    const { buffer, start, end } = answer.username;
    return this.cache.getBytes(buffer, start, end, realm, this.#user)?.findNamed(answer);
  }

  /** Verifies an answer on a copy of its user; again when the user was changed meanwhile by another thread. */
  #verify(
    answer: PcAnswerView,
    live: CredentialCopy | undefined,
    realm: number,
    message: SipMessage,
    kind: AuthKind,
    served: PcRealm,
    now: number,
    result: PcResult,
  ): Verdict {
    const { username } = answer;
    const { attempts } = this.options;
    if (
      attempts !== undefined &&
      !attempts.begin(served.text, username.buffer, username.start, username.end, now)
    ) return result.be("unavailable", TOO_MANY_FAILURES);
    const text = this.#text;
    text.response(message, answer.seq);
    if (this.#qop !== undefined) text.bodyDigest(this.cache.hashes[answer.algorithm].digest(message.body()));
    let verdict: Verdict = "replayed";
    for (let attempt = 0;; attempt++) {
      result.setName(username.buffer, username.start, username.end);
      if (live === undefined) {
        attempts?.undecided(now);
        return result.be("stale");
      }
      // Else others use up this user's tokens faster than this thread looks at them.
      if (attempt === MAX_RETRIES) break;
      verdict = live.verifyView(answer, text, now, this.options.policy);
      // A failed walk is counted; the other verdicts change nothing.
      const accepted = verdict === "ok";
      const changed = accepted || verdict === "bad_token";
      if (!changed || this.cache.commit(this.#user, live, accepted, now)) break;
      verdict = "replayed";
      live = this.#find(answer, realm);
    }
    if (verdict === "ok") {
      this.#accept(answer, live, kind, served, now, result.accepted);
      if (attempts?.right(now) === false) return result.be("unavailable", USER_RATE);
    } else {
      result.setNonce(answer.nonce);
      if (verdict === "bad_response" || verdict === "bad_token") attempts?.wrong(now);
      else attempts?.undecided(now);
    }
    return result.be(verdict, verdict === "malformed" ? "seq is not within the chain" : undefined);
  }

  #accept(
    answer: PcAnswerView,
    live: CredentialCopy,
    kind: AuthKind,
    realm: PcRealm,
    now: number,
    token: AcceptedToken,
  ): void {
    this.source.noteAccepted(this.#user, now);
    token.kind = kind;
    token.realm = realm.number;
    token.algorithm = answer.algorithm;
    token.seq = answer.seq;
    token.place = this.#user.place;
    token.tag = live.tag;
    token.confirmed = false;
    token.nextChain = 0;
    copy(answer.nonce, token.nonce);
    copy(live.state.key, token.key);
  }

  /**
   * Makes the challenge that answers a result.
   *
   * @param result of {@linkcode authorize}; a verdict that is answered with a challenge
   * @param claim of the message
   * @param message the request that is being answered
   * @param source the sender's address, for the limit on misses
   * @param out gets the header line with its end, when a credential is at hand
   * @returns "waiting" when it has to be asked for: {@linkcode challengeLater}
   */
  challenge(
    result: PcResult,
    kind: AuthKind,
    realm: string,
    claim: ClaimView,
    message: SipMessage,
    source: string,
    now: number,
    out: ByteWriter,
  ): ChallengeState {
    const row = VERDICTS[result.verdict];
    const known = this.#userOf(result, claim, this.cache.realmNumber(realm));
    const offer = known?.newest;
    const spent = row.renew === true && offer !== undefined && result.hasNonce &&
      equalBytes(offer.state.nonce, result.nonce);
    if (offer?.canOffer(now) && !spent) {
      const auth = row.answer === "guided" ? this.#auth(offer, message) : undefined;
      this.#lines.writeChallenge(out, kind, this.#realm(realm), offer, row.stale === true, auth);
      return "written";
    }
    if (known === undefined || !this.source.isFetching(known, now)) {
      if (known !== undefined && spent) {
        if (!this.source.mayRenew(known, now)) return this.#unavailable(RETRY_AFTER_RENEW);
      } else if (!this.misses.take(source, now)) {
        // Not added to the cache, where it would push out another.
        return this.#unavailable(RETRY_AFTER_UNAVAILABLE);
      }
    }
    return "waiting";
  }

  /**
   * Asks for the credential after {@linkcode challenge} has said that it waits for one.
   *
   * @param done is told the challenge when it has come; by then the message and all views are gone
   */
  challengeLater(
    result: PcResult,
    realm: string,
    claim: ClaimView,
    { callId, cseqNumber: cseq }: SipMessage,
    now: number,
    done: (outcome: ChallengeOutcome, now: number) => void,
  ): void {
    const { username, verdict } = result;
    const known = this.#userOf(result, claim, this.cache.realmNumber(realm));
    const name = username ?? this.subscriberName(claim.user);
    this.source.fetch(known ?? this.cache.getOrAdd(name, realm, this.#challenged), now, (fetched, at) => {
      const fresh = fetched?.newest;
      done(
        fresh?.canOffer(at)
          ? { header: this.#challengeText(fresh, realm, verdict, { callId, cseq }) }
          : { unavailable: true, retryAfter: RETRY_AFTER_UNAVAILABLE },
        at,
      );
    });
  }

  #unavailable(seconds: number): "unavailable" {
    this.retryAfter = seconds;
    return "unavailable";
  }

  /** The user that a challenge is for, as a copy, if the cache has it. */
  #userOf(result: PcResult, claim: ClaimView, realm: number): CachedUser | undefined {
    const into = this.#challenged;
    if (result.nameLength >= 0) return this.cache.getBytes(result.name, 0, result.nameLength, realm, into);
    if (this.options.aliases.size > 0) {
      const alias = encoder.encode(this.subscriberName(claim.user));
      return this.cache.getBytes(alias, 0, alias.length, realm, into);
    }
    return this.cache.getBytes(claim.nameBuffer, claim.nameStart, claim.nameEnd, realm, into);
  }

  /** `auth` of a guided challenge. */
  #auth({ state: { hash, key, index }, algorithmNumber }: CredentialCopy, message: SipMessage): Uint8Array {
    const auth = this.#auths[algorithmNumber];
    const text = this.#text;
    text.challenge(message, index - 1);
    hash.hmacInto(key, text.buffer, text.length, auth);
    return auth;
  }

  #challengeText(live: CredentialCopy, realm: string, verdict: Verdict, request: RequestIdentity): string {
    const { answer, stale = false } = VERDICTS[verdict];
    const { opaque } = this.options;
    return writePcChallenge({
      realm,
      algorithm: live.algorithm,
      nonce: live.nonceHex,
      chain: live.n,
      opaque,
      ...(this.#qop === undefined ? {} : { qop: this.#qop }),
      stale,
      ...(answer === "guided"
        ? { guide: { seq: live.index - 1, auth: live.challengeAuth(opaque, request) } }
        : {}),
    });
  }

  /**
   * Writes the confirmation of an accepted token as a header line without its end, docs/PROTOCOL.md §7. The next time
   * it is the same line, whatever has happened to the user since: final responses are sent again.
   *
   * @param accepted takes the rspauth in place of its key, and what was announced
   * @param message the request whose token it is, or a response to it: Call-ID and CSeq are taken from it
   */
  writeConfirmation(out: ByteWriter, accepted: AcceptedToken, message: SipMessage, now: number): void {
    if (!accepted.confirmed) {
      const { place, tag, seq, nextNonce, digest } = accepted;
      const chain = accepted.nextChain = this.cache.announced(place, tag, now, nextNonce);
      const text = this.#text;
      text.accepted(message, seq, nextNonce, chain);
      this.cache.hashes[accepted.algorithm].hmacInto(digest, text.buffer, text.length, digest);
      accepted.confirmed = true;
    }
    this.#lines.writeInfo(out, this.#realms[accepted.realm], accepted);
  }

  /** The user rule: the answer's user name is the From user, or its alias. */
  #isOwn({ username }: PcAnswerView, claim: ClaimView): boolean {
    if (!this.options.checkFrom || !username.present) return true;
    const { buffer, start, end } = username;
    if (claim.isUser(buffer, start, end)) return true;
    const { aliases } = this.options;
    return aliases.size > 0 && decoder.decode(buffer.subarray(start, end)) === aliases.get(claim.user);
  }
}

function isRequestUri({ uri }: PcAnswerView, message: SipMessage): boolean {
  return uri.equals(message.buffer, message.requestUriStart, message.requestUriEnd);
}

function reasonOf({ fault: { field, problem } }: PcAnswerView): string {
  return `${field} ${problem}`.trim();
}

/** For the few bytes of a nonce or key a loop is quicker than `set`. */
function copy(from: Uint8Array, to: Uint8Array): void {
  for (let i = 0; i < from.length; i++) to[i] = from[i];
}
