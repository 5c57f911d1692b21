/** Subscribers from CSV (RFC 4180): a header row that names username, domain and password, then one user per row. */
import { CsvError, parse } from "csv-parse";
import { pipeline, Readable } from "node:stream";
import { firstLine } from "../mod.ts";
import { nameProblem } from "./names.ts";

/** A row is wrong: the message is FILE:LINE:COLUMN and what is wrong with it. Or the file cannot be read. */
export class CsvRowError extends Error {
  override name = "CsvRowError";
}

/** One user of the file. */
export interface CsvUser {
  readonly username: string;
  readonly realm: string;
  readonly password: string;
  /** Line on which the row begins, from 1. */
  readonly line: number;
}

interface Info {
  readonly lines: number;
}
interface CsvRecord {
  readonly record: string[];
  readonly info: Info;
}

/** Line breaks within a row's values: the parser counts lines at the end of a row. */
function lineBreaks(record: readonly string[]): number {
  let count = 0;
  for (const value of record) count += value.includes("\n") ? value.split("\n").length - 1 : 0;
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
  let columns: { username: number; domain: number; password: number } | undefined;
  let width = 0;
  let last = 1;
  try {
    for await (const { record, info } of parser as AsyncIterable<CsvRecord>) {
      const line = info.lines - lineBreaks(record);
      last = line;
      const wrong = (column: number, text: string) =>
        new CsvRowError(`${file}:${line}:${column + 1}: ${text}`);
      if (columns === undefined) {
        const names = record.map((name) => name.trim().toLowerCase());
        width = names.length;
        columns = {
          username: names.indexOf("username"),
          domain: names.indexOf("domain"),
          password: names.indexOf("password"),
        };
        for (const [name, at] of Object.entries(columns)) {
          if (at < 0) {
            throw wrong(0, `the header row has no column ${name}; it takes username,domain,password`);
          }
        }
        continue;
      }
      if (record.length !== width) {
        throw wrong(Math.min(record.length, width), `${record.length} values, where the header has ${width}`);
      }
      const user = { username: record[columns.username], realm: record[columns.domain] };
      const password = record[columns.password];
      const problem = nameProblem(user);
      if (problem !== undefined) {
        throw wrong(problem.column === 1 ? columns.username : columns.domain, problem.text);
      }
      if (password === "") throw wrong(columns.password, "password is empty");
      for (const [at, value] of record.entries()) {
        // The decoder puts U+FFFD where bytes are no UTF-8: such a user could never log in.
        if (value.includes("\ufffd")) throw wrong(at, "is not UTF-8");
      }
      const key = `${user.username}\0${user.realm}`;
      const first = seen.get(key);
      if (first !== undefined) {
        throw wrong(columns.username, `${user.username}@${user.realm} stands on line ${first} already`);
      }
      seen.set(key, line);
      yield { ...user, password, line };
    }
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    const { lines, column } = error as unknown as { lines?: number; column?: number };
    const text = error.message.replace(/ at line \d+.*$/s, "").replace(/^[^:]*: /, "");
    throw new CsvRowError(`${file}:${lines ?? last}:${typeof column === "number" ? column + 1 : 1}: ${text}`);
  }
  if (columns === undefined) {
    throw new CsvRowError(`${file}:1:1: is empty; it takes a header row username,domain,password`);
  }
}
