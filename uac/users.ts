/** Who calls: users by a pattern, from an injection file, or one of them. Made when they are first needed. */
import { namePattern, type Random } from "../mod.ts";

/** One user of the calls. */
export interface User {
  readonly username: string;
  /** undefined: no challenge can be answered. */
  readonly password: string | undefined;
  /** `[field0]`, `[field1]`, …: a field that is not there is empty. */
  readonly fields: readonly string[];
}

/** The users of a run: a number of them, by index. */
export interface Users {
  readonly size: number;
  /** The user of `index`, 0 … size - 1. */
  get(index: number): User;
  /** The index of the user of call 0, 1, 2, …: in turn, or by chance. */
  pick(call: number, random: Random): number;
}

/** A mistake in what the user of the program gave: one line. */
export class UsersError extends Error {
  override name = "UsersError";
}

const inTurn = (size: number) => (call: number) => call % size;

/** A single user. */
export function oneUser(username: string, password: string | undefined): Users {
  const user: User = { username, password, fields: [username, password ?? ""] };
  return { size: 1, get: () => user, pick: () => 0 };
}

/**
 * `count` users numbered from `from`.
 *
 * @throws {UsageError} if a pattern is none
 * @example
 * ```ts
 * import { patternUsers } from "./users.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const users = patternUsers("user%04d", "pw%d", 1, 1000);
 * assertEquals(users.size, 1000);
 * assertEquals(users.get(999).username, "user1000");
 * assertEquals(users.get(999).password, "pw1000");
 * ```
 */
export function patternUsers(
  pattern: string,
  password: string | undefined,
  from: number,
  count: number,
): Users {
  const nameOf = namePattern("--users", pattern, true);
  const passwordOf = password === undefined ? undefined : namePattern("--password", password, true);
  const make = (number: number): User => {
    const username = nameOf(number);
    const secret = passwordOf?.(number);
    return { username, password: secret, fields: [username, secret ?? ""] };
  };
  return { size: count, get: (index) => make(from + index), pick: inTurn(count) };
}

const AUTHENTICATION = /^\[authentication(?:\s+username=([^\s\]]*))?(?:\s+password=([^\]]*?))?\s*\]$/;

/**
 * Reads an injection file (`-inf`): the first line says SEQUENTIAL or RANDOM, each other one has a user's fields
 * between semicolons: user name and password first, or SIPp's `[authentication username=… password=…]` among them.
 * Empty lines and lines that start with # are passed over.
 *
 * @param name for the messages
 * @throws {UsersError} on a file that is none: says which line
 */
export function injectionUsers(text: string, name: string): Users {
  const order = text.split("\n", 1)[0].trim().toUpperCase().split(/[,;]/)[0];
  if (order !== "SEQUENTIAL" && order !== "RANDOM") {
    throw new UsersError(
      `${name}, line 1: ${JSON.stringify(order)} is not allowed; it is SEQUENTIAL or RANDOM`,
    );
  }
  // The text stays whole and a line is cut out when it is needed: a million lines cost one pass.
  const starts: number[] = [];
  for (let at = text.indexOf("\n") + 1; at > 0 && at < text.length; at = text.indexOf("\n", at) + 1) {
    const first = text[at];
    if (first !== "#" && first !== "\n" && first !== "\r") starts.push(at);
  }
  const size = starts.length;
  if (size === 0) throw new UsersError(`${name}: there is no line with a user`);
  return {
    size,
    get(index) {
      const end = text.indexOf("\n", starts[index]);
      const fields = text.slice(starts[index], end < 0 ? text.length : end).trimEnd().split(";");
      const authentication = fields.map((field) => AUTHENTICATION.exec(field)).find((match) =>
        match !== null
      );
      return {
        username: authentication?.[1] ?? fields[0],
        password: authentication === undefined ? fields[1] : authentication?.[2],
        fields,
      };
    },
    pick: order === "RANDOM" ? (_call, random) => random.below(size) : inTurn(size),
  };
}
