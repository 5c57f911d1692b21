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
 * const values = mergeConfig(table, parseFlags(table, []), "proxy.toml", "max_users = 500\n");
 * assertEquals(values.max_users, 500);
 * ```
 */
export function mergeConfig<T extends FlagTable>(
  table: T,
  flags: ParsedFlags<T>,
  path: string,
  text: string,
): FlagValues<T> {
  const document = parseToml(path, text);
  const names = new Map<string, string>();
  for (const [name, flag] of Object.entries(table)) {
    for (const spelling of [name, ...(flag.alias ?? [])]) names.set(spelling.replaceAll("-", "_"), name);
  }
  const values: Record<string, unknown> = { ...flags.values };
  for (const [key, value] of Object.entries(document)) {
    const where = `${path}:${position(text, key)}: ${key}`;
    const name = names.get(key.replaceAll("-", "_"));
    if (name === undefined) {
      const like = nearest(key, names.keys());
      throw new UsageError(`${where} is unknown${like === undefined ? "" : `; did you mean ${like}?`}`);
    }
    const scalar = Array.isArray(value) ? value.map(String).join(",") : value;
    if (typeof scalar === "object") throw new UsageError(`${where}: a single value or a list is needed`);
    const parsed = parseFlagValue(where, table[name], String(scalar));
    if (!flags.given.has(name)) values[name] = parsed;
  }
  return values as FlagValues<T>;
}
