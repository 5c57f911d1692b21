/** Confirmations of accepted tokens by place and tag (docs/PROTOCOL.md §7), beside what pc_authenticator_test.ts sees of them. */
import { assert, assertEquals } from "@std/assert";
import {
  acceptedMac,
  ByteWriter,
  type Credential,
  DEFAULT_VERIFIER_POLICY,
  deriveCredential,
  ha1,
  type NextNonce,
  parseAuth,
  parsePcInfo,
  type PcInfo,
  seededRandom,
  type SipMessage,
  toHex,
} from "../mod.ts";
import { AcceptedToken } from "./accepted_token.ts";
import { PROXY_AUTH } from "./auth_kind.ts";
import { CredentialCache } from "./credential_cache.ts";
import { CredentialSource } from "./credential_source.ts";
import { MissLimiter } from "./miss_limiter.ts";
import { PcAuthenticator, PcResult } from "./pc_authenticator.ts";
import { ClaimView } from "./subscriber.ts";
import { backend, craftAnswer, parse, request, response } from "./testing.ts";

const REALM = "example.com";
const OPAQUE = "0123456789abcdef";
const sha1 = backend.get("SHA-1");

/** An authenticator whose cache is filled by hand. */
class Bench {
  readonly cache: CredentialCache;
  readonly pc: PcAuthenticator;
  readonly random = seededRandom(2);
  cseq = 1;

  constructor(maxUsers = 8) {
    this.cache = CredentialCache.create(maxUsers, backend, this.random);
    const options = { algorithm: "SHA-1", prefetching: false, prefetchDelayMs: 1, lowWater: 1 } as const;
    const source = new CredentialSource(this.cache, { connected: true, issue: () => {} }, options);
    this.pc = new PcAuthenticator(this.cache, source, new MissLimiter({ perSource: 1, total: 1 }), {
      opaque: OPAQUE,
      authInt: false,
      policy: DEFAULT_VERIFIER_POLICY,
      checkFrom: true,
      aliases: new Map(),
    });
  }

  install(username = "alice", n = 10, expiresAt = 1e9): Credential {
    const user = { username, realm: REALM };
    const secret = ha1(backend.get("MD5"), user, "secret");
    const credential = deriveCredential(sha1, secret, user, this.random.bytes(16), n);
    this.cache.install({ credential, issuedAt: 0, expiresAt, serial: 0, lookAt: 1e9 });
    return credential;
  }

  accept(credential: Credential, seq: number): { token: AcceptedToken; message: SipMessage } {
    this.cseq++;
    const answer = craftAnswer(credential, OPAQUE, { seq, cseq: this.cseq });
    const headers = [`Proxy-Authorization: ${answer}`];
    const from = `<sip:${credential.username}@${REALM}>`;
    const message = parse(request("INVITE", { cseq: this.cseq, headers, from }));
    const claim = new ClaimView();
    assertEquals(claim.read(message), undefined);
    const result = new PcResult();
    const verdict = this.pc.authorize(message, PROXY_AUTH, REALM, claim, 1, result);
    assertEquals([verdict, result.verdict, result.reason], ["ok", "ok", undefined]);
    return { token: result.accepted, message };
  }

  confirm(token: AcceptedToken, message: SipMessage, now = 1): string {
    const out = new ByteWriter();
    this.pc.writeConfirmation(out, token, message, now);
    return new TextDecoder().decode(out.toBytes());
  }

  info(token: AcceptedToken, message: SipMessage, now = 1): PcInfo {
    const line = this.confirm(token, message, now);
    return parsePcInfo(parseAuth(line.slice(line.indexOf(":") + 1))) as PcInfo;
  }
}

function expected(credential: Credential, seq: number, message: SipMessage, next?: NextNonce): Uint8Array {
  const { callId, cseqNumber: cseq } = message;
  return acceptedMac(sha1, credential.key, OPAQUE, seq, { callId, cseq }, next);
}

Deno.test("confirmation: from the request or from a response to it, and the same again whatever happened since", () => {
  const bench = new Bench();
  const credential = bench.install();
  const { token, message } = bench.accept(credential, 9);
  const stored = token.clone();
  const line = bench.confirm(token, message);
  const info = bench.info(token, message);
  assertEquals(info, {
    realm: REALM,
    nonce: toHex(credential.nonce),
    seq: 9,
    rspauth: expected(credential, 9, message),
  });
  assertEquals(bench.confirm(stored, parse(response(request("INVITE", { cseq: bench.cseq }), 200))), line);
  // Another credential has come, the user is gone, another message is at hand: the line stands.
  bench.install();
  assertEquals(bench.confirm(token, message), line);
  bench.cache.revoke();
  assertEquals(bench.confirm(token, parse(request("INVITE", { cseq: 77 }))), line);
  const words = new Int32Array(AcceptedToken.WORDS);
  token.save(words, 0);
  const loaded = new AcceptedToken();
  loaded.load(words, 0);
  assertEquals(bench.confirm(loaded, message), line);
});

