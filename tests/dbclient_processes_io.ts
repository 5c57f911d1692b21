/** For tests of DBclient as processes: subscribers, questions without end, and children of a process. */
import { assert } from "@std/assert";
import type { DbclientConnection, Identity } from "../mod.ts";
import { SqliteStore } from "../dbclient/sqlite_store_io.ts";

/** `user0` … of example.com, in a database of its own. Their passwords are nobody's. */
export async function makeSubscribers(path: string, count: number): Promise<Identity[]> {
  const users = Array.from({ length: count }, (_, i) => ({ username: `user${i}`, realm: "example.com" }));
  const hashes = { ha1: "0".repeat(32), ha1_sha256: "0".repeat(64), ha1_sha512t256: "0".repeat(64) };
  const store = new SqliteStore(path);
  await store.write(users.map((user) => ({ ...user, password: "", hashes })), false);
  await store.close();
  return users;
}

/** Asks for credentials of the same users again and again, a few frames at a time, until it is ended. */
export class Asking {
  /** Batches with a credential for everyone. */
  answered = 0;
  readonly #failures: string[] = [];
  readonly #running: Promise<void[]>;
  #ended = false;

  constructor(dbclient: DbclientConnection, users: readonly Identity[], deadline: number) {
    this.#running = Promise.all(Array.from({ length: 4 }, async () => {
      while (!this.#ended) {
        try {
          const results = await dbclient.issue("SHA-1", users, deadline);
          assert(results.length === users.length && results.every(({ status }) => status === "ok"));
          this.answered++;
        } catch (error) {
          this.#failures.push(String(error));
        }
      }
    }));
  }

  /** Waits for so many more batches. */
  async more(batches: number): Promise<void> {
    const goal = this.answered + batches;
    while (this.answered < goal && this.#failures.length === 0) {
      await new Promise((done) => setTimeout(done, 5));
    }
  }

  /** Ends it; what was lost. */
  async end(): Promise<readonly string[]> {
    this.#ended = true;
    await this.#running;
    return this.#failures;
  }
}

/** Processes that a process has started, without those that have ended. */
export async function childrenOf(pid: number): Promise<number[]> {
  const text = await Deno.readTextFile(`/proc/${pid}/task/${pid}/children`).catch(() => "");
  const children = await Promise.all(
    text.trim().split(" ").filter((id) => id !== "").map(async (id) =>
      await isAlive(Number(id)) ? [Number(id)] : []
    ),
  );
  return children.flat();
}

/** Whether a process runs. */
export async function isAlive(pid: number): Promise<boolean> {
  const stat = await Deno.readTextFile(`/proc/${pid}/stat`).catch(() => "");
  return stat !== "" && !stat.slice(stat.lastIndexOf(")")).startsWith(") Z");
}
