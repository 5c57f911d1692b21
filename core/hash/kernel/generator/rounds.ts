/**
 * Writes the two files of rounds in `../assembly/`: for each algorithm a walk of links and a run of compressions, one
 * at a time (`rounds_scalar.ts`) and side by side in lanes (`rounds_lanes.ts`). The rest of the kernel is written by
 * hand.
 */
import { RUN_BLOCK, RUN_STATE, WALK_INDEX, WALK_NONCE } from "../assembly/layout.ts";
import { compressMd5, MD5_INITIAL } from "./md5.ts";
import { compressSha1, SHA1_INITIAL } from "./sha1.ts";
import { compressSha256, SHA256_INITIAL } from "./sha256.ts";
import { type Dialect, LANES, RoundWriter, SCALAR, type Word } from "./words.ts";

type Kind = "links" | "run";

interface Algorithm {
  readonly name: string;
  readonly initial: readonly number[];
  /** Whether the words of a block are big endian; WebAssembly is little endian. */
  readonly bigEndian: boolean;
  /** Vectors of four lanes that are worked on at once: two where one would leave the processor waiting. */
  readonly vectors: Readonly<Record<Kind, number>>;
  compress(writer: RoundWriter, state: readonly Word[], block: readonly Word[]): Word[];
}

/** The algorithms of docs/PROTOCOL.md §2. `vectors` was measured: docs/decisions/lanes_kernel.md. */
const ALGORITHMS: readonly Algorithm[] = [
  {
    name: "md5",
    initial: MD5_INITIAL,
    bigEndian: false,
    vectors: { links: 2, run: 2 },
    compress: compressMd5,
  },
  {
    name: "sha1",
    initial: SHA1_INITIAL,
    bigEndian: true,
    vectors: { links: 2, run: 1 },
    compress: compressSha1,
  },
  {
    name: "sha256",
    initial: SHA256_INITIAL,
    bigEndian: true,
    vectors: { links: 1, run: 1 },
    compress: compressSha256,
  },
];

const BLOCK_SIZE = 64;
const NONCE_WORDS = 4;
const LANES_OF_VECTOR = 4;

const range = (length: number): number[] => Array.from({ length }, (_, i) => i);
const capital = (name: string): string => name[0].toUpperCase() + name.slice(1);

/** Access to the records that one word, or the lanes of one vector, work on. */
class Group {
  readonly writer: RoundWriter;

  /** Numbers of the records. */
  readonly lanes: readonly number[];

  constructor(readonly algorithm: Algorithm, dialect: Dialect, first: number) {
    this.writer = new RoundWriter(dialect, first === 0 ? "" : `_${first}`);
    this.lanes = dialect === SCALAR ? [first] : range(LANES_OF_VECTOR).map((lane) => first + lane);
  }

