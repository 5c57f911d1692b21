/** Flat tables for what strangers fill: a fixed number of places, found by keys of 64 bits, without an object per entry. */

/** Places that one key can be at. */
const WAYS = 8;

/**
 * The places of a table that never grows. A key has eight places; when all are taken by others, the one that is worth
 * least is given up, so that made-up senders can only make it forget.
 */
export abstract class KeyedPlaces {
  readonly #keys: Int32Array;
  readonly #mask: number;

  /** @param entries a power of two, 8 at least */
  constructor(entries: number) {
    this.#keys = new Int32Array(2 * entries);
    this.#mask = entries / WAYS - 1;
  }

  /** What it costs to forget a place; the least is given up first. A free place is never asked. */
  protected abstract worth(place: number, now: number): number;

  /** Where a key is, or -1. @param low, high hash words whose sender does not know the key of the hash */
  protected find(low: number, high: number): number {
    const keys = this.#keys;
    const tag = high | 1; // Never 0, which says that a place is free.
    const first = (low & this.#mask) * WAYS;
    for (let place = first; place < first + WAYS; place++) {
      if (keys[2 * place] === low && keys[2 * place + 1] === tag) return place;
    }
    return -1;
  }

  /** Gives a key that is not there a place, in that of another if need be. */
  protected add(low: number, high: number, now: number): number {
    const keys = this.#keys;
    const first = (low & this.#mask) * WAYS;
    let chosen = first;
    let least = Infinity;
    for (let place = first; place < first + WAYS; place++) {
      const worth = keys[2 * place + 1] === 0 ? -Infinity : this.worth(place, now);
      if (worth >= least) continue;
      least = worth;
      chosen = place;
    }
    keys[2 * chosen] = low;
    keys[2 * chosen + 1] = high | 1;
    return chosen;
  }

  protected free(place: number): void {
    this.#keys[2 * place] = this.#keys[2 * place + 1] = 0;
  }
}
