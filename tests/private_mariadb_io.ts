/**
 * A MariaDB server for one test: its own data directory, socket and free port, ended by its process. It listens on
 * loopback alone and touches no other server of the machine.
 */

/** A running server. */
export interface PrivateMariadb {
  readonly port: number;
  /** Has all rights, from 127.0.0.1. */
  readonly user: string;
  readonly password: string;
  /** Runs SQL as the administrator. */
  sql(statements: string): Promise<void>;
  stop(): Promise<void>;
}

const PASSWORD = "only-for-this-test";

async function found(names: readonly string[]): Promise<string | undefined> {
  for (const directory of [...(Deno.env.get("PATH") ?? "").split(":"), "/usr/sbin", "/usr/local/sbin"]) {
    for (const name of names) {
      const path = `${directory}/${name}`;
      if (await Deno.stat(path).then((info) => info.isFile, () => false)) return path;
    }
  }
  return undefined;
}

/**
 * Why no server can be started here, or undefined. In continuous integration (`CI=true`) a missing server is an error,
 * so that its tests cannot fall silent.
 */
export async function mariadbMissing(): Promise<string | undefined> {
  const missing = (await found(["mariadbd"])) === undefined ||
    (await found(["mariadb-install-db"])) === undefined;
  if (!missing) return undefined;
  if (Deno.env.get("CI") === "true") throw new Error("CI=true, but mariadbd is not installed");
  return "mariadbd is not installed";
}

function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  return port;
}

/** Starts a server with an empty data directory; about three seconds. */
export async function startMariadb(): Promise<PrivateMariadb> {
  const directory = await Deno.makeTempDir({ prefix: "mariadb_" });
  const account = new TextDecoder().decode((await new Deno.Command("id", { args: ["-un"] }).output()).stdout)
    .trim();
  const install = await new Deno.Command((await found(["mariadb-install-db"]))!, {
    args: [
      "--no-defaults",
      `--datadir=${directory}/data`,
      "--auth-root-authentication-method=normal",
      "--skip-test-db",
      `--user=${account}`,
    ],
    stdout: "piped",
    stderr: "piped",
  }).output();
  if (!install.success) throw new Error(new TextDecoder().decode(install.stderr));
  const port = freePort();
  const socket = `${directory}/socket`;
  const server = new Deno.Command((await found(["mariadbd"]))!, {
    args: [
      "--no-defaults",
      `--datadir=${directory}/data`,
      `--socket=${socket}`,
      `--port=${port}`,
      "--bind-address=127.0.0.1",
      `--pid-file=${directory}/pid`,
      `--log-error=${directory}/log`,
      `--user=${account}`,
      "--skip-name-resolve",
      "--innodb-buffer-pool-size=64M",
    ],
    stdout: "null",
    stderr: "null",
  }).spawn();
  const client = (await found(["mariadb", "mysql"]))!;
  const sql = async (statements: string) => {
    const child = new Deno.Command(client, {
      args: ["--no-defaults", `--socket=${socket}`, "--user=root", "--default-character-set=utf8mb4"],
      stdin: "piped",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(statements));
    await writer.close();
    const { success, stderr } = await child.output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
  };
  const stop = async () => {
    server.kill("SIGTERM");
    await server.status;
    await Deno.remove(directory, { recursive: true });
  };
  for (let attempt = 0;; attempt++) {
    try {
      await sql(
        `CREATE USER tester@'%' IDENTIFIED BY '${PASSWORD}'; GRANT ALL ON *.* TO tester@'%' WITH GRANT OPTION;`,
      );
      break;
    } catch (error) {
      if (attempt < 100) {
        await new Promise((resolve) => setTimeout(resolve, 100));
        continue;
      }
      const log = await Deno.readTextFile(`${directory}/log`).catch(() => "");
      await stop();
      throw new Error(`mariadbd does not start: ${error}\n${log}`);
    }
  }
  return { port, user: "tester", password: PASSWORD, sql, stop };
}
