/**
 * Lists of the dispatcher's destinations: Kamailio's `dispatcher.list`, or TOML. Pure: text in, destinations or a
 * one-line error with `file:line:column` out.
 */
import { nearest, parseToml, parseUri, UsageError } from "../../mod.ts";
import { isAddress, uriDestination } from "../destination.ts";

/** One destination as an operator has written it. */
export interface DestinationEntry {
  /** Number of its set. */
  readonly set: number;
  /** sip or sips. */
  readonly uri: string;
  /** Sum of {@linkcode DestinationFlag}. */
  readonly flags: number;
  /** Higher ones first, for the algorithm "first". */
  readonly priority: number;
  /** Share of the requests, for the algorithm "weight"; 1 by default. */
  readonly weight: number;
  /** Name in logs and statistics; the URI by default. */
  readonly duid: string;
}

/** Kamailio's flags of a destination. */
export const DestinationFlag = {
  /** Not used until it has answered. */
  INACTIVE: 1,
  /** Not used, nor asked. */
  DISABLED: 4,
  /** Asked by OPTIONS even while it is up, whatever `ds_probing_mode` says. */
  PROBING: 8,
  /** Never asked. */
  NO_PING: 32,
} as const;

const KNOWN_FLAGS = 1 | 2 | 4 | 8 | 16 | 32;
const MAX_SET = 0x7fff_ffff;
const MAX_PRIORITY = 0x7fff_ffff;
const MAX_WEIGHT = 10_000;
/** Destinations in all. */
const MAX_DESTINATIONS = 4096;
const KEYS = ["set", "uri", "flags", "priority", "weight", "duid", "attrs"] as const;

/** Where something stands: for error texts. */
type Where = (column: number) => string;

/**
 * Reads a list; TOML if its name ends so.
 *
 * @param path its name, for error texts
 * @throws {UsageError} with one line: `file:line:column: …`
 * @example
 * ```ts ignore
 * readDestinations("dispatcher.list", "1 sip:192.0.2.9:5060 0 10 weight=50;duid=a\n");
 * ```
 */
export function readDestinations(path: string, text: string): DestinationEntry[] {
  const entries = path.endsWith(".toml") ? readTomlList(path, text) : readList(path, text);
  if (entries.length === 0) throw new UsageError(`${path}:1:1: there is no destination in it`);
  if (entries.length > MAX_DESTINATIONS) {
    throw new UsageError(`${path}:1:1: more than ${MAX_DESTINATIONS} destinations`);
  }
  return entries;
}

/** `setid destination flags priority attrs`, the last three at will; # begins a comment. */
function readList(path: string, text: string): DestinationEntry[] {
  const entries: DestinationEntry[] = [];
  for (const [i, line] of text.split("\n").entries()) {
    const words = [...line.replace(/^\s*#.*|\s#.*/, "").matchAll(/\S+/g)].map((match) => ({
      text: match[0],
      column: match.index + 1,
    }));
    if (words.length === 0) continue;
    const where: Where = (column) => `${path}:${i + 1}:${column}`;
    const [set, uri, flags, priority, attrs, more] = words;
    if (uri === undefined) {
      throw new UsageError(
        `${where(line.length + 1)}: the destination is missing: SETID SIP-URI [FLAGS PRIORITY ATTRS]`,
      );
    }
    if (more !== undefined) throw new UsageError(`${where(more.column)}: nothing may follow the attributes`);
    entries.push({
      set: readNumber(set.text, "set", MAX_SET, where(set.column)),
      uri: readUri(uri.text, where(uri.column)),
      flags: flags === undefined ? 0 : readFlags(flags.text, where(flags.column)),
      priority: priority === undefined
        ? 0
        : readNumber(priority.text, "priority", MAX_PRIORITY, where(priority.column)),
      ...readAttributes(attrs?.text ?? "", uri.text, where, attrs?.column ?? 1),
    });
  }
  return entries;
}