  /** `count` words from an offset up, of every address in `pointer0`, `pointer1` … */
  load(pointer: string, offset: number, count: number, fixed = false): Word[] {
    const addresses = this.lanes.map((lane) => `${pointer}${lane}`);
    const words: Word[] = [];
    while (words.length < count) {
      const at = offset + 4 * words.length;
      if (this.writer.dialect === LANES && count - words.length >= LANES_OF_VECTOR) {
        const rows = addresses.map((address) => this.#keep(`v128.load(${address}, ${at})`, fixed));
        words.push(...this.#transpose(rows, fixed));
      } else {
        words.push({ text: this.#gather(addresses, at), isVariable: false, fixed });
      }
    }
    return words;
  }

  store(pointer: string, offset: number, words: readonly Word[]): void {
    const addresses = this.lanes.map((lane) => `${pointer}${lane}`);
    const texts = words.map((word) => this.writer.text(this.writer.keep(word)));
    let done = 0;
    while (done < words.length) {
      const at = offset + 4 * done;
      if (this.writer.dialect === LANES && words.length - done >= LANES_OF_VECTOR) {
        const rows = this.#transpose(texts.slice(done, done + LANES_OF_VECTOR), false);
        rows.forEach((row, lane) =>
          this.#state(`v128.store(${addresses[lane]}, ${this.writer.text(row)}, ${at});`)
        );
        done += LANES_OF_VECTOR;
      } else {
        this.#scatter(addresses, at, texts[done]);
        done++;
      }
    }
  }

  /** One word of each address. */
  #gather(addresses: readonly string[], offset: number): string {
    const [first, ...others] = addresses;
    if (this.writer.dialect === SCALAR) return `load<u32>(${first}, ${offset})`;
    return others.reduce(
      (vector, address, i) => `v128.load_lane<u32>(${address}, ${vector}, ${i + 1}, ${offset})`,
      `v128.load32_zero(${first}, ${offset})`,
    );
  }

  #scatter(addresses: readonly string[], offset: number, text: string): void {
    if (this.writer.dialect === SCALAR) {
      return this.#state(`store<u32>(${addresses[0]}, ${text}, ${offset});`);
    }
    addresses.forEach((address, lane) =>
      this.#state(`v128.store_lane<u32>(${address}, ${text}, ${lane}, ${offset});`)
    );
  }

  /** From four words of each of four records to four vectors of the same word of all records, or back. */
  #transpose([a, b, c, d]: readonly string[], fixed: boolean): Word[] {
    const low = (x: string, y: string) => this.#keep(`v128.shuffle<u32>(${x}, ${y}, 0, 4, 1, 5)`, fixed);
    const high = (x: string, y: string) => this.#keep(`v128.shuffle<u32>(${x}, ${y}, 2, 6, 3, 7)`, fixed);
    const [ab, cd, abHigh, cdHigh] = [low(a, b), low(c, d), high(a, b), high(c, d)];
    return [[ab, cd, "0, 2"], [ab, cd, "1, 3"], [abHigh, cdHigh, "0, 2"], [abHigh, cdHigh, "1, 3"]].map(
      ([x, y, halves]) => ({ text: `v128.shuffle<u64>(${x}, ${y}, ${halves})`, isVariable: false, fixed }),
    );
  }

  #keep(text: string, fixed: boolean): string {
    return this.writer.text(this.writer.keep({ text, isVariable: false, fixed }));
  }

  #state(statement: string): void {
    this.writer[this.writer.section].push(statement);
  }

  /** From bytes as the algorithm has them to a number, or back. */
  ordered(word: Word): Word {
    return this.algorithm.bigEndian ? this.writer.swapBytes(word) : word;
  }
}

/** The block N || u32(k+1) || h_k, docs/PROTOCOL.md §3, and its padding. */
function linkBlock(algorithm: Algorithm, nonce: Word[], index: Word, value: Word[]): Word[] {
  const block: Word[] = [...nonce, index, ...value];
  const bits = block.length * 32;
  block.push(algorithm.bigEndian ? 0x80000000 : 0x80);
  while (block.length < 16) block.push(0);
  block[algorithm.bigEndian ? 15 : 14] = bits;
  return block;
}

/** A loop that goes one link up in each turn; the records are walks. */
function writeLinks(group: Group): void {
  const { algorithm, writer } = group;
  const nonce = group.load("record", WALK_NONCE, NONCE_WORDS, true).map((word) =>
    writer.keep(group.ordered(word))
  );
  // The index and, right behind it, the value.
  const [loadedIndex, ...loadedValue] = group.load("record", WALK_INDEX, 1 + algorithm.initial.length);
  const index = writer.declare("index", loadedIndex);
  const value = loadedValue.map((word, i) => writer.declare(`h${i}`, group.ordered(word)));

  writer.section = "within";
  writer.assign(index, writer.add(index, 1));
  // A number in the record, but u32(k+1) in the block: four bytes, big endian, whatever the algorithm.
  const indexWord = algorithm.bigEndian ? index : writer.keep(writer.swapBytes(index));
  const next = algorithm.compress(writer, algorithm.initial, linkBlock(algorithm, nonce, indexWord, value));
  next.forEach((word, i) => writer.assign(value[i], word));

  writer.section = "after";
  group.store("record", WALK_INDEX, [index, ...value.map((word) => group.ordered(word))]);
}

