/**
 * Injection files (`-inf`): the values that differ from call to call. A file stays as it is on disk, in bytes, with the
 * places where its lines begin; a line is decoded when it is used, so that a million lines cost one pass.
 */
import type { ByteWriter, Random } from "../mod.ts";
import { partOf, type Share } from "./share.ts";

/** A mistake in what the user of the program gave: one line. */
export class InjectionError extends Error {
  override name = "InjectionError";
}

/** In which order calls take the lines. */
export type LineOrder = "SEQUENTIAL" | "RANDOM" | "USER";

const LF = 0x0a;
const CR = 0x0d;
const HASH = 0x23;
const SEMI = 0x3b;
const LBRACK = 0x5b;
const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** Makes the numbers of a PRINTF file: which of its lines, and what %d stands for. */
interface Printf {
  readonly count: number;
  readonly multiple: number;
  readonly offset: number;
}

/** The lines of a file, or lines that are made of patterns. */
export class InjectionFile {
  /** A bare name, by which scenarios speak of it: that of the file without its folder. */
  readonly name: string;
  readonly order: LineOrder;
  readonly #bytes: Uint8Array;
  readonly #starts: Uint32Array;
  readonly #printf: Printf | undefined;
  /** Lines that a scenario has replaced or inserted. */
  readonly #replaced = new Map<number, Uint8Array>();
  #size: number;
  #next = 0;
  #share: Share = { index: 0, of: 1 };
  readonly #indices = new Map<number, Map<string, number>>();
  /** Where a field was found. */
  #from: Uint8Array = encoder.encode("");
  #start = 0;
  #end = 0;

