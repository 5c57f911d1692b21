/**
 * Copies of messages, kept without garbage: a copy is named by a number, and lies in a slot that is not much larger than
 * it, cut from a slab of 64 KiB. All slots of a slab have one size, and a slab without a copy is cut anew for any other size: so
 * memory that messages of one size no longer need serves those of another.
 */

/** Slots begin at multiples of this many bytes: a cache line. */
const UNIT = 64;
const SLAB = 65_536;
const SLABS_PER_BLOCK = 16;
/** Before the bytes of a copy stands their number, 32 bits. */
const HEADER = 4;
const UNITS_PER_SLAB = SLAB / UNIT;
const UNIT_BITS = 10;

/** Sizes of slots in units: every one up to 1 KiB, then four to a doubling, then as many as fit a slab once, twice, … */
const SIZES = Uint16Array.of(
  ...Array.from({ length: 16 }, (_, i) => i + 1),
  ...[20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 113, 128, 146, 170, 204, 256, 341, 512, 1024],
);
/** The size that holds so many units, as its place in `SIZES`. */
const SIZE_OF = new Uint8Array(UNITS_PER_SLAB + 1);
SIZES.forEach((units, size) => SIZE_OF.fill(size, size === 0 ? 0 : SIZES[size - 1] + 1, units + 1));
/** A copy that no slab holds has an array of its own. */
const ALONE = SIZES.length;

/** The words that describe a slab. Slabs are linked per size while they have room, else when they are free. */
const WORDS = 8;
const SIZE = 0;
/** Slots given out. */
const USED = 1;
/** The slot given back last, as its unit + 1; it names the one before in its first two bytes. 0: none. */
const FREE = 2;
/** Slots that were ever given out since the slab was cut: those behind them are untouched. */
const CUT = 3;
const NEXT = 4;
const PREVIOUS = 5;

/** Arrays of at least this many bytes are taken for buffers that messages are read or written in, again and again. */
const LASTING = 16_384;
const VIEWS = 512;

/**
 * Views of the buffers that messages come in, kept for copying: a view per copy would be the only garbage of a message. Messages
 * start at few places there, and the lengths are rounded up, so that they are few too. At most `VIEWS` buffers stay referred to.
 */
class SourceViews {
  readonly #sources: (Uint8Array | undefined)[] = new Array(VIEWS).fill(undefined);
  readonly #views: Uint8Array[] = new Array(VIEWS).fill(new Uint8Array(0));
  readonly #starts = new Int32Array(VIEWS);

  /** The view of `length` bytes at `start`. */
  get(source: Uint8Array, start: number, length: number): Uint8Array {
    const i = ((start >>> 6) * 7 + (length >>> 6) * 31 + start) & (VIEWS - 1);
    if (this.#sources[i] === source && this.#starts[i] === start && this.#views[i].length === length) {
      return this.#views[i];
    }
    this.#sources[i] = source;
    this.#starts[i] = start;
    return this.#views[i] = source.subarray(start, start + length);
  }
}

/** Keeps copies. It grows to the most bytes ever kept at one time and stays there. */
export class ByteStore {
  /** By number; 0 is no slab. */
  readonly #slabs: Uint8Array[] = [new Uint8Array(0)];
  #words = new Int32Array(64 * WORDS);
  /** Per size, the first slab with room; 0: none. */
  readonly #withRoom = new Int32Array(SIZES.length);
  /** The first slab without a copy, and the first number whose array is gone. */
  #freeSlab = 0;
  #freeNumber = 0;
  readonly #views = new SourceViews();
  #inUse = 0;
  #bytesInUse = 0;
  #capacity = 0;

  /** How many copies are kept. */
  get inUse(): number {
    return this.#inUse;
  }
  /** Bytes of the slots that they lie in. */
  get bytesInUse(): number {
    return this.#bytesInUse;
  }
  /** Bytes of all slabs. */
  get capacity(): number {
    return this.#capacity;
  }

  /** Keeps a copy of from[start … end). @returns its number, above 0 */
  hold(from: Uint8Array, start: number, end: number): number {
    const length = end - start;
    const units = (length + HEADER + UNIT - 1) >>> 6;
    const place = units <= UNITS_PER_SLAB ? this.#take(SIZE_OF[units]) : this.#takeAlone(units);
    this.#fill(place, from, start, length);
    return place;
  }

  /** Keeps another copy instead of `place`. @returns its number: the same if the slot has the right size */
  replace(place: number, from: Uint8Array, start: number, end: number): number {
    const units = (end - start + HEADER + UNIT - 1) >>> 6;
    const size = this.#words[(place >>> UNIT_BITS) * WORDS + SIZE];
    if (size !== ALONE && units <= UNITS_PER_SLAB && SIZE_OF[units] === size) {
      this.#fill(place, from, start, end - start);
      return place;
    }
    this.give(place);
    return this.hold(from, start, end);
  }

  /** The array in which a copy lies. */
  bufferOf(place: number): Uint8Array {
    return this.#slabs[place >>> UNIT_BITS];
  }
  /** Where it starts there. */
  startOf(place: number): number {
    return (place & (UNITS_PER_SLAB - 1)) * UNIT + HEADER;
  }
  /** The number of its bytes. */
  lengthOf(place: number): number {
    const slab = this.#slabs[place >>> UNIT_BITS];
    const at = (place & (UNITS_PER_SLAB - 1)) * UNIT;
    return slab[at] | (slab[at + 1] << 8) | (slab[at + 2] << 16) | (slab[at + 3] << 24);
  }

