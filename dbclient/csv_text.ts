/** Subscribers as CSV (RFC 4180), as `users import` reads them; without I/O. */
import { HASH_COLUMNS, type NewSubscriber } from "./subscriber.ts";

const COLUMNS = ["username", "domain", "password", ...HASH_COLUMNS, "ha1b"];

function field(value: string): string {
  return /[",\r\n]/.test(value) || value.trim() !== value ? `"${value.replaceAll('"', '""')}"` : value;
}

/** The header row. */
export function csvHeader(): string {
  return COLUMNS.join(",") + "\n";
}

/** One user's row. */
export function csvLine(row: NewSubscriber): string {
  const hashes = HASH_COLUMNS.map((column) => row.hashes[column]);
  return [row.username, row.realm, row.password, ...hashes, row.ha1b ?? ""].map(field).join(",") + "\n";
}
