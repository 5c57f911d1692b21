/** Which keys were seen lately, in a flat table. */
import { KeyedPlaces } from "./keyed_places.ts";

/** Keys with the time when they were added last; 16 bytes an entry, the oldest of a set gives way. */
export class RecentKeys extends KeyedPlaces {
  readonly #at: Float64Array;

  /** @param entries a power of two @param lifetime ms */
  constructor(entries: number, private readonly lifetime: number) {
    super(entries);
    this.#at = new Float64Array(entries);
  }

  /** Whether the key was put in not longer than the lifetime ago. */
  has(low: number, high: number, now: number): boolean {
    const place = this.find(low, high);
    return place >= 0 && now - this.#at[place] <= this.lifetime;
  }

  /** Puts a key in, or renews it. */
  put(low: number, high: number, now: number): void {
    let place = this.find(low, high);
    if (place < 0) place = this.add(low, high, now);
    this.#at[place] = now;
  }

  remove(low: number, high: number): void {
    const place = this.find(low, high);
    if (place >= 0) this.free(place);
  }

  protected override worth(place: number): number {
    return this.#at[place];
  }
}
