/** For tests: DBclient and proxies as processes, and users in a database of their own. */
import { assertEquals } from "@std/assert";
import { inTempDir, run, Running } from "../proxy/test_process.ts";

/** What runs. */
export interface Services {
  /** A folder that is removed at the end. */
  readonly dir: string;
  /** The proxies, in the order of their flags. Who ends one takes it out. */
  readonly proxies: Running[];
}

/** The flags of a proxy that serves example.com with this DBclient, at a free UDP port of 127.0.0.1. */
function proxyFlags(dbclient: Running, flags: readonly string[]): string[] {
  const usual = ["--realm", "example.com", "--dbclient_port", String(dbclient.port)];
  return ["--listen", "udp:127.0.0.1:0", ...usual, ...flags];
}

/**
 * Runs DBclient with users of example.com, and proxies that ask it. At the end all of them have to end without an error.
 *
 * @param users names with their passwords
 * @param flags of each proxy
 */
export async function withServices(
  users: Readonly<Record<string, string>>,
  flags: readonly (readonly string[])[],
  use: (services: Services) => Promise<void>,
): Promise<void> {
  await inTempDir(async (dir) => {
    const rows = Object.entries(users).map(([name, password]) => `${name},example.com,${password}`);
    await Deno.writeTextFile(`${dir}/users.csv`, ["username,domain,password", ...rows, ""].join("\n"));
    const imported = await run("dbclient", "users", "import", "--db", `sqlite:${dir}/db`, `${dir}/users.csv`);
    assertEquals(imported.code, 0, imported.err);
    const dbclient = await Running.start("dbclient", "--db", `sqlite:${dir}/db`, "-p", "0");
    const proxies: Running[] = [];
    try {
      for (const one of flags) proxies.push(await Running.start("proxy", ...proxyFlags(dbclient, one)));
      await use({ dir, proxies });
    } finally {
      for (const proxy of proxies) {
        const ended = await proxy.end();
        assertEquals(ended.code, 0, ended.err);
      }
      await dbclient.end();
    }
  });
}
