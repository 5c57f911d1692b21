/**
 * The parameters of an existing opensips.cfg (`--modparams FILE`): its lines `modparam("auth_db", "name", value)` set the
 * flags of that name. All else in the file is passed over, whatever it says.
 */
import { type FileEntry, nearest, UsageError } from "../mod.ts";
import { PROXY_FLAGS } from "./options.ts";

/** The module whose parameters are taken. */
const MODULE = "auth_db";
/** Parameters of the module that say how the subscriber table is read: that is DBclient's part. */
const DATABASE: ReadonlySet<string> = new Set([
  "db_url",
  "user_column",
  "domain_column",
  "password_column",
  "password_column_2",
  "calculate_ha1",
  "use_domain",
  "load_credentials",
  "skip_version_check",
]);

/** What a file holds for the proxy. */
export interface Modparams {
  /** For `mergeEntries`. */
  readonly entries: readonly FileEntry[];
  /** Parameters that are DBclient's, as `file:line:column: name`. */
  readonly database: readonly string[];
}

/** One piece of the file. */
interface Token {
  readonly kind: "word" | "text" | "sign";
  readonly text: string;
  readonly at: number;
}

/** What OpenSIPS reads in a configuration, as far as it matters here: comments, strings, words, signs. */
const PIECE =
  /(#[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|\s+)|("(?:\\[\s\S]|[^"\\])*"|'(?:\\[\s\S]|[^'\\])*')|([A-Za-z0-9_.+-]+)|([\s\S])/g;

function* tokens(text: string): Generator<Token> {
  for (const match of text.matchAll(PIECE)) {
    const [, skipped, string, word, sign] = match;
    if (skipped !== undefined) continue;
    const at = match.index;
    if (string !== undefined) {
      yield { kind: "text", text: string.slice(1, -1).replace(/\\([\s\S])/g, "$1"), at };
    } else if (word !== undefined) yield { kind: "word", text: word, at };
    else yield { kind: "sign", text: sign, at };
  }
}

/**
 * Reads the parameters of the auth_db module.
 *
 * @param path for error texts
 * @throws {UsageError} with `file:line:column` for a line of that module that cannot be read, or a parameter that is not known
 */
export function readModparams(path: string, text: string): Modparams {
  const entries: FileEntry[] = [];
  const database: string[] = [];
  const all = [...tokens(text)];
  const place = (at: number) => {
    const before = text.slice(0, at).split("\n");
    return `${path}:${before.length}:${before[before.length - 1].length + 1}`;
  };
  for (let i = 0; i < all.length; i++) {
    if (all[i].kind !== "word" || all[i].text !== "modparam") continue;
    const [open, module, comma, name, second, value, close] = all.slice(i + 1, i + 8);
    if (module?.kind !== "text" || !module.text.split("|").includes(MODULE)) continue;
    const whole = open?.text === "(" && comma?.text === "," && name?.kind === "text" &&
      second?.text === "," &&
      value !== undefined && value.kind !== "sign" && close?.text === ")";
    if (!whole) {
      throw new UsageError(`${place(all[i].at)}: modparam needs ("${MODULE}", "name", value)`);
    }
    const where = `${place(all[i].at)}: ${name.text}`;
    if (DATABASE.has(name.text)) {
      database.push(where);
      continue;
    }
    if (!isFlag(name.text)) {
      const like = nearest(name.text, [...flagNames(), ...DATABASE]);
      throw new UsageError(`${where} is unknown${like === undefined ? "" : `; did you mean ${like}?`}`);
    }
    entries.push({ name: name.text, text: value.text, where });
  }
  return { entries, database };
}

/** What names other files, or says how the program runs, has no place in a module's parameters. */
const OTHERS: ReadonlySet<string> = new Set(["config", "modparams"]);

function flagNames(): string[] {
  return Object.entries(PROXY_FLAGS).flatMap(([name, flag]) =>
    OTHERS.has(name) ? [] : [name, ...("alias" in flag ? flag.alias : [])]
  );
}

function isFlag(name: string): boolean {
  return flagNames().includes(name);
}
