/** What an operator may tune in the verification of docs/PROTOCOL.md §6. */
export interface VerifierPolicy {
  /** How far below i a token is searched, in links; undefined is min(n, 256). */
  readonly maxSkip?: number;
  /** How long a skipped token stays acceptable, ms (`reorder_ms`). */
  readonly reorderMs: number;
  /** Walks that may fail in a row before only the next token is tried (capacity of the token bucket). */
  readonly failedWalks: number;
  /** Failed walks that are forgiven per second (refill of the token bucket). */
  readonly failedWalksPerSecond: number;
}

/** The defaults of docs/PROTOCOL.md §6. */
export const DEFAULT_VERIFIER_POLICY: VerifierPolicy = {
  reorderMs: 5000,
  failedWalks: 16,
  failedWalksPerSecond: 1,
};

/** Default of `maxSkip` for a chain of n links, docs/PROTOCOL.md §6 step 4. */
export function defaultMaxSkip(n: number): number {
  return Math.min(n, 256);
}