/** `[[destination]]` tables with the keys set, uri, flags, priority, weight, duid, attrs. */
function readTomlList(path: string, text: string): DestinationEntry[] {
  const { destination, ...others } = parseToml(path, text);
  const [other] = Object.keys(others);
  if (other !== undefined) {
    throw new UsageError(
      `${path}:${placeOf(text, 0, other)}: ${other} is unknown; did you mean destination?`,
    );
  }
  if (!Array.isArray(destination)) {
    throw new UsageError(`${path}:1:1: there is no [[destination]] in it`);
  }
  return destination.map((table: Record<string, unknown>, i) => readTable(path, text, table, i));
}

function readTable(path: string, text: string, table: Record<string, unknown>, i: number): DestinationEntry {
  const where = (key: string) => `${path}:${placeOf(text, i + 1, key)}`;
  for (const key of Object.keys(table)) {
    if (KEYS.includes(key as typeof KEYS[number])) continue;
    const like = nearest(key, KEYS);
    throw new UsageError(
      `${where(key)}: ${key} is unknown${like === undefined ? "" : `; did you mean ${like}?`}`,
    );
  }
  const number = (key: string, max: number, fallback: number) =>
    table[key] === undefined ? fallback : readNumber(String(table[key]), key, max, where(key));
  if (table.uri === undefined) throw new UsageError(`${where("[[destination]]")}: uri is missing`);
  const uri = readUri(String(table.uri), where("uri"));
  const attributes = readAttributes(String(table.attrs ?? ""), uri, () => where("attrs"), 1);
  return {
    set: number("set", MAX_SET, 1),
    uri,
    flags: table.flags === undefined ? 0 : readFlags(String(table.flags), where("flags")),
    priority: number("priority", MAX_PRIORITY, 0),
    weight: number("weight", MAX_WEIGHT, attributes.weight),
    duid: table.duid === undefined ? attributes.duid : String(table.duid),
  };
}

/** Line and column of a key in the `table`-th table of an array, or of that table's heading. */
function placeOf(text: string, table: number, key: string): string {
  let tables = 0;
  let heading = 1;
  for (const [i, line] of text.split("\n").entries()) {
    if (/^\s*\[\[/.test(line)) {
      tables++;
      if (tables === table) heading = i + 1;
    }
    const match = /^(\s*)(?:"([^"]*)"|'([^']*)'|([A-Za-z0-9_-]+))\s*=/.exec(line);
    if (tables === table && match !== null && (match[2] ?? match[3] ?? match[4]) === key) {
      return `${i + 1}:${match[1].length + 1}`;
    }
  }
  return `${heading}:1`;
}

function readNumber(text: string, what: string, max: number, where: string): number {
  const number = /^\d{1,10}$/.test(text) ? Number(text) : NaN;
  if (number <= max) return number;
  throw new UsageError(
    `${where}: ${what} ${JSON.stringify(text)} is not allowed; it takes a number from 0 to ${max}`,
  );
}

function readFlags(text: string, where: string): number {
  return readNumber(text, "flags", KNOWN_FLAGS, where);
}

function readUri(text: string, where: string): string {
  const uri = parseUri(text);
  if (uri === undefined || !isAddress(uriDestination(uri, true))) {
    throw new UsageError(
      `${where}: ${JSON.stringify(text)} is not allowed; it takes a SIP URI such as sip:192.0.2.9:5060`,
    );
  }
  return text;
}

/** `name=value;…`. Of what Kamailio knows `weight` and `duid` are used; others are an operator's own and let be. */
function readAttributes(
  text: string,
  uri: string,
  where: Where,
  column: number,
): { weight: number; duid: string } {
  let weight = 1;
  let duid = uri;
  let at = column;
  for (const part of text.split(";")) {
    const [name, value] = part.split("=", 2);
    if (part !== "" && value === undefined) {
      throw new UsageError(
        `${where(at)}: attribute ${JSON.stringify(part)} has no value; attributes are name=value;…`,
      );
    }
    if (name === "weight") weight = readNumber(value, "weight", MAX_WEIGHT, where(at));
    else if (name === "duid") duid = value;
    at += part.length + 1;
  }
  return { weight, duid };
}
