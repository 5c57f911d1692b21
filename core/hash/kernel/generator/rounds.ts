/**
 * Writes the two files of rounds in `../assembly/`: for each algorithm a walk of links and a run of compressions, one
 * at a time (`rounds_scalar.ts`) and side by side in lanes (`rounds_lanes.ts`). The rest of the kernel is written by
 * hand.
 */
import { RUN_BLOCK, RUN_STATE, WALK_INDEX, WALK_NONCE, WALK_VALUE } from "../assembly/layout.ts";
import { compressMd5, MD5_INITIAL } from "./md5.ts";
import { compressSha1, SHA1_INITIAL } from "./sha1.ts";
import { compressSha256, SHA256_INITIAL } from "./sha256.ts";
import { type Dialect, type Expression, LANES, RoundWriter, SCALAR, type Word } from "./words.ts";

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

  /** The word at an offset of every address in `pointer0`, `pointer1` … */
  load(pointer: string, offset: number, fixed = false): Expression {
    const [first, ...others] = this.lanes.map((lane) => `${pointer}${lane}`);
    let text = this.writer.dialect === SCALAR
      ? `load<u32>(${first}, ${offset})`
      : `v128.load32_zero(${first}, ${offset})`;
    others.forEach((address, i) => text = `v128.load_lane<u32>(${address}, ${text}, ${i + 1}, ${offset})`);
    return { text, isVariable: false, fixed };
  }

  store(pointer: string, offset: number, word: Word): void {
    const text = this.writer.text(this.writer.keep(word));
    this.lanes.forEach((lane, i) => {
      const address = `${pointer}${lane}`;
      const statement = this.writer.dialect === SCALAR
        ? `store<u32>(${address}, ${text}, ${offset});`
        : `v128.store_lane<u32>(${address}, ${text}, ${i}, ${offset});`;
      this.writer[this.writer.section].push(statement);
    });
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
  const nonce = range(NONCE_WORDS).map((i) =>
    writer.keep(group.ordered(group.load("record", WALK_NONCE + 4 * i, true)))
  );
  const index = writer.declare("index", group.load("record", WALK_INDEX));
  const value = algorithm.initial.map((_, i) =>
    writer.declare(`h${i}`, group.ordered(group.load("record", WALK_VALUE + 4 * i)))
  );

  writer.section = "within";
  writer.assign(index, writer.add(index, 1));
  // A number in the record, but u32(k+1) in the block: four bytes, big endian, whatever the algorithm.
  const indexWord = algorithm.bigEndian ? index : writer.keep(writer.swapBytes(index));
  const next = algorithm.compress(writer, algorithm.initial, linkBlock(algorithm, nonce, indexWord, value));
  next.forEach((word, i) => writer.assign(value[i], word));

  writer.section = "after";
  group.store("record", WALK_INDEX, index);
  value.forEach((word, i) => group.store("record", WALK_VALUE + 4 * i, group.ordered(word)));
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
  const state = algorithm.initial.map((_, i) => writer.declare(`h${i}`, group.load("state", 4 * i)));

  writer.section = "within";
  const block = range(16).map((i) => writer.keep(group.ordered(group.load("block", 4 * i))));
  for (const lane of group.lanes) writer.within.push(`block${lane} += ${BLOCK_SIZE};`);
  const next = algorithm.compress(writer, state, block);
  next.forEach((word, i) => writer.assign(state[i], word));

  writer.section = "after";
  state.forEach((word, i) => group.store("state", 4 * i, word));
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
