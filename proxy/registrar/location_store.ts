/** Where contacts outlive the proxy: one interface for SQLite and MySQL. */
import { UsageError } from "../../mod.ts";
import type { LocationRow, UserRows } from "./location_rows.ts";

/** A table of contacts. */
export interface LocationStore {
  /** Where it is, without secrets. */
  readonly name: string;
  /** All rows, some hundreds at a time. */
  load(): AsyncIterable<readonly LocationRow[]>;
  /**
   * Puts the rows of these users in place of those that stand there, all or none.
   *
   * @throws {LocationStoreError} (rejects) with one line
   */
  replace(users: readonly UserRows[]): Promise<void>;
  /** Removes what was over at this moment, s since 1970. */
  removeExpired(before: number): Promise<void>;
  close(): Promise<void>;
}

/** What a store does not like: one line, without secrets. */
export class LocationStoreError extends Error {
  override name = "LocationStoreError";

  /** @param isOfData whether what was to be written is the reason: trying again would not help */
  constructor(message: string, readonly isOfData = false) {
    super(message);
  }
}

/** A value of `--location_db`. */
export type LocationUrl =
  | { readonly kind: "sqlite"; readonly path: string }
  | {
    readonly kind: "mysql";
    readonly user: string;
    readonly host: string;
    readonly port: number;
    readonly database: string;
  };

const MYSQL =
  /^(?:mysql|mariadb):\/\/([^\s/@:]+)@(\[[0-9A-Fa-f:.]+\]|[^\s/@:[\]]+)(?::([0-9]{1,5}))?\/([^\s/?#]+)$/;

/**
 * Reads the value of `--location_db`.
 *
 * @throws {UsageError} with what is allowed; a password is not repeated
 */
export function parseLocationUrl(text: string): LocationUrl {
  const forms = "sqlite:FILE or mysql://USER@HOST:PORT/DATABASE";
  if (text.startsWith("sqlite:") && text.length > 7) return { kind: "sqlite", path: text.slice(7) };
  if (/^[a-z]+:\/\/[^@/]*:[^@]*@/.test(text)) {
    throw new UsageError(
      `--location_db takes no password, it would show in ps: give it with --location_password_file or PROXYCHAIN_DB_PASSWORD`,
    );
  }
  const match = MYSQL.exec(text);
  const port = Number(match?.[3] ?? 3306);
  if (match === null || port > 65535) {
    throw new UsageError(`--location_db: ${JSON.stringify(text)} is not allowed; it takes ${forms}`);
  }
  return {
    kind: "mysql",
    user: unescaped(match[1]),
    host: match[2].replace(/^\[|\]$/g, ""),
    port,
    database: match[4],
  };
}

function unescaped(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
