/** What a proxy takes from a warm-up file (docs/PROTOCOL.md §10) before it begins to serve. */
import {
  now,
  openWarmupFile,
  WarmupError,
  type WarmupExpectation,
  WarmupPermissionError,
  type WarmupRecord,
} from "../mod.ts";
import type { ProxyValues } from "./options.ts";

/** The flags that count here. */
export type WarmupValues = Pick<
  ProxyValues,
  "cache_warmup_file" | "cache_warmup_size" | "offset" | "proxy_name" | "algorithm" | "realm" | "max_users"
>;

/** The part of a warm-up file that is for this proxy. The file is open until its records have been read. */
export interface Warmup {
  readonly path: string;
  /** Revocation serial of the file. */
  readonly serial: number;
  /** When it was written, ms on the monotonic clock of this process; as a rule negative. */
  readonly issuedAt: number;
  /** The same as an age, s. */
  readonly age: number;
  /** Users in the file, once its records were read. */
  readonly count: number;
  /** Those that were chosen. */
  readonly records: WarmupRecords;
}

/** Records that can be gone through once: as many as they are, they take no memory. */
export interface WarmupRecords {
  forEach(use: (record: WarmupRecord) => void): void;
}

function reason(error: unknown): string {
  if (error instanceof WarmupError || error instanceof WarmupPermissionError) return error.message;
  if (error instanceof Deno.errors.NotFound) return "no such file";
  return (error instanceof Error ? error.message : String(error)).split("\n", 1)[0];
}

/**
 * Reads the file of `--cache_warmup_file`: the users whose number is in [f + offset, f + offset + cache_warmup_size),
 * where f is the file's first number, and of these as many as the cache can hold. The file is never written.
 *
 * @throws {Error} (rejects) with one line when it must not be used: nothing of it is then
 */
export async function readWarmup(values: WarmupValues, keys: readonly Uint8Array[]): Promise<Warmup> {
  const path = values.cache_warmup_file!;
  const time = Date.now() / 1000;
  const expected: WarmupExpectation = {
    proxy: values.proxy_name,
    algorithm: values.algorithm,
    time,
    // With a routing function of the operator the realms may stand in there alone.
    ...(values.realm.length === 0 ? {} : { realms: values.realm }),
  };
  const { offset, cache_warmup_size: size = Infinity, max_users: room } = values;
  const fault = (error: unknown) => new Error(`warm-up file ${path}: ${reason(error)}`);
  try {
    const file = await openWarmupFile(path, { keys, expected });
    const { serial, firstNumber, issuedAt } = file.header;
    // A writer whose clock is a little ahead must not make lives longer.
    const age = Math.max(0, time - issuedAt);
    let count = 0;
    return {
      path,
      serial,
      age: Math.floor(age),
      issuedAt: Math.floor(now() - age * 1000),
      get count() {
        return count;
      },
      records: {
        forEach(use) {
          let chosen = 0;
          try {
            count = file.read((record) => {
              const place = record.number - firstNumber - offset;
              if (place < 0 || place >= size || chosen === room) return;
              chosen++;
              use(record);
            }).count;
          } catch (error) {
            throw fault(error);
          } finally {
            file[Symbol.dispose]();
          }
        },
      },
    };
  } catch (error) {
    throw fault(error);
  }
}