  /**
   * Reads the first line and finds the others.
   *
   * @param path for messages and for the name
   * @throws {InjectionError} on a file that is none
   */
  constructor(bytes: Uint8Array, path: string) {
    this.name = path.slice(path.lastIndexOf("/") + 1);
    this.#bytes = bytes;
    // An UTF-8 byte order mark is no part of the first word.
    const bom = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
    let firstEnd = bytes.indexOf(LF);
    if (firstEnd < 0) firstEnd = bytes.length;
    const header = decoder.decode(bytes.subarray(bom, firstEnd)).trim();
    const [word = "", ...options] = header.split(/[,;]/).map((part) => part.trim());
    const order = word.toUpperCase();
    if (order !== "SEQUENTIAL" && order !== "RANDOM" && order !== "USER" && order !== "USERS") {
      throw new InjectionError(
        `${path}:1: ${JSON.stringify(word)} is not allowed; it is SEQUENTIAL, RANDOM or USER`,
      );
    }
    this.order = order === "USERS" ? "USER" : order;
    this.#printf = readPrintf(options, path);
    this.#starts = lineStarts(bytes, firstEnd + 1);
    if (this.#starts.length === 0) throw new InjectionError(`${path}: there is no line with values`);
    this.#size = this.#printf?.count ?? this.#starts.length;
  }

  /** Number of lines. */
  get size(): number {
    return this.#size;
  }

  /**
   * Takes only every `of`th line, so that no two workers have a user in common.
   *
   * @throws {InjectionError} if that leaves some worker without a line
   */
  share(share: Share): void {
    if (this.#size < share.of) {
      throw new InjectionError(`${this.name}: ${this.#size} lines are too few for ${share.of} workers`);
    }
    this.#share = share;
  }

  /** The line of the next call; of user number `user` where the order is USER. */
  pick(user: number, random: Random): number {
    const { index, of } = this.#share;
    const lines = partOf(this.#size, this.#share);
    if (this.order === "RANDOM") return index + random.below(lines) * of;
    if (this.order === "USER") return index + user % lines * of;
    const line = this.#next;
    this.#next = line + 1 >= lines ? 0 : line + 1;
    return index + line * of;
  }

  /** Writes field `index` of `line`; nothing where there is none. */
  write(out: ByteWriter, line: number, index: number): void {
    this.#find(line, index);
    if (this.#end > this.#start) out.bytes(this.#from, this.#start, this.#end);
  }

  /** Whether the field holds a `[`: it may be a keyword. */
  hasKeyword(line: number, index: number): boolean {
    this.#find(line, index);
    for (let i = this.#start; i < this.#end; i++) if (this.#from[i] === LBRACK) return true;
    return false;
  }

  /** A field as text; "" where there is none. */
  text(line: number, index: number): string {
    this.#find(line, index);
    return decoder.decode(this.#from.subarray(this.#start, this.#end));
  }

  /** The whole line as text. */
  lineText(line: number): string {
    const [bytes, start, end] = this.#line(line);
    return decoder.decode(bytes.subarray(start, end));
  }

  /** Makes lines findable by the value of a field (`-infindex`); of lines that are alike the last is found. */
  index(field: number): void {
    const found = new Map<string, number>();
    for (let line = 0; line < this.#size; line++) found.set(this.text(line, field), line);
    this.#indices.set(field, found);
  }

  /** The line with this value in an indexed field; -1: there is none. undefined: no field is indexed. */
  lookup(key: string): number | undefined {
    if (this.#indices.size === 0) return undefined;
    for (const found of this.#indices.values()) {
      const line = found.get(key);
      if (line !== undefined) return line;
    }
    return -1;
  }

  /** Adds a line, in memory alone. */
  insert(value: string): void {
    this.replace(this.#size++, value);
  }

  /** Puts another value in the place of a line, in memory alone. */
  replace(line: number, value: string): void {
    if (line < this.#size && this.#indices.size > 0) {
      for (const [field, found] of this.#indices) {
        const old = this.text(line, field);
        if (found.get(old) === line) found.delete(old);
      }
    }
    this.#replaced.set(line, encoder.encode(value));
    for (const [field, found] of this.#indices) found.set(this.text(line, field), line);
  }

  /** Where a line is: without its end. */
  #line(line: number): [Uint8Array, number, number] {
    const replaced = this.#replaced.get(line);
    if (replaced !== undefined) return [replaced, 0, replaced.length];
    if (!(line >= 0 && line < this.#size)) return [this.#bytes, 0, 0];
    const starts = this.#starts;
    const start = starts[this.#printf === undefined ? line : line % starts.length];
    let end = start;
    const bytes = this.#bytes;
    while (end < bytes.length && bytes[end] !== LF) end++;
    if (end > start && bytes[end - 1] === CR) end--;
    if (this.#printf === undefined) return [bytes, start, end];
    const { multiple, offset } = this.#printf;
    const made = printf(decoder.decode(bytes.subarray(start, end)), line * multiple + offset);
    const text = encoder.encode(made);
    return [text, 0, text.length];
  }

  #find(line: number, index: number): void {
    const [bytes, lineStart, lineEnd] = this.#line(line);
    let start = lineStart;
    for (let field = 0; field < index && start <= lineEnd; field++) {
      while (start < lineEnd && bytes[start] !== SEMI) start++;
      start++;
    }
    let end = start;
    while (end < lineEnd && bytes[end] !== SEMI) end++;
    this.#from = bytes;
    this.#start = start;
    this.#end = start > lineEnd ? start : end;
  }
}

/** Where the lines with values begin: without empty ones and comments. */
function lineStarts(bytes: Uint8Array, from: number): Uint32Array {
  let starts = new Uint32Array(1024);
  let count = 0;
  for (let at = from; at < bytes.length;) {
    const c = bytes[at];
    if (c !== HASH && c !== LF && !(c === CR && (at + 1 === bytes.length || bytes[at + 1] === LF))) {
      if (count === starts.length) {
        const larger = new Uint32Array(4 * count);
        larger.set(starts);
        starts = larger;
      }
      starts[count++] = at;
    }
    const end = bytes.indexOf(LF, at);
    if (end < 0) break;
    at = end + 1;
  }
  return starts.subarray(0, count);
}

function readPrintf(options: readonly string[], path: string): Printf | undefined {
  const values: Record<string, number> = { PRINTFMULTIPLE: 1, PRINTFOFFSET: 0 };
  for (const option of options) {
    if (option === "") continue;
    const match = /^(PRINTF|PRINTFMULTIPLE|PRINTFOFFSET)\s*=\s*(-?\d+)$/i.exec(option);
    if (match === null) {
      throw new InjectionError(
        `${path}:1: ${JSON.stringify(option)} is not allowed; ` +
          "it is PRINTF=n, PRINTFMULTIPLE=n or PRINTFOFFSET=n",
      );
    }
    values[match[1].toUpperCase()] = Number(match[2]);
  }
  const { PRINTF: count, PRINTFMULTIPLE: multiple, PRINTFOFFSET: offset } = values;
  if (count === undefined) {
    if (options.some((option) => option !== "")) {
      throw new InjectionError(`${path}:1: PRINTF=n is missing`);
    }
    return undefined;
  }
  if (count < 1) throw new InjectionError(`${path}:1: PRINTF=${count} is not allowed; it takes 1 or more`);
  return { count, multiple, offset };
}

/** A pattern with numbers in C's format: %d, %6d, %06d, %-6d, %x; %% is %. */
export function printf(pattern: string, number: number): string {
  if (pattern.indexOf("%") < 0) return pattern;
  return pattern.replace(/%(?:%|([-+ 0]*)(\d*)(?:l*)([diuxXo]))/g, (whole, flags, width, type) => {
    if (whole === "%%") return "%";
    let digits = type === "x" || type === "X"
      ? Math.abs(number).toString(16)
      : type === "o"
      ? Math.abs(number).toString(8)
      : String(Math.abs(number));
    if (type === "X") digits = digits.toUpperCase();
    const sign = number < 0 ? "-" : flags.includes("+") ? "+" : flags.includes(" ") ? " " : "";
    const size = Number(width || 0);
    if (flags.includes("-")) return (sign + digits).padEnd(size);
    if (flags.includes("0")) return sign + digits.padStart(size - sign.length, "0");
    return (sign + digits).padStart(size);
  });
}

/** Users whose names, and passwords, are made of patterns, as an injection file. */
export function patternFile(
  pattern: string,
  password: string | undefined,
  from: number,
  count: number,
): InjectionFile {
  const line = password === undefined ? pattern : `${pattern};${password}`;
  const text = `SEQUENTIAL,PRINTF=${count},PRINTFOFFSET=${from}\n${line}\n`;
  return new InjectionFile(encoder.encode(text), "users");
}

/** The injection files of a run, in the order of the command line. */
export class InjectionFiles {
  constructor(readonly files: readonly InjectionFile[] = []) {}

  /** The place of the file of this name, with or without its folder; -1: there is none. */
  find(name: string): number {
    const bare = name.slice(name.lastIndexOf("/") + 1);
    return this.files.findIndex((file) => file.name === bare);
  }
  get names(): readonly string[] {
    return this.files.map(({ name }) => name);
  }
}
