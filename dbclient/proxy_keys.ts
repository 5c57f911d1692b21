/** Pre-shared keys by proxy (docs/PROTOCOL.md §9): the keys file, keys that are being changed, and who knows what. Without I/O. */
import { equalBytes, fromHex, MAX_PROOFS, MIN_KEY_BYTES, TEXT_LIMIT, toHex, utf8Length } from "../mod.ts";
import { hasControlCharacters } from "./names.ts";

/** Keys of one proxy. */
export interface ProxyKey {
  readonly name: string;
  /** Newest first. */
  readonly keys: readonly Uint8Array[];
  /** The realms that it may ask for; undefined: all. */
  readonly realms?: readonly string[];
}

/** All keys: by proxy, or one for every name. */
export type KeyList =
  | { readonly kind: "none" }
  | { readonly kind: "any"; readonly key: Uint8Array }
  | { readonly kind: "named"; readonly proxies: readonly ProxyKey[] };

/** A line of a keys file is wrong: `file:line:column: …`, without the key. */
export class KeysFileError extends Error {
  override name = "KeysFileError";
}

/** The words of a line, each with its column from 1; a "#" at the beginning of a word ends the line. */
function words(line: string): { readonly text: string; readonly column: number }[] {
  const found = [];
  for (const match of line.matchAll(/\S+/g)) {
    if (match[0].startsWith("#")) break;
    found.push({ text: match[0], column: match.index + 1 });
  }
  return found;
}

/**
 * Reads a keys file. A line is `proxy-name hexkey [realm,realm…]`; several lines of one name are several keys, the
 * newest first, with the same realms. "#" begins a comment.
 *
 * @param path for error texts
 * @throws {KeysFileError} for the first line that is wrong
 * @example
 * ```ts
 * import { parseKeysFile } from "./proxy_keys.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const [edge] = parseKeysFile("keys", "edge-1 000102030405060708090a0b0c0d0e0f example.com # Berlin\n");
 * assertEquals([edge.name, edge.keys.length, edge.realms], ["edge-1", 1, ["example.com"]]);
 * ```
 */
export function parseKeysFile(path: string, text: string): ProxyKey[] {
  const found = new Map<string, { keys: Uint8Array[]; realms: string[] | undefined }>();
  for (const [i, line] of text.split(/\r?\n/).entries()) {
    const [name, key, realmList, rest] = words(line);
    if (name === undefined) continue;
    const fail = (column: number, problem: string) =>
      new KeysFileError(
        `${path}:${i + 1}:${column}: ${problem}; a line is: proxy-name hexkey [realm,realm…]`,
      );
    if (utf8Length(name.text) > TEXT_LIMIT["proxy name"] || hasControlCharacters(name.text)) {
      throw fail(name.column, `a proxy's name has at most ${TEXT_LIMIT["proxy name"]} bytes`);
    }
    if (key === undefined) throw fail(line.length + 1, "the key is missing");
    if (!/^([0-9a-fA-F]{2})+$/.test(key.text) || key.text.length < 2 * MIN_KEY_BYTES) {
      throw fail(
        key.column,
        `the key is no hexadecimal number of ${2 * MIN_KEY_BYTES} digits or more, in pairs`,
      );
    }
    if (rest !== undefined) throw fail(rest.column, "there is more than a name, a key and realms");
    const realms = realmList?.text.split(",");
    if (realms?.some((realm) => realm === "")) throw fail(realmList.column, "a realm is empty");
    const known = found.get(name.text);
    if (known === undefined) {
      found.set(name.text, { keys: [fromHex(key.text.toLowerCase())], realms });
      continue;
    }
    if (known.realms?.join() !== realms?.join()) {
      throw fail(
        realmList?.column ?? line.length + 1,
        `the realms are others than on the first line of ${name.text}`,
      );
    }
    if (known.keys.length === MAX_PROOFS) {
      throw fail(key.column, `${name.text} has more than ${MAX_PROOFS} keys`);
    }
    known.keys.push(fromHex(key.text.toLowerCase()));
  }
  if (found.size === 0) {
    throw new KeysFileError(`${path}: holds no key; a line is: proxy-name hexkey [realm,realm…]`);
  }
  return Array.from(found, ([name, { keys, realms }]) => ({ name, keys, realms }));
}

