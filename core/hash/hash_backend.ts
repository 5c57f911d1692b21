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

/**
 * Starts the first of the loaders that does, with one warning about those before it.
 *
 * @param loaders the preferred first
 * @throws {Error} if nothing starts
 */
export async function loadInOrder(loaders: readonly Loader[]): Promise<LoadedHashBackend> {
  const failures: string[] = [];
  for (const [name, load] of loaders) {
    try {
      const backend = await load();
      if (failures.length === 0) return { backend };
      const warning = `hash backend ${failures.join("; ")}: going on with ${backend.name}, which is slower`;
      return { backend, warning };
    } catch (error) {
      failures.push(`${name} does not start (${reason(error)})`);
    }
  }
  throw new Error(`no hash backend starts: ${failures.join("; ")}`);
}
