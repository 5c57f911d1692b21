/** How a {@linkcode HashBackend} is put together. */
import { CHAIN_ALGORITHMS, type ChainAlgorithm, type ChainHash, type HashBackend } from "./chain_hash.ts";

/**
 * A backend that uses one {@linkcode ChainHash} per algorithm for everything.
 *
 * @param make is called once for each algorithm
 */
export function hashBackend(name: string, make: (algorithm: ChainAlgorithm) => ChainHash): HashBackend {
  const hashes = new Map(CHAIN_ALGORITHMS.map((algorithm) => [algorithm, make(algorithm)]));
  const get = (algorithm: ChainAlgorithm): ChainHash => {
    const hash = hashes.get(algorithm);
    if (hash === undefined) {
      throw new RangeError(`no chain algorithm ${algorithm}; there are ${CHAIN_ALGORITHMS.join(", ")}`);
    }
    return hash;
  };
  return { name, get, many: get };
}

/** What is loaded under a name. */
export type Loader = readonly [name: string, load: () => Promise<HashBackend>];

/** Who is tried, the preferred first. */
export interface LoadOrder {
  readonly get: readonly Loader[];
  /** Who is tried for many chains at once, if that is not the same; if none of these starts, it is. */
  readonly many?: readonly Loader[];
}

/** A started backend. */
export interface LoadedHashBackend {
  readonly backend: HashBackend;
  /** One line that says what was wanted, why it failed and what is used; the program prints it once. */
  readonly warning?: string;
}

function reason(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.split("\n", 1)[0];
}

/** The first that starts, if any, and a clause for each that did not. */
async function firstThatStarts(loaders: readonly Loader[]): Promise<{
  readonly started?: HashBackend;
  readonly failures: readonly string[];
}> {
  const failures: string[] = [];
  for (const [name, load] of loaders) {
    try {
      return { started: await load(), failures };
    } catch (error) {
      failures.push(`${name} does not start (${reason(error)})`);
    }
  }
  return { failures };
}

/**
 * Starts what an order asks for, or what comes behind it, with one warning about all that does not start.
 *
 * @throws {Error} if nothing starts
 */
export async function loadInOrder(order: LoadOrder): Promise<LoadedHashBackend> {
  const { started: single, failures } = await firstThatStarts(order.get);
  if (single === undefined) throw new Error(`no hash backend starts: ${failures.join("; ")}`);
  const clauses = failures.length === 0
    ? []
    : [`${failures.join("; ")}: going on with ${single.name}, which is slower`];
  let backend = single;
  if (order.many !== undefined) {
    const { started: many = single, failures } = await firstThatStarts(order.many);
    backend = { name: single.name, get: single.get, many: many.many };
    if (failures.length > 0) {
      clauses.push(`${failures.join("; ")}: many chains at once go through ${many.name}`);
    }
  }
  return clauses.length === 0 ? { backend } : { backend, warning: `hash backend ${clauses.join("; ")}` };
}
