/**
 * The proxy's credential cache, by its number of users:
 *
 *     deno bench bench/cache_bench.ts
 *
 * Users are looked at in random order, so that at a million most of what is read comes from main memory. The memory that
 * they take: bench/cache_memory.ts.
 */
import {
  chainSeed,
  type Credential,
  DEFAULT_VERIFIER_POLICY,
  deriveCredential,
  ha1,
  loadHashBackend,
  type PcAnswer,
  responseMac,
  seededRandom,
  toHex,
} from "../mod.ts";
import { CredentialCache } from "../proxy/credential_cache.ts";

const SIZES = [1000, 100_000, 1_000_000];
/** Users whose chain is known, and its length. */
const CALLERS = 256;
const N = 400;
const OPAQUE = "0123456789abcdef";
const REALM = "example.com";
const { backend } = await loadHashBackend();
const hash = backend.get("SHA-1");
const random = seededRandom(1);
const request = {
  method: "INVITE",
  uri: "sip:bob@example.com",
  callId: "a84b4c76e66710@192.0.2.10",
  cseq: 2,
};
const names = Array.from({ length: Math.max(...SIZES) }, (_, i) => `user${String(i).padStart(7, "0")}`);
const anyone = deriveCredential(
  hash,
  "00".repeat(16),
  { username: "", realm: REALM },
  new Uint8Array(16),
  10,
);

const issued = (credential: Credential) => ({
  credential,
  issuedAt: 0,
  expiresAt: 3.6e6,
  serial: 0,
  lookAt: 3e6,
});

/** What a caller sends, from the first token to the last. */
function callerOf(
  number: number,
  stride: number,
): { credential: Credential; answers: PcAnswer[]; next: number } {
  const identity = { username: names[number * stride], realm: REALM };
  const secret = ha1(backend.get("MD5"), identity, "secret");
  const nonce = random.bytes(16);
  const credential = deriveCredential(hash, secret, identity, nonce, N);
  const chain = hash.chain(nonce, chainSeed(hash, secret, nonce, N), N);
  const answers = Array.from({ length: N }, (_, i): PcAnswer => {
    const seq = N - 1 - i;
    return {
      ...identity,
      algorithm: "SHA-1",
      nonce: toHex(nonce),
      opaque: OPAQUE,
      uri: request.uri,
      seq,
      token: chain.slice(seq * hash.size, (seq + 1) * hash.size),
      response: responseMac(hash, credential.key, OPAQUE, seq, request),
      qop: undefined,
    };
  });
  return { credential, answers, next: 0 };
}

for (const size of SIZES) {
  const cache = CredentialCache.create(Math.ceil(size / 3) * 4, backend, random, { digestBytes: hash.size });
  for (let i = 0; i < size; i++) cache.preload(issued({ ...anyone, username: names[i] }));
  const user = cache.newUser();
  const order = Uint32Array.from({ length: 1 << 20 }, () => random.below(size));
  let at = 0;
  const next = () => order[at = (at + 1) & (order.length - 1)];
  const users = `${size} users`;

  Deno.bench({
    name: `found, ${users}`,
    group: "look-up: a copy of the user with its credential",
    baseline: size === SIZES[0],
    fn() {
      if (cache.get(names[next()], REALM, user) === undefined) throw new Error("not found");
    },
  });
  const strangers = names.slice(0, 1 << 16).map((name) => `no ${name}`);
  Deno.bench({
    name: `not found, ${users}`,
    group: "look-up: nobody",
    baseline: size === SIZES[0],
    fn() {
      if (cache.get(strangers[next() & 0xffff], REALM, user) !== undefined) throw new Error("found");
    },
  });

  const callers = Array.from({ length: CALLERS }, (_, i) => callerOf(i, Math.floor(size / CALLERS)));
  for (const { credential } of callers) cache.install(issued(credential), user);
  let turn = 0;
  Deno.bench({
    name: `next token, ${users}`,
    group: "look-up, response MAC, one link, commit",
    baseline: size === SIZES[0],
    fn() {
      const caller = callers[turn++ & (CALLERS - 1)];
      if (caller.next === N) {
        cache.install(issued(caller.credential), user);
        caller.next = 0;
      }
      const answer = caller.answers[caller.next++];
      const live = cache.get(answer.username, REALM, user)?.find("SHA-1", answer.nonce);
      const verdict = live?.verify(answer, request, OPAQUE, 1, DEFAULT_VERIFIER_POLICY);
      if (verdict !== "ok" || !cache.commit(user, live!, true, 1)) throw new Error(`${verdict}`);
    },
  });

  // One object for all: what is measured is the cache, not the making of credentials.
  const renewed = { ...anyone };
  Deno.bench({
    name: `new credential, ${users}`,
    group: "install: a new credential, the one before becomes the older",
    baseline: size === SIZES[0],
    fn() {
      renewed.username = names[next()];
      cache.install(issued(renewed), user);
    },
  });
}

for (const size of SIZES) {
  const full = CredentialCache.create(size, backend, random, { digestBytes: hash.size });
  for (let i = 0; i < size; i++) full.getOrAdd(names[i], REALM);
  const user = full.newUser();
  const strangers = names.slice(0, 1 << 16).map((name) => `no ${name}`);
  let at = 0;
  let round = 0;
  Deno.bench({
    name: `of ${size} users`,
    group: "add a made-up name to a full cache: another is forgotten",
    baseline: size === SIZES[0],
    fn() {
      at = (at + 1) & 0xffff;
      if (at === 0) round++;
      full.getOrAdd(round === 0 ? strangers[at] : `${round}${strangers[at]}`, REALM, user);
    },
  });
}
