/** What the threads of a proxy have in common, made from the flags: the same in the proxy that has no others. */
import { type HashBackend, OPAQUE_BYTES, type Random, toHex } from "../mod.ts";
import { type CacheOptions, CredentialCache } from "./credential_cache.ts";
import { CredentialSource } from "./credential_source.ts";
import type { IssueService } from "./issue_service.ts";
import type { ProxyValues } from "./options.ts";
import type { WarmupRecords } from "./warmup_io.ts";

/** What the cache of a proxy is made for. */
export function cacheOptions(values: ProxyValues, hashes: HashBackend): CacheOptions {
  return { digestBytes: hashes.get(values.algorithm).size, reorderMs: values.reorder_ms };
}

/** An empty cache. */
export function newCache(values: ProxyValues, hashes: HashBackend, random: Random): CredentialCache {
  return CredentialCache.create(values.max_users, hashes, random, cacheOptions(values, hashes));
}

/** Where the credentials of a cache come from. */
export function newSource(
  values: ProxyValues,
  cache: CredentialCache,
  service: IssueService,
): CredentialSource {
  return new CredentialSource(cache, service, {
    algorithm: values.algorithm,
    prefetching: values.prefetching,
    prefetchDelayMs: values.prefetch_delay * 1000,
    lowWater: values.low_water,
  });
}

/** The `opaque` of one run of a proxy. */
export function newOpaque(random: Random): string {
  return toHex(random.bytes(OPAQUE_BYTES));
}

/**
 * Puts the credentials of a warm-up file in use.
 *
 * @param issuedAt when the file was written, ms on the clock of `now`
 * @returns how many users have one now
 */
export function preload(
  source: CredentialSource,
  records: WarmupRecords,
  issuedAt: number,
  serial: number,
  now: number,
): number {
  let loaded = 0;
  records.forEach(({ credential, ttl }) => {
    if (source.preload(credential, issuedAt, ttl, serial, now)) loaded++;
  });
  return loaded;
}
