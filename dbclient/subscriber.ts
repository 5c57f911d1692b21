/**
 * Subscribers as DBclient needs them: the `subscriber` table of OpenSIPS and Kamailio behind one interface
 * (docs/PROTOCOL.md §10). A store passes the suite in `store_contract.ts`.
 */
import type { Identity } from "../mod.ts";

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

/** SQL beside the look-ups: what the revocation table is read and written with. */
export interface SqlAccess {
  readonly dialect: "mysql" | "sqlite";
  /**
   * Runs one statement; values travel apart from it.
   *
   * @returns its rows, each as the values of its columns in order; [] when it gives none
   * @throws {StoreError} (rejects) when the database cannot be asked, or refuses
   */
  run(statement: string, values: readonly (string | number)[]): Promise<readonly (readonly unknown[])[]>;
}

/** A question whose time is over. */
export function noAnswer(): StoreError {
  return new StoreError("no answer in time (--db_timeout)");
}

/** How good a node of a database cluster is (docs/DATABASES.md). */
export type NodeRank = "good" | "read_only" | "not_synced" | "suspect" | "down";

/** A node of a database cluster. */
export interface NodeState {
  /** address:port */
  readonly name: string;
  readonly rank: NodeRank;
  /** Why it is not good; "" when it is. */
  readonly why: string;
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
  /**
   * Looks one user up with a query of its own, as auth_db does for each request: what VERIFY stands for (docs/PROTOCOL.md
   * §9). Where it is missing {@linkcode lookup} never merges questions.
   */
  lookupAlone?(user: Identity, column: HashColumn): Promise<Subscriber | undefined>;
  /** Number of subscribers. */
  count(): Promise<number>;
  /** For other tables of the database, where it is one. */
  readonly sql?: SqlAccess;
  /** Nodes of a cluster, the preferred one first. */
  nodes?(): readonly NodeState[];
  close(): Promise<void>;
}

/** A whole row: one to be written, or one that was read. */
export interface NewSubscriber extends Identity {
  readonly hashes: Readonly<Record<HashColumn, string>>;
  /** The plain password, "" unless the operator wants it stored. */
  readonly password: string;
  /** Kamailio's hash for user names with a domain in them; default "". */
  readonly ha1b?: string;
  /** Where it stands in the file that it comes from, from 1. */
  readonly line?: number;
}

/** A row that cannot be written: the message names the user. */
export class SubscriberError extends StoreError {
  constructor(message: string, readonly subscriber: NewSubscriber) {
    super(message);
  }
}

/** A store whose subscribers can be changed, and read in whole rows. */
export interface SubscriberAdmin {
  /**
   * Writes all or none, in one transaction.
   *
   * @param rows may fail while it is read: then nothing is written and its error comes through
   * @param replace overwrite users that exist; else such a user is an error
   * @returns how many were written
   * @throws {SubscriberError} (rejects) for a user that cannot be written
   * @throws {StoreError} (rejects) for other faults
   */
  write(rows: AsyncIterable<NewSubscriber> | Iterable<NewSubscriber>, replace: boolean): Promise<number>;
  /**
   * Changes the hashes and the password of a user.
   *
   * @param password plain; takes the place of a plain one that stands there, even when the row's own is ""
   * @returns whether there is such a user
   */
  update(row: NewSubscriber, password: string): Promise<boolean>;
  /** Names in order, of one realm or of all. */
  list(realm?: string): AsyncIterable<Identity>;
  /** Rows in the order of {@linkcode list}. */
  rows(realm?: string): AsyncIterable<NewSubscriber>;
  /** @returns whether there was such a user */
  remove(user: Identity): Promise<boolean>;
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

/**
 * As {@linkcode byPosition} for a table whose domain column is not compared: a row stands for its user in every realm.
 * A name that stands in several rows is unknown: which of them is meant cannot be told.
 */
export function byUsername(
  users: readonly Identity[],
  rows: readonly Subscriber[],
): (Subscriber | undefined)[] {
  const found = new Map<string, Subscriber | undefined>();
  for (const row of rows) found.set(row.username, found.has(row.username) ? undefined : row);
  return users.map((user) => {
    const row = found.get(user.username);
    return row === undefined ? undefined : { ...row, realm: user.realm };
  });
}

/** S of a row: HA1 as lower-case hexadecimal (docs/PROTOCOL.md §2), or undefined when the column holds no such hash. */
export function usableHash(row: Subscriber | undefined, column: HashColumn): string | undefined {
  if (row === undefined) return undefined;
  const hash = row.hash.trim().toLowerCase();
  return hash.length === HASH_DIGITS[column] && /^[0-9a-f]+$/.test(hash) ? hash : undefined;
}
