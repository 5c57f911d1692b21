/**
 * Subscribers from CSV (RFC 4180): a header row that names username, domain, and password or hashes or both, then one
 * user per row.
 */
import { CsvError, parse } from "csv-parse";
import { pipeline, Readable } from "node:stream";
import { firstLine } from "../mod.ts";
import { nameProblem } from "./names.ts";
import { HASH_COLUMNS, HASH_DIGITS, type HashColumn } from "./subscriber.ts";

/** A row is wrong: the message is FILE:LINE:COLUMN and what is wrong with it. Or the file cannot be read. */
export class CsvRowError extends Error {
  override name = "CsvRowError";
}

/** One user of the file. */
export interface CsvUser {
  readonly username: string;
  readonly realm: string;
  /** "" where the row has hashes alone. */
  readonly password: string;
  /** "" where the row has none. */
  readonly hashes: Readonly<Record<HashColumn, string>>;
  readonly ha1b: string;
  /** Where the values stand in a row, from 1; 0 where the file has no such column. */
  readonly columns: Readonly<Record<CsvColumn, number>>;
  /** Line on which the row begins, from 1. */
  readonly line: number;
}

const CSV_COLUMNS = ["username", "domain", "password", ...HASH_COLUMNS, "ha1b"] as const;
type CsvColumn = (typeof CSV_COLUMNS)[number];

interface Info {
  readonly lines: number;
}
interface CsvRecord {
  readonly record: string[];
  readonly info: Info;
}

/** How often a character stands in a row's values. */
function countOf(character: string, record: readonly string[]): number {
  let count = 0;
  for (const value of record) count += value.includes(character) ? value.split(character).length - 1 : 0;
  return count;
}

async function* readable(file: string, chunks: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  try {
    yield* chunks;
  } catch (error) {
    throw new CsvRowError(`cannot read ${file}: ${firstLine(error)}`);
  }
}

/**
 * Reads users from CSV as it arrives.
 *
 * @param file its name, for messages
 * @throws {CsvRowError} (while iterating) for the first row that is wrong, for a user that stands twice, and for bytes
 * that cannot be read
 */
export async function* readCsvUsers(file: string, chunks: AsyncIterable<Uint8Array>): AsyncIterable<CsvUser> {
  const parser = parse({
    bom: true,
    info: true,
    skip_empty_lines: true,
    relax_column_count: true,
    max_record_size: 1 << 16,
  });
  // What goes wrong on the way comes out of the parser; a mere pipe() would leave it uncaught.
  pipeline(Readable.from(readable(file, chunks)), parser, () => {});
  const seen = new Map<string, number>();
  let columns: Record<CsvColumn, number> | undefined;
  let width = 0;
  let last = 1;
  // The parser counts lines at the end of a row, and each CR within quotes as one, that of CR LF too.
  let returns = 0;
  try {
    for await (const { record, info } of parser as AsyncIterable<CsvRecord>) {
      returns += countOf("\r", record);
      const line = info.lines - returns - countOf("\n", record);
      last = line;
      const wrong = (column: number, text: string) => new CsvRowError(`${file}:${line}:${column}: ${text}`);
      if (columns === undefined) {
        const names = record.map((name) => name.trim().toLowerCase());
        width = names.length;
        columns = Object.fromEntries(CSV_COLUMNS.map((name) => [name, names.indexOf(name) + 1])) as Record<
          CsvColumn,
          number
        >;
        const repeated = names.findIndex((name, i) => name !== "" && names.indexOf(name) < i);
        if (repeated >= 0) throw wrong(repeated + 1, `the header row names ${names[repeated]} twice`);
        const secrets = CSV_COLUMNS.slice(2);
        const missing = columns.username === 0
          ? "username"
          : columns.domain === 0
          ? "domain"
          : secrets.every((name) => columns![name] === 0)
          ? "password"
          : undefined;
        if (missing !== undefined) {
          throw wrong(
            1,
            `the header row has no column ${missing}; it takes username,domain,password or hashes (${
              secrets.slice(1).join(", ")
            }) in place of password`,
          );
        }
        continue;
      }
      if (record.length !== width) {
        throw wrong(
          Math.min(record.length, width) + 1,
          `${record.length} values, where the header has ${width}`,
        );
      }
      const places = columns;
      const value = (name: CsvColumn) => places[name] === 0 ? "" : record[places[name] - 1];
      const user = { username: value("username"), realm: value("domain") };
      const password = value("password");
      const problem = nameProblem(user);
      if (problem !== undefined) {
        throw wrong(problem.column === 1 ? columns.username : columns.domain, problem.text);
      }
      for (const [at, text] of record.entries()) {
        // The decoder puts U+FFFD where bytes are no UTF-8: such a user could never log in.
        if (text.includes("\ufffd")) throw wrong(at + 1, "is not UTF-8");
      }
      const hash = (name: HashColumn | "ha1b") => {
        const text = value(name).trim().toLowerCase();
        const digits = name === "ha1b" ? HASH_DIGITS.ha1 : HASH_DIGITS[name];
        if (text !== "" && (text.length !== digits || !/^[0-9a-f]+$/.test(text))) {
          throw wrong(places[name], `${name} is no hash: it takes ${digits} hexadecimal digits`);
        }
        return text;
      };
      const [ha1, ha1_sha256, ha1_sha512t256, ha1b] = [...HASH_COLUMNS.map(hash), hash("ha1b")];
      if (password === "" && ha1 === "" && ha1_sha256 === "" && ha1_sha512t256 === "") {
        throw wrong(places.password || places.ha1 || 1, "password is empty, and there is no hash");
      }
      const key = `${user.username}\0${user.realm}`;
      const first = seen.get(key);
      if (first !== undefined) {
        throw wrong(columns.username, `${user.username}@${user.realm} stands on line ${first} already`);
      }
      seen.set(key, line);
      const hashes = { ha1, ha1_sha256, ha1_sha512t256 };
      yield { ...user, password, hashes, ha1b, columns: places, line };
    }
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    const { lines, column } = error as unknown as { lines?: number; column?: number };
    const text = error.message.replace(/ at line \d+.*$/s, "").replace(/^[^:]*: /, "");
    throw new CsvRowError(
      `${file}:${lines ?? last}:${typeof column === "number" ? column + 1 : 1}: ${text}`,
    );
  }
  if (columns === undefined) {
    throw new CsvRowError(`${file}:1:1: is empty; it takes a header row username,domain,password`);
  }
}