Deno.test("confirmation: what was announced once is announced in every copy, and was bound by its MAC", () => {
  const bench = new Bench();
  const older = bench.install();
  bench.accept(older, 9); // A user never verified is moved with its first token.
  const newest = bench.install("alice", 5);
  const { token, message } = bench.accept(older, 8);
  const late = token.clone();
  const next = { nonce: toHex(newest.nonce), chain: 5 };
  const info = bench.info(token, message);
  assertEquals([info.next, info.rspauth], [next, expected(older, 8, message, next)]);
  bench.accept(newest, 4);
  assertEquals(bench.info(token, message), info);
  // Asked for the first time only now, there is nothing to announce any more.
  assertEquals(bench.info(late, message).next, undefined);
});

Deno.test("confirmation: the first token of a user moves it, and its confirmation announces all the same", () => {
  const bench = new Bench();
  const older = bench.install();
  const newest = bench.install();
  const { token, message } = bench.accept(older, 9);
  assertEquals(bench.cache.verifiedSize, 1);
  assertEquals(bench.info(token, message).next, { nonce: toHex(newest.nonce), chain: 10 });
});

Deno.test("confirmation: nothing is announced that expired, that the token is of, or that is another user's", () => {
  const bench = new Bench(4);
  const older = bench.install("alice", 10, 1e9);
  const newest = bench.install("alice", 10, 1000);
  const first = bench.accept(older, 9);
  const own = bench.accept(newest, 9);
  assertEquals(bench.info(own.token, own.message).next, undefined);
  assertEquals(bench.info(first.token, first.message, 1000).next, undefined);

  const other = new Bench(4);
  const old = other.install();
  other.install();
  const { token, message } = other.accept(old, 9);
  const place = token.place;
  // Others take the place; with them comes a pair of credentials such as alice had.
  for (const name of ["b", "c", "d", "e", "f", "g"]) {
    const credential = other.install(name);
    other.install(name);
    other.accept(credential, 9);
  }
  assertEquals(other.cache.peek("alice", REALM), undefined);
  assert(["b", "c", "d", "e", "f", "g"].some((name) => other.cache.peek(name, REALM)?.place === place));
  const info = other.info(token, message);
  assertEquals([info.next, info.rspauth], [undefined, expected(old, 9, message)]);
});

Deno.test("a Call-ID that is no UTF-8 counts as the text that it is read as, U+FFFD in place of what is none", () => {
  const bench = new Bench();
  const credential = bench.install();
  const callId = "a\ufffdb@h";
  const answer = craftAnswer(credential, OPAQUE, { seq: 9, cseq: 2, callId });
  const text = request("INVITE", { cseq: 2, callId: "a#b@h", headers: [`Proxy-Authorization: ${answer}`] });
  const good = parse(text);
  const bytes = good.buffer.map((byte) => byte === 0x23 ? 0xff : byte);
  assertEquals(good.parse(bytes, 0, bytes.length), undefined);
  const claim = new ClaimView();
  claim.read(good);
  const result = new PcResult();
  assertEquals(bench.pc.authorize(good, PROXY_AUTH, REALM, claim, 1, result), "ok");
  const rspauth = acceptedMac(sha1, credential.key, OPAQUE, 9, { callId, cseq: 2 });
  assertEquals(bench.info(result.accepted, good).rspauth, rspauth);
});

Deno.test("a result and its token are good for one request after the other", () => {
  const bench = new Bench();
  const alice = bench.install();
  const bob = bench.install("bob");
  const result = new PcResult();
  const claim = new ClaimView();
  const authorize = (credential: Credential, seq: number, change = (answer: string) => answer) => {
    bench.cseq++;
    const answer = change(craftAnswer(credential, OPAQUE, { seq, cseq: bench.cseq }));
    const message = parse(request("INVITE", {
      cseq: bench.cseq,
      from: `<sip:${credential.username}@${REALM}>`,
      headers: [`Proxy-Authorization: ${answer}`],
    }));
    claim.read(message);
    const verdict = bench.pc.authorize(message, PROXY_AUTH, REALM, claim, 1, result);
    return [verdict, result.reason, result.username, result.hasNonce ? toHex(result.nonce) : undefined];
  };
  assertEquals(authorize(alice, 9).slice(0, 2), ["ok", undefined]);
  assertEquals([result.accepted.seq, result.accepted.nonce], [9, alice.nonce]);
  assertEquals(authorize(alice, 9), ["replayed", undefined, "alice", toHex(alice.nonce)]);
  assertEquals(authorize(bob, 9, (answer) => answer.replace("seq=9", "seq=09")), [
    "malformed",
    "seq is not a canonical decimal number",
    undefined,
    undefined,
  ]);
  assertEquals(authorize(bob, 9, (answer) => answer.replace(/nonce="../, 'nonce="zz')).slice(0, 2), [
    "malformed",
    "nonce is not hexadecimal",
  ]);
  assertEquals(authorize(bob, 9, (answer) => answer.replace(/opaque="../, 'opaque="ff')), [
    "stale",
    undefined,
    "bob",
    undefined,
  ]);
  assertEquals(authorize(bob, 9).slice(0, 2), ["ok", undefined]);
  assertEquals([result.accepted.nonce, result.accepted.digest], [bob.nonce, bob.key]);
});