  /** Forgets a copy. */
  give(place: number): void {
    const number = place >>> UNIT_BITS;
    const words = this.#words;
    const at = number * WORDS;
    const size = words[at + SIZE];
    this.#inUse--;
    if (size === ALONE) return this.#giveAlone(number);
    this.#bytesInUse -= SIZES[size] * UNIT;
    if (words[at + USED] * SIZES[size] > UNITS_PER_SLAB - SIZES[size]) this.#link(number, size);
    if (--words[at + USED] === 0) {
      this.#unlink(number, size);
      words[at + NEXT] = this.#freeSlab;
      this.#freeSlab = number;
      return;
    }
    const unit = place & (UNITS_PER_SLAB - 1);
    const slab = this.#slabs[number];
    const before = words[at + FREE];
    slab[unit * UNIT] = before;
    slab[unit * UNIT + 1] = before >>> 8;
    words[at + FREE] = unit + 1;
  }

  #take(size: number): number {
    let number = this.#withRoom[size];
    if (number === 0) number = this.#cutSlab(size);
    const words = this.#words;
    const at = number * WORDS;
    let unit: number;
    if (words[at + FREE] !== 0) {
      unit = words[at + FREE] - 1;
      const slab = this.#slabs[number];
      words[at + FREE] = slab[unit * UNIT] | (slab[unit * UNIT + 1] << 8);
    } else unit = words[at + CUT]++ * SIZES[size];
    this.#inUse++;
    this.#bytesInUse += SIZES[size] * UNIT;
    words[at + USED]++;
    if (words[at + USED] * SIZES[size] > UNITS_PER_SLAB - SIZES[size]) this.#unlink(number, size);
    return (number << UNIT_BITS) | unit;
  }

  #fill(place: number, from: Uint8Array, start: number, length: number): void {
    const slab = this.#slabs[place >>> UNIT_BITS];
    const at = (place & (UNITS_PER_SLAB - 1)) * UNIT;
    slab[at] = length;
    slab[at + 1] = length >>> 8;
    slab[at + 2] = length >>> 16;
    slab[at + 3] = length >>> 24;
    if (start === 0 && length === from.length) return slab.set(from, at + HEADER);
    // What is copied beyond the message lies in the same slot and is never looked at.
    const rounded = ((length + HEADER + UNIT - 1) & -UNIT) - HEADER;
    if (from.length >= LASTING && start + rounded <= from.length) {
      slab.set(this.#views.get(from, start, rounded), at + HEADER);
    } else slab.set(from.subarray(start, start + length), at + HEADER);
  }

  /** A slab for slots of this size, linked. */
  #cutSlab(size: number): number {
    if (this.#freeSlab === 0) this.#addBlock();
    const number = this.#freeSlab;
    const at = number * WORDS;
    this.#freeSlab = this.#words[at + NEXT];
    this.#words[at + SIZE] = size;
    this.#words[at + USED] = this.#words[at + FREE] = this.#words[at + CUT] = 0;
    this.#link(number, size);
    return number;
  }

  #addBlock(): void {
    const block = new ArrayBuffer(SLAB * SLABS_PER_BLOCK);
    for (let i = SLABS_PER_BLOCK - 1; i >= 0; i--) {
      const number = this.#newNumber(new Uint8Array(block, i * SLAB, SLAB));
      this.#words[number * WORDS + NEXT] = this.#freeSlab;
      this.#freeSlab = number;
    }
    this.#capacity += block.byteLength;
  }

  #newNumber(slab: Uint8Array): number {
    const number = this.#freeNumber;
    if (number !== 0) {
      this.#freeNumber = this.#words[number * WORDS + NEXT];
      this.#slabs[number] = slab;
      return number;
    }
    if (this.#slabs.length * WORDS === this.#words.length) {
      const longer = new Int32Array(this.#words.length * 2);
      longer.set(this.#words);
      this.#words = longer;
    }
    return this.#slabs.push(slab) - 1;
  }

  #takeAlone(units: number): number {
    const number = this.#newNumber(new Uint8Array(units * UNIT));
    this.#words[number * WORDS + SIZE] = ALONE;
    this.#inUse++;
    this.#bytesInUse += units * UNIT;
    this.#capacity += units * UNIT;
    return number << UNIT_BITS;
  }

  #giveAlone(number: number): void {
    const { length } = this.#slabs[number];
    this.#bytesInUse -= length;
    this.#capacity -= length;
    this.#slabs[number] = this.#slabs[0];
    this.#words[number * WORDS + NEXT] = this.#freeNumber;
    this.#freeNumber = number;
  }

  #link(number: number, size: number): void {
    const words = this.#words;
    const first = this.#withRoom[size];
    words[number * WORDS + NEXT] = first;
    words[number * WORDS + PREVIOUS] = 0;
    if (first !== 0) words[first * WORDS + PREVIOUS] = number;
    this.#withRoom[size] = number;
  }

  #unlink(number: number, size: number): void {
    const words = this.#words;
    const next = words[number * WORDS + NEXT];
    const previous = words[number * WORDS + PREVIOUS];
    if (previous === 0) this.#withRoom[size] = next;
    else words[previous * WORDS + NEXT] = next;
    if (next !== 0) words[next * WORDS + PREVIOUS] = previous;
  }
}
