/** Revocations on their way to proxies: many at once neither cut a proxy off nor keep it from connecting. */
import { assert, assertEquals } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import type { Identity } from "../mod.ts";
import { DEFAULT_LIMITS } from "./limits.ts";
import { OPENSIPS_SECRETS, REVOCATION_TABLE, revocationSchema } from "./revocation_schema.ts";
import { Revocations } from "./revocations_io.ts";
import type { DbclientServerOptions } from "./server_io.ts";
import { SqliteStore } from "./sqlite_store_io.ts";
import { AUTH, eventuallySo, HELLO, type Setup, withServer } from "./testing.ts";

/** The smallest that DBclient may be given. */
const LIMITS = { sendBufferBytes: 1 << 18 };
const REALM = "voip.example.com";
const NAMES = {
  table: "subscriber",
  usernameColumn: "username",
  domainColumn: "domain",
  secretColumns: OPENSIPS_SECRETS,
  revocationTable: REVOCATION_TABLE,
};

interface Told {
  users: string[];
  all: number;
  /** Up to which it was told everything. */
  readonly serial: number;
}

interface Revoking extends Setup {
  readonly revocations: Revocations;
  /** Writes so many rows in one transaction. */
  revoke(count: number, width?: number, realm?: string): void;
  /** Connects a proxy that has seen a serial. */
  proxy(serial: number, name?: string): Promise<Told>;
}

/** A server that follows a table of revocations, with as many rows in it at the start. */
async function revoking(
  rows: number,
  run: (setup: Revoking) => Promise<void>,
  options: Partial<DbclientServerOptions> = {},
): Promise<void> {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/users.db`;
  const store = new SqliteStore(path);
  const db = new DatabaseSync(path);
  for (const statement of revocationSchema("sqlite", NAMES, 100)) db.exec(statement);
  let written = 0;
  const revoke = (count: number, width = 8, realm = REALM) => {
    const insert = db.prepare(`INSERT INTO ${REVOCATION_TABLE} (username, domain) VALUES (?, ?)`);
    db.exec("BEGIN");
    for (let i = 0; i < count; i++) insert.run(`u${++written}`.padEnd(width, "x"), realm);
    db.exec("COMMIT");
  };
  revoke(rows);
  const revocations = await Revocations.follow(store, {
    table: REVOCATION_TABLE,
    interval: 20,
    log: () => {},
  });
  try {
    await withServer(async (setup) => {
      const proxy = async (serial: number, name?: string) => {
        const told = { users: [] as string[], all: 0 };
        const connection = setup.connect({
          serial,
          ...(name === undefined ? {} : { name }),
          onRevoked: (_: number, users: readonly Identity[] | "all") => {
            if (users === "all") told.all++;
            else told.users.push(...users.map(({ username, realm }) => `${username}@${realm}`));
          },
        });
        assert(await connection.whenConnected(10_000));
        return Object.defineProperty(told, "serial", { get: () => connection.serial }) as typeof told & Told;
      };
      await run({ ...setup, revocations, revoke, proxy });
    }, { revocations, limits: LIMITS, ...options });
  } finally {
    await revocations.close();
    await store.close();
    db.close();
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("a proxy that missed more revocations than may wait for it drops everything, and is connected", () =>
  revoking(20_000, async ({ server, proxy, revocations }) => {
    const told = await proxy(revocations.serial - 15_000);
    assertEquals([told.all, told.users.length], [1, 0]);
    const little = await proxy(revocations.serial - 1500);
    await eventuallySo(() => little.users.length === 1500);
    assertEquals([little.all, server.counters.refused.slow_reader, server.counters.connections], [0, 0, 2]);
  }));

Deno.test("many revocations in one transaction are told as they are taken; nobody is cut off", () =>
  revoking(1, async ({ server, proxy, revoke, revocations }) => {
    const proxies = await Promise.all([1, 2, 3].map(() => proxy(revocations.serial)));
    revoke(30_000);
    await eventuallySo(() => proxies.every(({ users }) => users.length === 30_000));
    await eventuallySo(() => proxies.every(({ serial }) => serial === revocations.serial));
    assertEquals(new Set(proxies[0].users).size, 30_000);
    assertEquals(proxies.map(({ all }) => all), [0, 0, 0]);
    assertEquals([server.counters.refused.slow_reader, server.counters.connections], [0, 3]);
  }));

Deno.test("revocations do not gather for who takes none: with those of before waiting it is cut off", () =>
  revoking(1, async ({ server, proxy, revoke, revocations, log }) => {
    const deaf = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
    try {
      const seen = HELLO.slice();
      new DataView(seen.buffer).setUint32(seen.length - 4, revocations.serial);
      await deaf.write(seen);
      await deaf.write(AUTH);
      await eventuallySo(() => server.counters.connected === 1);
      const other = await proxy(revocations.serial);
      // More than the sockets hold.
      revoke(30_000, 250, "r".repeat(250));
      await eventuallySo(() => other.users.length === 30_000);
      assertEquals(server.counters.refused.slow_reader, 0);
      revoke(1);
      await eventuallySo(() => server.counters.refused.slow_reader === 1);
      await eventuallySo(() => other.users.length === 30_001);
      assert(log.some((line) => line.includes("bytes of revocations wait for it")), log.join("|"));
    } finally {
      deaf.close();
    }
  }, { limits: { ...LIMITS, writeMs: DEFAULT_LIMITS.writeMs * 6 } }));

Deno.test("a proxy that is limited to realms is told the users of those alone, and the serial all the same", () => {
  const realmsOf = (proxy: string) => proxy === "any" ? undefined : new Set([`${proxy}.example`]);
  return revoking(1, async ({ proxy, revoke, revocations }) => {
    const start = revocations.serial;
    const mixed = () => ["a.example", "b.example", "", "b.example"].forEach((realm) => revoke(1, 0, realm));
    const ends = [["a.example", ""], ["b.example", "", "b.example"], [
      "a.example",
      "b.example",
      "",
      "b.example",
    ]];
    const realmsTold = ({ users }: Told) => users.map((user) => user.slice(user.indexOf("@") + 1));
    const proxies = await Promise.all(["a", "b", "any"].map((name) => proxy(start, name)));
    mixed();
    await eventuallySo(() => revocations.serial === start + 4);
    await eventuallySo(() => proxies.every(({ serial }) => serial === revocations.serial));
    assertEquals(proxies.map(realmsTold), ends);
    // And what a proxy is told that comes later.
    const late = await Promise.all(["a", "b", "any", "c"].map((name) => proxy(start, name)));
    await eventuallySo(() => late.every(({ serial }) => serial === revocations.serial));
    assertEquals(late.map(realmsTold), [...ends, [""]]);
  }, { realmsOf });
});
