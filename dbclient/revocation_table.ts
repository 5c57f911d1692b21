/** The revocation table (docs/PROTOCOL.md §10) as DBclient reads and writes it, in any database that takes SQL. */
import type { Identity } from "../mod.ts";
import type { Gap, RevocationRow } from "./revocation_log.ts";
import { quoteName } from "./revocation_schema.ts";
import type { SqlAccess } from "./subscriber.ts";

/** Rows of one answer. */
const PAGE = 10_000;
/** Gaps asked about in one question: few sizes, for statements are prepared once each. */
const GAPS_OF_QUESTION = [1, 8, 64, 200];
const MAX_GAPS = 200;
/** Users written by one statement. */
const WRITTEN_AT_ONCE = 500;

/** A row of id, username and domain. Numbers may be bigint. */
function rowOf([id, username, domain]: readonly unknown[]): RevocationRow {
  return { id: Number(id), username: String(username), domain: String(domain) };
}

/** What one look at the table has brought. */
export interface RevocationNews {
  /** Whether the newest row known was still there; true as well when none was known. */
  readonly found: boolean;
  readonly news: RevocationRow[];
  readonly late: RevocationRow[];
}

/** The table of one database. */
export class RevocationTable {
  readonly #sql: SqlAccess;
  readonly #quoted: string;

  /** @param name of the table */
  constructor(sql: SqlAccess, readonly name: string) {
    this.#sql = sql;
    this.#quoted = quoteName(sql.dialect, name);
  }

  /** Whether it is there, and may be read. */
  async exists(): Promise<boolean> {
    const question = this.#sql.dialect === "mysql"
      ? "SELECT 1 AS n FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ?"
      : "SELECT 1 AS n FROM sqlite_schema WHERE type = 'table' AND name = ?";
    return (await this.#sql.run(question, [this.name])).length > 0;
  }

  /** The newest rows, by their ids, with their age in ms. */
  async newest(limit: number): Promise<(RevocationRow & { readonly age: number })[]> {
    const age = this.#sql.dialect === "mysql"
      ? "TIMESTAMPDIFF(SECOND, changed, CURRENT_TIMESTAMP)"
      : "strftime('%s', 'now') - strftime('%s', changed)";
    const rows = await this.#sql.run(
      `SELECT id, username, domain, ${age} AS age FROM ${this.#quoted} ORDER BY id DESC LIMIT ${limit}`,
      [],
    );
    return rows.map((row) => ({ ...rowOf(row), age: Math.max(0, Number(row[3])) * 1000 })).reverse();
  }

  /**
   * What has come since.
   *
   * @param newest the row with the highest id that is known
   * @param young gaps that may be many, but lie close together
   * @param watched gaps that are few
   */
  async read(
    newest: RevocationRow | undefined,
    young: readonly Gap[],
    watched: readonly Gap[],
  ): Promise<RevocationNews> {
    const news: RevocationRow[] = [];
    let found = newest === undefined;
    for (let from = newest?.id ?? 0;;) {
      const rows = await this.#between(from, Number.MAX_SAFE_INTEGER);
      for (const row of rows) {
        if (row.id !== newest?.id) news.push(row);
        else found = row.username === newest.username && row.domain === newest.domain;
      }
      if (rows.length < PAGE) break;
      from = rows[rows.length - 1].id + 1;
    }
    const late = await this.#within(watched);
    if (young.length <= MAX_GAPS) late.push(...await this.#within(young));
    else {
      const to = young[young.length - 1].to;
      for (let from = young[0].from; from <= to;) {
        const rows = await this.#between(from, to);
        late.push(...rows);
        if (rows.length < PAGE) break;
        from = rows[rows.length - 1].id + 1;
      }
    }
    return { found, news, late };
  }

  /** Writes a revocation for each user. An empty realm stands for every realm. */
  async add(users: readonly Identity[]): Promise<void> {
    for (let at = 0; at < users.length; at += WRITTEN_AT_ONCE) {
      const some = users.slice(at, at + WRITTEN_AT_ONCE);
      await this.#sql.run(
        `INSERT INTO ${this.#quoted} (username, domain) VALUES ${some.map(() => "(?, ?)").join(", ")}`,
        some.flatMap(({ username, realm }) => [username, realm]),
      );
    }
  }

  async #between(from: number, to: number): Promise<RevocationRow[]> {
    const rows = await this.#sql.run(
      `SELECT id, username, domain FROM ${this.#quoted} WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ${PAGE}`,
      [from, to],
    );
    return rows.map(rowOf);
  }

  async #within(gaps: readonly Gap[]): Promise<RevocationRow[]> {
    const found: RevocationRow[] = [];
    for (let at = 0; at < gaps.length; at += MAX_GAPS) {
      const some = gaps.slice(at, at + MAX_GAPS);
      const size = GAPS_OF_QUESTION.find((limit) => limit >= some.length)!;
      const ranges = Array.from({ length: size }, (_, i) => some[Math.min(i, some.length - 1)]);
      const rows = await this.#sql.run(
        `SELECT id, username, domain FROM ${this.#quoted} WHERE ${
          ranges.map(() => "id BETWEEN ? AND ?").join(" OR ")
        } ORDER BY id LIMIT ${PAGE}`,
        ranges.flatMap(({ from, to }) => [from, to]),
      );
      found.push(...rows.map(rowOf));
    }
    return found;
  }
}
