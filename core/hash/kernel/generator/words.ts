/**
 * Arithmetic on 32-bit words that writes AssemblyScript instead of computing: an algorithm that is run over it leaves
 * behind the straight-line code of its rounds. What is known when the kernel is built (padding, initial values, round
 * constants) is folded away; run on numbers alone, the algorithm gives numbers.
 */

/** The text of an expression over variables. */
export interface Expression {
  readonly text: string;
  /** Whether the text is one variable, which may be written twice at no cost. */
  readonly isVariable: boolean;
  /** Whether the value is the same for every link of a walk, so that it can be worked out before the loop. */
  readonly fixed: boolean;
}

/** A 32-bit word: known now, or an expression of the kernel; in the lanes dialect, one such word per lane. */
export type Word = number | Expression;

/** How the operations are spelled. Shifts take constant distances. */
export interface Dialect {
  readonly type: "u32" | "v128";
  constant(value: number): string;
  add(a: string, b: string): string;
  xor(a: string, b: string): string;
  and(a: string, b: string): string;
  or(a: string, b: string): string;
  not(a: string): string;
  /** Bit by bit `a` where `mask` is 1, `b` where it is 0. */
  choose(mask: string, a: string, b: string): string;
  shiftRight(a: string, distance: number): string;
  rotateLeft(variable: string, distance: number): string;
  /** The bytes of the word in the other order. */
  swapBytes(variable: string): string;
}

/** One word at a time. */
export const SCALAR: Dialect = {
  type: "u32",
  constant: (value) => `0x${(value >>> 0).toString(16)}`,
  add: (a, b) => `(${a} + ${b})`,
  xor: (a, b) => `(${a} ^ ${b})`,
  and: (a, b) => `(${a} & ${b})`,
  or: (a, b) => `(${a} | ${b})`,
  not: (a) => `(~${a})`,
  choose: (mask, a, b) => `(${b} ^ (${mask} & (${a} ^ ${b})))`,
  shiftRight: (a, distance) => `(${a} >>> ${distance})`,
  rotateLeft: (variable, distance) => `rotl<u32>(${variable}, ${distance})`,
  swapBytes: (variable) => `bswap<u32>(${variable})`,
};

/** Four words side by side. WebAssembly has no vector rotation: two shifts and an or. */
export const LANES: Dialect = {
  type: "v128",
  constant: (value) => `i32x4.splat(0x${(value >>> 0).toString(16)})`,
  add: (a, b) => `i32x4.add(${a}, ${b})`,
  xor: (a, b) => `v128.xor(${a}, ${b})`,
  and: (a, b) => `v128.and(${a}, ${b})`,
  or: (a, b) => `v128.or(${a}, ${b})`,
  not: (a) => `v128.not(${a})`,
  choose: (mask, a, b) => `v128.bitselect(${a}, ${b}, ${mask})`,
  shiftRight: (a, distance) => `i32x4.shr_u(${a}, ${distance})`,
  rotateLeft: (variable, distance) =>
    `v128.or(i32x4.shl(${variable}, ${distance}), i32x4.shr_u(${variable}, ${32 - distance}))`,
  swapBytes: (variable) =>
    `i8x16.shuffle(${variable}, ${variable}, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12)`,
};

/** Rotates a number left within 32 bits. */
export function rotateLeft(value: number, distance: number): number {
  return ((value << distance) | (value >>> (32 - distance))) >>> 0;
}

function swapBytes(value: number): number {
  return ((value << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24)) >>> 0;
}

const isKnown = (word: Word): word is number => typeof word === "number";

/** Collects the statements of a loop and of what stands before and after it. */
export class RoundWriter {
  readonly before: string[] = [];
  readonly within: string[] = [];
  readonly after: string[] = [];
  /** Where the next statements go. What is fixed goes before the loop in any case. */
  section: "before" | "within" | "after" = "before";
  #variables = 0;

  /** @param suffix of the names of all variables, so that two writers can share a function */
  constructor(readonly dialect: Dialect, readonly suffix: string) {}

