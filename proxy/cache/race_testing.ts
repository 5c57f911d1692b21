/** For tests: what a thread does in a race on one cache; it finds out what is wrong. */
import {
  chainSeed,
  type Credential,
  DEFAULT_VERIFIER_POLICY,
  deriveCredential,
  ha1,
  type PcAnswer,
  type Random,
  responseMac,
  seededRandom,
  toHex,
} from "../../mod.ts";
import { CredentialCache } from "../credential_cache.ts";
import { backend } from "../testing.ts";
import { Header, memoryOf, User } from "./layout.ts";
import { MAX_OWNER, WordLock } from "./word_lock.ts";
import { filled, issued, REALM } from "./testing.ts";

/** What a thread is told. */
export interface Race {
  readonly kind: "tokens" | "users" | "lost" | "fetches";
  readonly cache: SharedArrayBuffer;
  /** The words of {@linkcode Signal}, then results. */
  readonly shared: SharedArrayBuffer;
  /** The same for all threads. */
  readonly seed: number;
  readonly thread: number;
  readonly users: number;
  /** Chain length, or how many steps. */
  readonly n: number;
}

/** Words that threads and test share. */
export const Signal = {
  /** 1 starts the race. */
  START: 0,
  /** Threads that are ready. */
  READY: 1,
} as const;
/** Where the results begin. */
export const RESULTS = 2;
const OPAQUE = "0123456789abcdef";
const request = { method: "INVITE", uri: "sip:bob@example.com", callId: "c@192.0.2.1", cseq: 1 };
const hash = backend.get("SHA-1");

/** The credential of a user of the race for tokens, and all its answers. */
export function chainOf(
  seed: number,
  user: number,
  n: number,
): { credential: Credential; answer: (seq: number) => PcAnswer } {
  const username = `user${user}`;
  const nonce = seededRandom(seed * 100_003 + user).bytes(16);
  const secret = ha1(backend.get("MD5"), { username, realm: REALM }, "secret");
  const credential = deriveCredential(hash, secret, { username, realm: REALM }, nonce, n);
  const chain = hash.chain(nonce, chainSeed(hash, secret, nonce, n), n);
  const answer = (seq: number): PcAnswer => ({
    username,
    realm: REALM,
    algorithm: "SHA-1",
    nonce: toHex(nonce),
    opaque: OPAQUE,
    uri: request.uri,
    seq,
    token: chain.slice(seq * hash.size, (seq + 1) * hash.size),
    response: responseMac(hash, credential.key, OPAQUE, seq, request),
    qop: undefined,
  });
  return { credential, answer };
}

/** 0 … count - 1, those near each other in any order. */
function almostInOrder(count: number, random: Random): number[] {
  return Array.from({ length: count }, (_, i) => ({ i, at: i + random.below(5) }))
    .sort((a, b) => a.at - b.at).map(({ i }) => i);
}

/** All threads send all tokens of all users. */
function raceForTokens({ seed, thread, users, n }: Race, cache: CredentialCache, results: Int32Array) {
  const random = seededRandom(seed * 7 + thread);
  const answers = Array.from({ length: users }, (_, user) => {
    const { answer } = chainOf(seed, user, n);
    return almostInOrder(n, random).map((i) => answer(n - 1 - i));
  });
  const copy = cache.newUser();
  return () => {
    const wrong: string[] = [];
    for (let step = 0; step < n; step++) {
      for (let user = 0; user < users; user++) {
        const answer = answers[user][step];
        for (;;) {
          const live = cache.get(answer.username, REALM, copy)?.find("SHA-1", answer.nonce);
          if (live === undefined) {
            wrong.push(`user ${user} is gone`);
            break;
          }
          const verdict = live.verify(answer, request, OPAQUE, 0, DEFAULT_VERIFIER_POLICY);
          if (verdict !== "ok" && verdict !== "replayed") wrong.push(`user ${user}: ${verdict}`);
          if (verdict !== "ok") break;
          if (!cache.commit(copy, live, true, 0)) continue;
          Atomics.add(results, RESULTS + user * n + answer.seq!, 1);
          break;
        }
      }
    }
    return wrong;
  };
}

/** All threads add, use, renew and forget users of a cache that is too small for them. */
function raceForUsers({ seed, thread, users, n }: Race, cache: CredentialCache) {
  const random = seededRandom(seed * 7 + thread);
  const copy = cache.newUser();
  return () => {
    const wrong: string[] = [];
    for (let step = 0; step < n && wrong.length < 10; step++) {
      const number = random.below(users);
      const name = `user${number}`;
      const what = random.below(100);
      if (what < 30) cache.install(issued(filled(name, number)), copy);
      else if (what < 40) cache.getOrAdd(name, REALM, copy);
      else if (what < 42) cache.remove({ username: name, realm: REALM });
      else if (what < 43) cache.revoke(name, REALM, 1);
      else if (what < 44) cache.beginFetch(name, REALM, 0);
      else if (cache.get(name, REALM, copy) !== undefined) {
        for (const live of [copy.newest, copy.older]) {
          if (live === undefined) continue;
          const { nonce, key, value } = live.state;
          const torn = [nonce, key, value].some((bytes) => bytes.some((byte) => byte !== number)) ||
            live.n !== 10 || live.algorithm !== "SHA-1";
          if (torn) wrong.push(`${name}: ${toHex(nonce)} ${toHex(key)} ${toHex(value)} ${live.n}`);
        }
        if (what < 70 && copy.newest !== undefined) cache.commit(copy, copy.newest, true, 0);
      }
    }
    return wrong;
  };
}

/** As {@linkcode raceForUsers}, but the first thread ends half-way while it holds the locks of the table and of a user. */
function raceWithLoss(race: Race, cache: CredentialCache) {
  if (race.thread > 0) return raceForUsers(race, cache);
  const run = raceForUsers({ ...race, n: race.n / 2 }, cache);
  return () => {
    const wrong = run();
    const { header, userWords } = memoryOf(race.cache);
    const lock = new WordLock(MAX_OWNER);
    lock.takeOver(header, Header.TABLE_LOCK);
    Atomics.add(header, Header.TABLE_STAMP, 1);
    lock.take(userWords, 20 * User.WORDS + User.LOCK);
    return wrong;
  };
}

/** All threads begin to ask for all users. */
function raceForFetches({ users }: Race, cache: CredentialCache, results: Int32Array) {
  return () => {
    for (let user = 0; user < users; user++) {
      cache.getOrAdd(`user${user}`, REALM);
      if (cache.beginFetch(`user${user}`, REALM, 0)) Atomics.add(results, RESULTS + user, 1);
    }
    return [];
  };
}

/** Prepares a race, and gives what runs when it starts. */
export function prepareRace(race: Race): () => string[] {
  const cache = CredentialCache.attach(race.cache, backend);
  const runs = { tokens: raceForTokens, users: raceForUsers, lost: raceWithLoss, fetches: raceForFetches };
  return runs[race.kind](race, cache, new Int32Array(race.shared));
}
