/** Passwords and keys from files and from the terminal. */
import { accessWarning, firstLine, parseLinkKey, UsageError } from "../mod.ts";
import type { DatabaseChoice } from "./options.ts";

type Warn = (line: string) => void;

/** The first line of a file, without its line end; warns when others may read it. */
export function readSecretFile(flag: string, path: string, warn: Warn): string {
  let text: string;
  try {
    text = Deno.readTextFileSync(path);
  } catch (error) {
    throw new UsageError(`${flag}: cannot read ${path}: ${firstLine(error)}`);
  }
  const line = text.split(/\r?\n/, 1)[0];
  if (line === "") throw new UsageError(`${flag}: ${path} is empty`);
  const warning = accessWarning(flag, path);
  if (warning !== undefined) warn(warning);
  return line;
}

/**
 * The pre-shared key, from `--key_file` or the environment; undefined when there is none.
 *
 * @throws {UsageError} when it cannot be read or is no key; the text does not repeat it
 */
export function linkKey(keyFile: string | undefined, warn: Warn): Uint8Array | undefined {
  const fromEnv = Deno.env.get("PROXYCHAIN_KEY");
  const text = keyFile === undefined ? fromEnv : readSecretFile("--key_file", keyFile, warn);
  if (text === undefined || text === "") return undefined;
  try {
    return parseLinkKey(text);
  } catch (error) {
    const source = keyFile === undefined ? "environment variable PROXYCHAIN_KEY" : "--key_file";
    throw new UsageError(`${source}: ${firstLine(error)}`);
  }
}

/** The database's password; warns where it was given in a way that shows it to others. */
export function databasePassword(
  database: DatabaseChoice,
  values: { readonly P: string | undefined; readonly password_file: string | undefined },
  given: ReadonlySet<string>,
  warn: Warn,
): string {
  const inUrl = database.kind === "mysql" && database.password !== undefined;
  if (inUrl) warn("warning: a password in --db shows to everyone who can run ps");
  if (given.has("P")) warn("warning: -P shows the password to everyone who can run ps");
  if (database.kind === "sqlite") return "";
  if (values.password_file !== undefined) {
    return readSecretFile("--password_file", values.password_file, warn);
  }
  return values.P ?? database.password ?? "";
}

/** Reads one line from standard input; on a terminal it asks first, and what is typed does not show. */
function askPassword(question: string): string {
  const terminal = Deno.stdin.isTerminal();
  const bytes: number[] = [];
  const buffer = new Uint8Array(1);
  const write = (text: string) => Deno.stderr.writeSync(new TextEncoder().encode(text));
  if (terminal) {
    write(question);
    Deno.stdin.setRaw(true);
  }
  try {
    while (Deno.stdin.readSync(buffer) === 1) {
      const [byte] = buffer;
      if (byte === 0x0a || byte === 0x0d) break;
      if (terminal && byte === 0x03) throw new UsageError("interrupted");
      if (terminal && (byte === 0x7f || byte === 0x08)) {
        // One character back: its last byte, and before it the bytes that continue a character of UTF-8.
        while ((bytes.pop()! & 0xc0) === 0x80);
      } else bytes.push(byte);
    }
  } finally {
    if (terminal) {
      Deno.stdin.setRaw(false);
      write("\n");
    }
  }
  return new TextDecoder().decode(Uint8Array.from(bytes));
}

/**
 * Asks for a new password; on a terminal twice, since what is typed does not show.
 *
 * @throws {UsageError} when the two are not the same
 */
export function askNewPassword(question: string): string {
  const password = askPassword(question);
  if (Deno.stdin.isTerminal() && askPassword("Once more: ") !== password) {
    throw new UsageError("the two passwords are not the same");
  }
  return password;
}