  /** Gives the value a variable of its own; for whatever is used more than once. */
  keep(word: Word): Word {
    if (isKnown(word) || word.isVariable) return word;
    const text = `t${this.#variables++}${this.suffix}`;
    const section = word.fixed ? "before" : this.section;
    this[section].push(`const ${text}: ${this.dialect.type} = ${word.text};`);
    return { text, isVariable: true, fixed: word.fixed };
  }

  /** A variable that changes: its first value is given here, others by {@linkcode assign}. */
  declare(name: string, word: Word): Expression {
    const text = `${name}${this.suffix}`;
    this[this.section].push(`let ${text}: ${this.dialect.type} = ${this.text(word)};`);
    return { text, isVariable: true, fixed: false };
  }

  assign(variable: Expression, word: Word): void {
    this[this.section].push(`${variable.text} = ${this.text(word)};`);
  }

  /** How the word is spelled in an expression. */
  text(word: Word): string {
    return isKnown(word) ? this.dialect.constant(word) : word.text;
  }

  /** The sum modulo 2^32, added from left to right: put what is ready last at the end. */
  add(...words: Word[]): Word {
    return this.#fold(words, (a, b) => (a + b) >>> 0, this.dialect.add);
  }

  xor(...words: Word[]): Word {
    return this.#fold(words, (a, b) => (a ^ b) >>> 0, this.dialect.xor);
  }

  and(a: Word, b: Word): Word {
    return isKnown(a) && isKnown(b) ? (a & b) >>> 0 : this.#binary(a, b, this.dialect.and);
  }

  or(a: Word, b: Word): Word {
    return isKnown(a) && isKnown(b) ? (a | b) >>> 0 : this.#binary(a, b, this.dialect.or);
  }

  not(a: Word): Word {
    return isKnown(a) ? ~a >>> 0 : this.#unary(a, this.dialect.not);
  }

  shiftRight(a: Word, distance: number): Word {
    return isKnown(a) ? a >>> distance : this.#unary(a, (text) => this.dialect.shiftRight(text, distance));
  }

  rotateLeft(a: Word, distance: number): Word {
    if (isKnown(a)) return rotateLeft(a, distance);
    return this.#unary(this.#asVariable(a), (text) => this.dialect.rotateLeft(text, distance));
  }

  swapBytes(a: Word): Word {
    if (isKnown(a)) return swapBytes(a);
    return this.#unary(this.#asVariable(a), this.dialect.swapBytes);
  }

  /** Bit by bit `a` where `mask` is 1, `b` where it is 0. */
  choose(mask: Word, a: Word, b: Word): Word {
    const [m, x, y] = [mask, a, b].map((word) => this.text(word));
    if (isKnown(mask) && isKnown(a) && isKnown(b)) return ((mask & a) | (~mask & b)) >>> 0;
    const fixed = [mask, a, b].every((word) => isKnown(word) || word.fixed);
    return { text: this.dialect.choose(m, x, y), isVariable: false, fixed };
  }

  /** Bit by bit what at least two of the three have: where `a` and `b` differ, `c` decides. */
  majority(a: Word, b: Word, c: Word): Word {
    return this.choose(this.xor(a, b), c, b);
  }

  #asVariable(word: Expression): Expression {
    return this.dialect.type === "v128" ? this.keep(word) as Expression : word;
  }

  #unary(a: Expression, spell: (a: string) => string): Expression {
    return { text: spell(a.text), isVariable: false, fixed: a.fixed };
  }

  #binary(a: Word, b: Word, spell: (a: string, b: string) => string): Expression {
    const fixed = (isKnown(a) || a.fixed) && (isKnown(b) || b.fixed);
    return { text: spell(this.text(a), this.text(b)), isVariable: false, fixed };
  }

  /** Sums or xors: known words are worked out and join the first of the others; 0 changes neither. */
  #fold(
    words: readonly Word[],
    compute: (a: number, b: number) => number,
    spell: (a: string, b: string) => string,
  ): Word {
    const known = words.filter(isKnown).reduce(compute, 0);
    const [first, ...others] = words.filter((word): word is Expression => !isKnown(word));
    if (first === undefined) return known;
    let result = known === 0 ? first : this.#binary(first, known, spell);
    for (const other of others) result = this.#binary(result, other, spell);
    return result;
  }
}