/** What is accepted now, as it goes from the supervisor to its workers: keys in hexadecimal. */
export interface KeySnapshot {
  /** Keys of every name, newest first. */
  readonly any: readonly string[];
  /** Undefined: no name has keys of its own. */
  readonly named:
    | readonly {
      readonly name: string;
      readonly keys: readonly string[];
      readonly realms?: readonly string[];
    }[]
    | undefined;
}

/** Answers who is served, from a {@linkcode KeySnapshot}. */
export class KeyTable {
  readonly #any: readonly Uint8Array[];
  readonly #named:
    | ReadonlyMap<string, { keys: Uint8Array[]; realms: ReadonlySet<string> | undefined }>
    | undefined;

  constructor({ any, named }: KeySnapshot) {
    this.#any = any.map((key) => fromHex(key));
    this.#named = named && new Map(
      named.map(({ name, keys, realms }) => [name, {
        keys: keys.map((key) => fromHex(key)),
        realms: realms && new Set(realms),
      }]),
    );
  }

  /** The keys of a proxy's name, newest first; [] where none is needed, undefined for a name that is not served. */
  keysOf(proxy: string): readonly Uint8Array[] | undefined {
    return this.#named === undefined ? this.#any : this.#named.get(proxy)?.keys;
  }

  /** The realms that a proxy may ask for; undefined: all. */
  realmsOf(proxy: string): ReadonlySet<string> | undefined {
    return this.#named?.get(proxy)?.realms;
  }
}

interface Retired {
  readonly key: Uint8Array;
  readonly until: number;
}

/**
 * The keys in force. When they are replaced, keys that went are accepted for a while, so that proxies can be given the
 * new ones one after the other; a name that went is not served any more.
 */
export class KeyRing {
  #list: KeyList;
  /** By name; "" of every name. */
  #retired = new Map<string, Retired[]>();

  /** @param overlapMs how long a key is accepted after it went */
  constructor(list: KeyList, private readonly overlapMs: number) {
    this.#list = list;
  }

  /** Whether a proxy has to prove a key. */
  get asksForKeys(): boolean {
    return this.#list.kind !== "none";
  }

  /** Replaces all keys. */
  replace(list: KeyList, now: number): void {
    const before = byName(this.#list);
    const after = byName(list);
    const retired = new Map<string, Retired[]>();
    for (const [name, keys] of after) {
      const gone = (before.get(name) ?? []).filter((key) => !holds(keys, key));
      const older = (this.#retired.get(name) ?? []).filter(({ key, until }) =>
        until > now && !holds(keys, key)
      );
      const all = [...gone.map((key) => ({ key, until: now + this.overlapMs })), ...older];
      if (all.length > 0) retired.set(name, all);
    }
    this.#retired = retired;
    this.#list = list;
  }

  /** What is accepted now: each name's keys, then those that went lately; four at most. */
  snapshot(now: number): KeySnapshot {
    const list = this.#list;
    const accepted = (name: string, keys: readonly Uint8Array[]) =>
      [...keys, ...(this.#retired.get(name) ?? []).filter(({ until }) => until > now).map(({ key }) => key)]
        .slice(0, MAX_PROOFS).map(toHex);
    switch (list.kind) {
      case "none":
        return { any: [], named: undefined };
      case "any":
        return { any: accepted("", [list.key]), named: undefined };
      case "named":
        return {
          any: [],
          named: list.proxies.map(({ name, keys, realms }) => ({ name, keys: accepted(name, keys), realms })),
        };
    }
  }

  /** When a key that went ends to be accepted next; Infinity: none does. */
  nextDue(now: number): number {
    let due = Infinity;
    for (const list of this.#retired.values()) {
      for (const { until } of list) if (until > now) due = Math.min(due, until);
    }
    return due;
  }
}

function byName(list: KeyList): Map<string, readonly Uint8Array[]> {
  switch (list.kind) {
    case "none":
      return new Map();
    case "any":
      return new Map([["", [list.key]]]);
    case "named":
      return new Map(list.proxies.map(({ name, keys }) => [name, keys]));
  }
}

function holds(keys: readonly Uint8Array[], key: Uint8Array): boolean {
  return keys.some((other) => equalBytes(other, key));
}
