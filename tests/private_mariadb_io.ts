/**
 * MariaDB servers for one test: each with its own data directory, socket and free port, ended by its process. They
 * listen on loopback alone and touch no other server of the machine.
 */

/** A running server. */
export interface PrivateMariadb {
  readonly port: number;
  /** Has all rights, from 127.0.0.1. */
  readonly user: string;
  readonly password: string;
  /** Runs SQL as the administrator, and gives what it prints: a line per row, values with tabs between them. */
  sql(statements: string): Promise<string>;
  signal(signal: Deno.Signal): void;
  /** Ends with its process. */
  readonly ended: Promise<unknown>;
  /** Ends it, with SIGTERM unless another signal is named, and takes its directory away. */
  stop(signal?: Deno.Signal): Promise<void>;
}

/** Where a server that is to be started has its files. */
export interface MariadbPlace {
  readonly directory: string;
  readonly port: number;
}

const PASSWORD = "only-for-this-test";
/** Looks until a server answers, and the time between them, ms. */
const ATTEMPTS = 300;
const PAUSE = 100;

const exists = (path: string) => Deno.stat(path).then((info) => info.isFile, () => false);

async function found(names: readonly string[]): Promise<string | undefined> {
  for (const directory of [...(Deno.env.get("PATH") ?? "").split(":"), "/usr/sbin", "/usr/local/sbin"]) {
    for (const name of names) {
      if (await exists(`${directory}/${name}`)) return `${directory}/${name}`;
    }
  }
  return undefined;
}

/** A missing server is an error in continuous integration (`CI=true`), so that its tests cannot fall silent. */
export function unlessCi(missing: string | undefined): string | undefined {
  if (missing !== undefined && Deno.env.get("CI") === "true") throw new Error(`CI=true, but ${missing}`);
  return missing;
}

/** Why no server can be started here, or undefined. */
export async function mariadbMissing(): Promise<string | undefined> {
  const missing = (await found(["mariadbd"])) === undefined ||
    (await found(["mariadb-install-db"])) === undefined;
  return unlessCi(missing ? "mariadbd is not installed" : undefined);
}

/** A TCP port of 127.0.0.1 that is free just now. */
export function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  return port;
}

async function id(args: readonly string[]): Promise<string> {
  const { stdout } = await new Deno.Command("id", { args: [...args] }).output();
  return new TextDecoder().decode(stdout).trim();
}

/** Whose processes the servers are: not root's, whose rsync would become somebody else for a state transfer. */
async function account(): Promise<string> {
  const own = await id(["-un"]);
  return own === "root" && await id(["-u", "mysql"]) !== "" ? "mysql" : own;
}

/** A directory under /tmp for servers. */
export async function serverDirectory(prefix: string): Promise<string> {
  const directory = await Deno.makeTempDir({ prefix });
  await new Deno.Command("chown", { args: [await account(), directory] }).output();
  return directory;
}

/** Makes an empty data directory. */
export async function installMariadb(directory: string): Promise<void> {
  const install = await new Deno.Command((await found(["mariadb-install-db"]))!, {
    args: [
      "--no-defaults",
      `--datadir=${directory}/data`,
      "--auth-root-authentication-method=normal",
      "--skip-test-db",
      `--user=${await account()}`,
    ],
    stdout: "piped",
    stderr: "piped",
  }).output();
  if (!install.success) throw new Error(new TextDecoder().decode(install.stderr));
}

/**
 * Starts a server on a data directory.
 *
 * @param ready a query; the server is there when it gives a line
 */
export async function runMariadbd(
  { directory, port }: MariadbPlace,
  args: readonly string[],
  ready = "SELECT 1",
): Promise<PrivateMariadb> {
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
      `--user=${await account()}`,
      "--skip-name-resolve",
      "--innodb-buffer-pool-size=64M",
      ...args,
    ],
    stdout: "null",
    stderr: "null",
  }).spawn();
  const client = (await found(["mariadb", "mysql"]))!;
  const sql = async (statements: string) => {
    const child = new Deno.Command(client, {
      args: ["--no-defaults", "--batch", "--skip-column-names", `--socket=${socket}`, "--user=root"]
        .concat("--default-character-set=utf8mb4"),
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const output = child.output();
    const writer = child.stdin.getWriter();
    // A client that has ended says why.
    await writer.write(new TextEncoder().encode(statements)).catch(() => {});
    await writer.close().catch(() => {});
    const { success, stdout, stderr } = await output;
    if (!success) throw new Error(new TextDecoder().decode(stderr));
    return new TextDecoder().decode(stdout).trimEnd();
  };
  let ended = "";
  server.status.then(({ code, signal }) => ended = `it ended with ${signal ?? code}`);
  const stop = async (signal: Deno.Signal = "SIGTERM") => {
    if (ended === "") server.kill(signal);
    await server.status;
    await Deno.remove(directory, { recursive: true });
  };
  for (let attempt = 0;; attempt++) {
    const answer = await sql(ready).catch((error) => error as Error);
    if (typeof answer === "string" && answer !== "") break;
    if (attempt < ATTEMPTS && ended === "") {
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
      continue;
    }
    const log = await Deno.readTextFile(`${directory}/log`).catch(() => "");
    await stop();
    throw new Error(`mariadbd does not start: ${ended} ${answer}\n${log}`);
  }
  const signal = (name: Deno.Signal) => server.kill(name);
  return { port, user: "tester", password: PASSWORD, sql, signal, ended: server.status, stop };
}

/** Makes the account of {@linkcode PrivateMariadb}. */
export function makeTester(server: PrivateMariadb): Promise<string> {
  return server.sql(
    `CREATE USER tester@'%' IDENTIFIED BY '${PASSWORD}'; GRANT ALL ON *.* TO tester@'%' WITH GRANT OPTION;`,
  );
}

/**
 * Starts a server with an empty data directory; about three seconds.
 *
 * @param args of mariadbd, besides the usual ones
 */
export async function startMariadb(args: readonly string[] = []): Promise<PrivateMariadb> {
  const directory = await serverDirectory("mariadb_");
  await installMariadb(directory);
  const server = await runMariadbd({ directory, port: freePort() }, args);
  await makeTester(server);
  return server;
}