/** A loop that compresses one block in each turn; the records are runs. */
function writeRun(group: Group): void {
  const { algorithm, writer } = group;
  for (const lane of group.lanes) {
    writer.before.push(
      `const state${lane}: usize = load<usize>(record${lane}, ${RUN_STATE});`,
      `let block${lane}: usize = load<usize>(record${lane}, ${RUN_BLOCK});`,
    );
  }
  const state = group.load("state", 0, algorithm.initial.length).map((word, i) =>
    writer.declare(`h${i}`, word)
  );

  writer.section = "within";
  const block = group.load("block", 0, BLOCK_SIZE / 4).map((word) => writer.keep(group.ordered(word)));
  for (const lane of group.lanes) writer.within.push(`block${lane} += ${BLOCK_SIZE};`);
  const next = algorithm.compress(writer, state, block);
  next.forEach((word, i) => writer.assign(state[i], word));

  writer.section = "after";
  group.store("state", 0, state);
}

/** Both groups' statements in turn, so that the processor finds independent work side by side. */
function interleave(lists: readonly (readonly string[])[]): string[] {
  return lists[0].flatMap((_, i) => lists.map((list) => list[i]));
}

function writeFunction(
  algorithm: Algorithm,
  dialect: Dialect,
  kind: Kind,
  write: (group: Group) => void,
): string {
  const vectors = dialect === SCALAR ? 1 : algorithm.vectors[kind];
  const groups = range(vectors).map((i) => new Group(algorithm, dialect, i * LANES_OF_VECTOR));
  groups.forEach(write);
  const writers = groups.map((group) => group.writer);
  const indent = (line: string): string => `  ${line}`;
  const name = `${algorithm.name}${capital(kind)}${dialect === SCALAR ? "" : "Lanes"}`;
  const parameter = dialect === SCALAR ? "record0" : "records";
  const records = dialect === SCALAR
    ? []
    : groups.flatMap(({ lanes }) =>
      lanes.map((lane) => `const record${lane}: usize = load<usize>(records, ${4 * lane});`)
    );
  return [
    `export function ${name}(${parameter}: usize, turns: u32): void {`,
    ...records.map(indent),
    ...writers.flatMap((writer) => writer.before).map(indent),
    "  for (let turn: u32 = 0; turn < turns; turn++) {",
    ...interleave(writers.map((writer) => writer.within)).map(indent).map(indent),
    "  }",
    ...writers.flatMap((writer) => writer.after).map(indent),
    "}",
    "",
  ].join("\n");
}

const HEAD = `// deno-fmt-ignore-file
// deno-lint-ignore-file
// @ts-nocheck AssemblyScript
// Written by ../generator/rounds.ts (deno task build:kernel): change that, not this.

`;

/** The initial states as bytes in memory. */
function writeInitialStates(): string {
  return ALGORITHMS.map(({ name, initial }) => {
    const words = initial.map((word) => `0x${word.toString(16)}`).join(", ");
    return `export const ${name.toUpperCase()}_INITIAL: usize = memory.data<u32>([${words}]);\n`;
  }).join("") + "\n";
}

/** How many records the lanes of each function take. */
function writeLaneCounts(): string {
  return ALGORITHMS.flatMap(({ name, vectors }) => [
    `export const ${name.toUpperCase()}_LINKS_LANES: i32 = ${vectors.links * LANES_OF_VECTOR};\n`,
    `export const ${name.toUpperCase()}_RUN_LANES: i32 = ${vectors.run * LANES_OF_VECTOR};\n`,
  ]).join("") + "\n";
}

function writeFile(dialect: Dialect): string {
  return HEAD + (dialect === SCALAR ? writeInitialStates() : writeLaneCounts()) +
    ALGORITHMS.flatMap((algorithm) => [
      writeFunction(algorithm, dialect, "links", writeLinks),
      writeFunction(algorithm, dialect, "run", writeRun),
    ]).join("\n");
}

/** The generated files of the kernel by name. */
export function writeRounds(): Readonly<Record<"rounds_scalar.ts" | "rounds_lanes.ts", string>> {
  return { "rounds_scalar.ts": writeFile(SCALAR), "rounds_lanes.ts": writeFile(LANES) };
}
