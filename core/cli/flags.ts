/**
 * Command-line flags as a table: one table gives the parser, the types of its values and the `--help` text.
 * A flag may be written with one dash or two (`-n 10`, `--n=10`), with `-` or `_` inside its name, since the
 * programs follow OpenSIPS (`cache_warmup`) and SIPp (`-sf`) in their names.
 */
import { nearest } from "./nearest.ts";

/** The command line is wrong: the message is one line for the user, and the program exits with code 2. */
export class UsageError extends Error {
  override name = "UsageError";
}

interface CommonSpec {
  /** What the flag does, one or two lines for `--help`. */
  readonly help: string;
  /** Other names of the same flag, without dashes. */
  readonly alias?: readonly string[];
  /** The unit of the value, for `--help`: "ms", "s", "users". */
  readonly unit?: string;
  /** Environment variable that gives the value when the flag is absent. */
  readonly env?: string;
  /** The value is a secret: given on the command line it shows in `ps`, so the program warns. */
  readonly secret?: boolean;
}
/** A flag with a free text value. */
export interface TextFlag extends CommonSpec {
  readonly type: "text";
  readonly default?: string;
  /** Name of the value in `--help`, such as `FILE`. */
  readonly value?: string;
}
/** A flag with a number, within `min` … `max`. */
export interface NumberFlag extends CommonSpec {
  readonly type: "integer" | "number";
  readonly default?: number;
  readonly min?: number;
  readonly max?: number;
}
/** A flag that is on or off: `--x`, `--x 1`, `--x=false`, `--no-x`. */
export interface BooleanFlag extends CommonSpec {
  readonly type: "boolean";
  readonly default?: boolean;
}
/** A flag whose value is one of a closed list. */
export interface ChoiceFlag extends CommonSpec {
  readonly type: "choice";
  readonly choices: readonly string[];
  readonly default?: string;
}
/** A flag that may stand several times, or once with a comma-separated list. */
export interface ListFlag extends CommonSpec {
  readonly type: "list";
  readonly default?: readonly string[];
  readonly value?: string;
}
/** One flag of a program. */
export type Flag = TextFlag | NumberFlag | BooleanFlag | ChoiceFlag | ListFlag;
/** All flags of a program, by name (without dashes). */
export type FlagTable = Readonly<Record<string, Flag>>;

type Base<F extends Flag> = F extends { type: "text" } ? string
  : F extends { type: "integer" | "number" } ? number
  : F extends { type: "boolean" } ? boolean
  : F extends { type: "choice"; choices: readonly (infer C)[] } ? C
  : readonly string[];
/** The type of a flag's value: without a default it may be undefined. */
export type FlagValue<F extends Flag> = F extends { default: unknown } ? Base<F>
  : F extends { type: "boolean" } ? boolean
  : Base<F> | undefined;
/** The values of all flags of a table. */
export type FlagValues<T extends FlagTable> = { -readonly [K in keyof T]: FlagValue<T[K]> };

/** What {@linkcode parseFlags} found. */
export interface ParsedFlags<T extends FlagTable> {
  readonly values: FlagValues<T>;
  /** Arguments that are no flags, in order. */
  readonly positional: readonly string[];
  /** Names of the flags that stood on the command line. */
  readonly given: ReadonlySet<string>;
  /** `--help` was asked for: print {@linkcode formatHelp} and exit with 0. */
  readonly help: boolean;
}

const TRUE = new Set(["1", "true", "yes", "on"]);
const FALSE = new Set(["0", "false", "no", "off"]);
const canonical = (name: string) => name.replaceAll("-", "_");

/** What values a flag takes, for error texts. */
function allowed(flag: Flag): string {
  switch (flag.type) {
    case "text":
      return flag.value ?? "a text";
    case "list":
      return `${flag.value ?? "text"}[,…]`;
    case "boolean":
      return "0 or 1";
    case "choice":
      return `one of ${flag.choices.join(", ")}`;
    default: {
      const kind = flag.type === "integer" ? "a whole number" : "a number";
      const unit = flag.unit === undefined ? "" : ` of ${flag.unit}`;
      if (flag.min !== undefined && flag.max !== undefined) {
        return `${kind}${unit} from ${flag.min} to ${flag.max}`;
      }
      return flag.min === undefined ? kind + unit : `${kind}${unit} of at least ${flag.min}`;
    }
  }
}

/**
 * Reads one value of a flag, wherever it comes from (command line, environment, configuration file).
 *
 * @param label how the user wrote the flag, for the error text
 * @throws {UsageError} when the value is not allowed; a secret value is not repeated in the text
 */
export function parseFlagValue(
  label: string,
  flag: Flag,
  text: string,
): string | number | boolean | readonly string[] {
  const wrong = () => {
    const shown = flag.secret ? "the value" : JSON.stringify(text);
    return new UsageError(`${label}: ${shown} is not allowed; it takes ${allowed(flag)}`);
  };
  switch (flag.type) {
    case "text":
      if (text === "") throw wrong();
      return text;
    case "list":
      return text.split(",").map((item) => item.trim()).filter((item) => item !== "");
    case "boolean": {
      const lower = text.toLowerCase();
      if (TRUE.has(lower)) return true;
      if (FALSE.has(lower)) return false;
      throw wrong();
    }
    case "choice":
      if (!flag.choices.includes(text)) throw wrong();
      return text;
    default: {
      const number = text.trim() === "" ? NaN : Number(text);
      if (!Number.isFinite(number) || (flag.type === "integer" && !Number.isSafeInteger(number))) {
        throw wrong();
      }
      if (number < (flag.min ?? -Infinity) || number > (flag.max ?? Infinity)) throw wrong();
      return number;
    }
  }
}

