/** Configuration files: TOML whose keys are the flags of a program. */
import { parse, TomlError } from "smol-toml";
import { type FlagTable, type FlagValues, type ParsedFlags, parseFlagValue, UsageError } from "./flags.ts";
import { nearest } from "./nearest.ts";

/** Line and column (both from 1) of a key in TOML text. */
function position(text: string, key: string): string {
  const lines = text.split("\n");
  for (let i = 0; i < lines.length; i++) {
    const match = /^(\s*)(?:"([^"]*)"|'([^']*)'|([A-Za-z0-9_-]+))\s*=/.exec(lines[i]);
    if (match !== null && (match[2] ?? match[3] ?? match[4]) === key) {
      return `${i + 1}:${match[1].length + 1}`;
    }
  }
  return "1:1";
}

/** One value from a file. */
export interface FileEntry {
  readonly name: string;
  /** The value as a command line would have it. */
  readonly text: string;
  /** Where it stands, for error texts: `file:line:column: name`. */
  readonly where: string;
}

/**
 * Puts values from a file under those that are given already.
 *
 * @param table the program's flags
 * @param flags what {@linkcode parseFlags} found, or this function with a file that goes before
 * @returns the same with the values of the file, which count as given then
 * @throws {UsageError} for an unknown name, with the one that was meant, or a wrong value
 */
export function mergeEntries<T extends FlagTable>(
  table: T,
  flags: ParsedFlags<T>,
  entries: readonly FileEntry[],
): ParsedFlags<T> {
  const names = new Map<string, string>();
  for (const [name, flag] of Object.entries(table)) {
    for (const spelling of [name, ...(flag.alias ?? [])]) names.set(spelling.replaceAll("-", "_"), name);
  }
  const values: Record<string, unknown> = { ...flags.values };
  const given = new Set(flags.given);
  for (const { name: key, text, where } of entries) {
    const name = names.get(key.replaceAll("-", "_"));
    if (name === undefined) {
      const like = nearest(key, names.keys());
      throw new UsageError(`${where} is unknown${like === undefined ? "" : `; did you mean ${like}?`}`);
    }
    const parsed = parseFlagValue(where, table[name], text);
    if (!flags.given.has(name)) values[name] = parsed;
    given.add(name);
  }
  return { ...flags, values: values as FlagValues<T>, given };
}

/**
 * Reads a TOML document.
 *
 * @param path name of the file, for error texts
 * @throws {UsageError} for damaged TOML: `file:line:column: …`
 */
export function parseToml(path: string, text: string): Record<string, unknown> {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const reason = error.message.split("\n")[0].replace("Invalid TOML document: ", "");
    throw new UsageError(`${path}:${error.line}:${error.column}: ${reason}`);
  }
}

/**
 * Merges a TOML file under the flags of a command line: what stands on the command line wins.
 *
 * @param table the program's flags
 * @param flags what {@linkcode parseFlags} found
 * @param path name of the file, for error texts
 * @param text its content
 * @throws {UsageError} for damaged TOML, an unknown key or a wrong value: `file:line:column: …`
 * @example
 * ```ts
 * import { mergeConfig, parseFlags } from "../../mod.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const table = { max_users: { type: "integer", default: 1000, help: "users in the cache" } } as const;
 * const { values } = mergeConfig(table, parseFlags(table, []), "proxy.toml", "max_users = 500\n");
 * assertEquals(values.max_users, 500);
 * ```
 */
export function mergeConfig<T extends FlagTable>(
  table: T,
  flags: ParsedFlags<T>,
  path: string,
  text: string,
): ParsedFlags<T> {
  return mergeEntries(
    table,
    flags,
    Object.entries(parseToml(path, text)).map(([key, value]) => {
      const where = `${path}:${position(text, key)}: ${key}`;
      const scalar = Array.isArray(value) ? value.map(String).join(",") : value;
      if (typeof scalar === "object") throw new UsageError(`${where}: a single value or a list is needed`);
      return { name: key, text: String(scalar), where };
    }),
  );
}
