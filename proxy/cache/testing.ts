/** For tests of the cache: credentials whose bytes say whose they are, and users as real traffic makes them. */
import { type ChainAlgorithm, type Credential, seededRandom } from "../../mod.ts";
import { type CachedUser, CredentialCache, type Issued } from "../credential_cache.ts";
import { backend } from "../testing.ts";

export const REALM = "example.com";

/** An empty cache. */
export function newCache(maxUsers: number, digestBytes?: number): CredentialCache {
  return CredentialCache.create(maxUsers, backend, seededRandom(1), { digestBytes });
}

/** A credential that no chain belongs to: N, h_n and K are filled with `fill`. */
export function filled(
  username: string,
  fill: number,
  { realm = REALM, algorithm = "SHA-1" as ChainAlgorithm, n = 10 } = {},
): Credential {
  const size = backend.get(algorithm).size;
  const bytes = (length: number) => new Uint8Array(length).fill(fill);
  return { algorithm, username, realm, nonce: bytes(16), n, anchor: bytes(size), key: bytes(size) };
}

/** A credential with a life of 1000 s from 0 ms. */
export function issued(credential: Credential, serial = 0): Issued {
  return { credential, issuedAt: 0, expiresAt: 1_000_000, serial, lookAt: 900_000 };
}

/** Puts a user in the protected part, as an accepted token does. */
export function addVerified(cache: CredentialCache, username: string, realm = REALM): CachedUser {
  const user = cache.install(issued(filled(username, 1, { realm })))!;
  if (!cache.commit(user, user.newest!, true, 0)) throw new Error(`${username} was not there`);
  return cache.peek(username, realm)!;
}