/** Finds flags by any of their spellings. */
function lookupTable(table: FlagTable): Map<string, string> {
  const names = new Map<string, string>();
  for (const [name, flag] of Object.entries(table)) {
    for (const spelling of [name, ...(flag.alias ?? [])]) names.set(canonical(spelling), name);
  }
  return names;
}

/**
 * Parses command-line arguments against a table of flags.
 *
 * @param table the program's flags
 * @param args the arguments, without the program's name
 * @param env reads an environment variable, for flags that name one
 * @throws {UsageError} for an unknown flag, a missing or a wrong value: one line, with what is allowed
 * @example
 * ```ts
 * import { parseFlags } from "../../mod.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const table = { n: { type: "integer", default: 10, min: 1, max: 65535, help: "chain length" } } as const;
 * const { values, positional } = parseFlags(table, ["users", "-n", "20"]);
 * assertEquals(values.n, 20);
 * assertEquals(positional, ["users"]);
 * ```
 */
export function parseFlags<const T extends FlagTable>(
  table: T,
  args: readonly string[],
  env: (name: string) => string | undefined = () => undefined,
): ParsedFlags<T> {
  const names = lookupTable(table);
  const values: Record<string, unknown> = {};
  const given = new Set<string>();
  const positional: string[] = [];
  let help = false;
  for (let i = 0; i < args.length; i++) {
    const arg = args[i];
    if (arg === "--") {
      positional.push(...args.slice(i + 1));
      break;
    }
    if (!arg.startsWith("-") || arg === "-" || /^-\d/.test(arg)) {
      positional.push(arg);
      continue;
    }
    const equals = arg.indexOf("=");
    const label = equals < 0 ? arg : arg.slice(0, equals);
    const spelling = canonical(label.replace(/^--?/, ""));
    let inline = equals < 0 ? undefined : arg.slice(equals + 1);
    let name = names.get(spelling);
    if (name === undefined && spelling === "help") {
      help = true;
      continue;
    }
    if (name === undefined && spelling.startsWith("no_")) {
      name = names.get(spelling.slice(3));
      if (name !== undefined && table[name].type === "boolean" && inline === undefined) inline = "0";
      else name = undefined;
    }
    if (name === undefined) {
      const like = nearest(spelling, names.keys());
      const hint = like === undefined ? "" : `did you mean --${names.get(like)}? `;
      throw new UsageError(`unknown flag ${label}: ${hint}--help names every flag`);
    }
    const flag = table[name];
    if (flag.type === "boolean" && inline === undefined) {
      const next = args[i + 1]?.toLowerCase();
      if (next !== undefined && (TRUE.has(next) || FALSE.has(next))) inline = args[++i];
      else inline = "1";
    }
    if (inline === undefined) {
      if (i + 1 >= args.length) throw new UsageError(`${label} needs a value: ${allowed(flag)}`);
      inline = args[++i];
    }
    const value = parseFlagValue(label, flag, inline);
    values[name] = flag.type === "list" && given.has(name)
      ? [...values[name] as string[], ...value as string[]]
      : value;
    given.add(name);
  }
  for (const [name, flag] of Object.entries(table)) {
    if (given.has(name)) continue;
    const fromEnv = flag.env === undefined ? undefined : env(flag.env);
    if (fromEnv !== undefined && fromEnv !== "") {
      values[name] = parseFlagValue(`environment variable ${flag.env}`, flag, fromEnv);
    } else values[name] = flag.default ?? (flag.type === "boolean" ? false : undefined);
  }
  return { values: values as FlagValues<T>, positional, given, help };
}

/** The text of `--help`: usage, then every flag with its value, default and unit. */
export function formatHelp(usage: string, table: FlagTable, notes = ""): string {
  const rows = Object.entries(table).map(([name, flag]) => {
    const spellings = [name, ...(flag.alias ?? [])].map((s) => s.length === 1 ? `-${s}` : `--${s}`).join(
      ", ",
    );
    const value = flag.type === "boolean"
      ? "[0|1]"
      : flag.type === "choice"
      ? flag.choices.join("|")
      : flag.type === "text" || flag.type === "list"
      ? (flag.value ?? "TEXT") + (flag.type === "list" ? ",…" : "")
      : "N";
    const preset = flag.default ?? (flag.type === "boolean" ? false : undefined);
    const shown = preset === undefined
      ? "no default"
      : `default ${
        Array.isArray(preset)
          ? preset.join(",") || "none"
          : typeof preset === "boolean"
          ? Number(preset)
          : preset
      }`;
    const unit = flag.unit === undefined ? "" : ` ${flag.unit}`;
    const env = flag.env === undefined ? "" : `; environment ${flag.env}`;
    return {
      left: `  ${spellings} ${value}`,
      right: `${flag.help} (${shown}${preset === undefined ? (unit && `;${unit}`) : unit}${env})`,
    };
  });
  const width = Math.min(34, Math.max(...rows.map((row) => row.left.length)));
  const lines = rows.map(({ left, right }) =>
    left.length > width ? `${left}\n${" ".repeat(width + 2)}${right}` : `${left.padEnd(width + 2)}${right}`
  );
  return [
    usage,
    "",
    "Flags:",
    ...lines,
    "  --help".padEnd(width + 2) + "This text",
    ...(notes === "" ? [] : ["", notes]),
  ].join("\n");
}
