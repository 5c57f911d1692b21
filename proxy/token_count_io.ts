/** Counts the tokens left in a cache beside the work of the thread: in slices, and not for every scrape. */
import { now } from "../mod.ts";
import type { CredentialCache, TokenFigures } from "./credential_cache.ts";

/** Places looked at between two turns of the event loop: about a millisecond. */
const SLICE = 10_000;
/** A count is good for so long, ms. */
const GOOD_FOR_MS = 5000;
/** Who asks waits for a count that is under way for so long, ms; then it gets the one before. */
const PATIENCE_MS = 500;

/** The figures of one cache. */
export class TokenCount {
  #figures: TokenFigures = { tokens: 0, low: 0, without: 0 };
  #countedAt = -Infinity;
  #counting: Promise<void> | undefined;

  constructor(private readonly cache: CredentialCache, private readonly lowWater: number) {}

  /** The figures, some seconds old at most, or those before when the cache is very large. */
  async figures(): Promise<TokenFigures> {
    if (now() - this.#countedAt >= GOOD_FOR_MS) {
      this.#counting ??= this.#count().finally(() => this.#counting = undefined);
      let timer: ReturnType<typeof setTimeout> | undefined;
      const late = new Promise<void>((resolve) => timer = setTimeout(resolve, PATIENCE_MS));
      await Promise.race([this.#counting, late]);
      clearTimeout(timer);
    }
    return this.#figures;
  }

  async #count(): Promise<void> {
    const figures: TokenFigures = { tokens: 0, low: 0, without: 0 };
    for (let place = 0; place >= 0;) {
      place = this.cache.countTokens(place, SLICE, this.lowWater, now(), figures);
      if (place >= 0) await new Promise((resolve) => setTimeout(resolve));
    }
    this.#figures = figures;
    this.#countedAt = now();
  }
}
