/**
 * Subscribers as DBclient needs them: the `subscriber` table of OpenSIPS and Kamailio behind one interface
 * (docs/PROTOCOL.md §10). A store passes the suite in `store_contract.ts`.
 */
import type { Identity, ReadinessCheck } from "../mod.ts";

/** Columns of the table that hold a hash of username ":" realm ":" password, in hexadecimal. */
export const HASH_COLUMNS = ["ha1", "ha1_sha256", "ha1_sha512t256"] as const;
/** One of {@linkcode HASH_COLUMNS}: MD5, SHA-256, SHA-512/256. */
export type HashColumn = (typeof HASH_COLUMNS)[number];

/** Length of a hash in each column, in hexadecimal digits. */
export const HASH_DIGITS: Readonly<Record<HashColumn, number>> = {
  ha1: 32,
  ha1_sha256: 64,
  ha1_sha512t256: 64,
};

/** A row, with the one column that was asked for; "" where it is empty, or the table has no such column. */
export interface Subscriber extends Identity {
  readonly hash: string;
}

/** The database cannot be used: the message is one line for the operator and holds no secret. */
export class StoreError extends Error {
  override name = "StoreError";
}

/** Where DBclient looks users up. */
export interface SubscriberStore {
  /** What it is, for logs: `sqlite:proxychain.db`. Without a password. */
  readonly name: string;
  /**
   * Looks users up with one query, whatever their number.
   *
   * @returns by position; undefined where there is no user whose username and domain are byte for byte those asked
   * @throws {StoreError} (rejects) when the database cannot be asked
   */
  lookup(users: readonly Identity[], column: HashColumn): Promise<(Subscriber | undefined)[]>;
  /** Number of subscribers. */
  count(): Promise<number>;
  /** The state of each node, for a store that has several, as it is known without asking them. */
  nodes?(): readonly ReadinessCheck[];
  close(): Promise<void>;
}

/** A subscriber to be written. */
export interface NewSubscriber extends Identity {
  readonly hashes: Readonly<Record<HashColumn, string>>;
  /** The plain password, "" unless the operator wants it stored. */
  readonly password: string;
}

/** A store whose subscribers can be changed. */
export interface SubscriberAdmin {
  /**
   * Writes all or none, in one transaction.
   *
   * @param rows may fail while it is read: then nothing is written and its error comes through
   * @param replace overwrite users that exist; else such a user is an error
   * @returns how many were written
   * @throws {StoreError} (rejects); the message names the user at fault
   */
  write(rows: AsyncIterable<NewSubscriber> | Iterable<NewSubscriber>, replace: boolean): Promise<number>;
  /** Names in order, of one realm or of all. */
  list(realm?: string): Iterable<Identity>;
  /** Whether there was such a user. */
  remove(user: Identity): boolean;
}

const key = (user: Identity) => `${user.username}\0${user.realm}`;

/**
 * Puts rows, as a database returned them, in the order of the users asked. Collations match "ALICE" with "alice";
 * here a name has to be the same byte for byte, or the user is unknown (docs/PROTOCOL.md §9).
 */
export function byPosition(
  users: readonly Identity[],
  rows: readonly Subscriber[],
): (Subscriber | undefined)[] {
  // The usual case: SQLite gives the rows in the order asked, and all users exist.
  const inOrder = rows.length === users.length &&
    rows.every(({ username, realm }, i) => username === users[i].username && realm === users[i].realm);
  if (inOrder) return [...rows];
  const found = new Map<string, Subscriber>();
  for (const row of rows) found.set(key(row), row);
  return users.map((user) => found.get(key(user)));
}

/** S of a row: HA1 as lower-case hexadecimal (docs/PROTOCOL.md §2), or undefined when the column holds no such hash. */
export function usableHash(row: Subscriber | undefined, column: HashColumn): string | undefined {
  if (row === undefined) return undefined;
  const hash = row.hash.trim().toLowerCase();
  return hash.length === HASH_DIGITS[column] && /^[0-9a-f]+$/.test(hash) ? hash : undefined;
}
