/** A MariaDB server of the benchmark's own, with Kamailio's subscriber table: own directory, own port, ended with the run. */
import { loadHashBackend, toHex } from "../../../mod.ts";
import type { Program } from "../../processes_io.ts";
import { type BenchUser, HOST, REALM, type Site } from "../../programs_io.ts";
import type { Peers } from "./installed_io.ts";
import { freeTcpPort } from "./ports_io.ts";

/** Kamailio's account. */
const USER = "kamailio";
const PASSWORD = "of-a-benchmark";
/** Rows of one INSERT. */
const ROWS = 1000;
const ATTEMPTS = 200;
const ATTEMPT_MS = 100;

/** A running server. */
export interface Mariadb {
  readonly program: Program;
  readonly port: number;
  /** Kamailio's DB_URL through a port: the server's, or a relay's. */
  url(port: number): string;
  /** Replaces the subscribers. */
  load(users: readonly BenchUser[]): Promise<void>;
}

/** Kamailio's tables (Kamailio 5.6, kamctl/mysql/auth_db-create.sql): what auth_db reads of them. */
const TABLES = `CREATE DATABASE kamailio;
CREATE TABLE kamailio.version (id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY, table_name VARCHAR(32) NOT NULL UNIQUE,
  table_version INT UNSIGNED NOT NULL DEFAULT 0);
INSERT INTO kamailio.version (table_name, table_version) VALUES ('version', 1), ('subscriber', 7);
CREATE TABLE kamailio.subscriber (id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY, username VARCHAR(64) NOT NULL DEFAULT '',
  domain VARCHAR(64) NOT NULL DEFAULT '', password VARCHAR(64) NOT NULL DEFAULT '', ha1 VARCHAR(128) NOT NULL DEFAULT '',
  ha1b VARCHAR(128) NOT NULL DEFAULT '', UNIQUE account_idx (username, domain), KEY username_idx (username));
CREATE USER '${USER}'@'${HOST}' IDENTIFIED BY '${PASSWORD}';
GRANT ALL ON kamailio.* TO '${USER}'@'${HOST}';
`;

/** Rows of users, as SQL. */
async function* inserts(users: readonly BenchUser[]): AsyncGenerator<string> {
  const md5 = (await loadHashBackend()).backend.get("MD5");
  const encoder = new TextEncoder();
  yield "TRUNCATE kamailio.subscriber;\n";
  for (let at = 0; at < users.length; at += ROWS) {
    const rows = users.slice(at, at + ROWS).map(({ name, password }) => {
      const ha1 = toHex(md5.digest(encoder.encode(`${name}:${REALM}:${password}`)));
      return `('${name}','${REALM}','${ha1}')`;
    });
    yield `INSERT INTO kamailio.subscriber (username, domain, ha1) VALUES ${rows.join(",")};\n`;
  }
}

/** Starts a server in the site's directory; some seconds. */
export async function startMariadb(site: Site, peers: Peers): Promise<Mariadb> {
  const directory = `${site.directory}/mariadb`;
  const account = new TextDecoder().decode((await new Deno.Command("id", { args: ["-un"] }).output()).stdout)
    .trim();
  await Deno.mkdir(directory);
  await site.programs.run({
    name: "mariadb-install-db",
    command: peers["mariadb-install-db"]!.path,
    args: [
      ...["--no-defaults", `--datadir=${directory}/data`, "--auth-root-authentication-method=normal"],
      ...["--skip-test-db", `--user=${account}`],
    ],
  });
  const port = freeTcpPort();
  const socket = `${directory}/socket`;
  const program = site.programs.start({
    name: "mariadbd",
    command: peers.mariadbd!.path,
    args: [
      ...["--no-defaults", `--datadir=${directory}/data`, `--socket=${socket}`, `--port=${port}`],
      ...[`--bind-address=${HOST}`, `--pid-file=${directory}/pid`, `--user=${account}`],
      ...[
        "--skip-name-resolve",
        "--skip-log-bin",
        "--innodb-buffer-pool-size=256M",
        "--max-connections=2000",
      ],
      `--log-error=${directory}/log`,
    ],
  });

  async function sql(statements: Iterable<string> | AsyncIterable<string>): Promise<string> {
    const child = new Deno.Command(peers.mariadb!.path, {
      args: ["--no-defaults", `--socket=${socket}`, "--user=root"],
      stdin: "piped",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    const said = new Response(child.stderr).text();
    const writer = child.stdin.getWriter();
    const encoder = new TextEncoder();
    try {
      for await (const text of statements) await writer.write(encoder.encode(text));
      await writer.close();
    } catch {
      // It has ended, and says why.
    }
    return (await child.status).success ? "" : await said || "mariadb failed";
  }

  let problem = "";
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    problem = await sql(["SELECT 1;\n"]);
    if (problem === "") break;
    await Promise.race([
      new Promise((resolve) => setTimeout(resolve, ATTEMPT_MS)),
      program.finished([]),
    ]);
  }
  problem ||= await sql([TABLES]);
  if (problem !== "") throw new Error(`mariadbd: ${problem.trim()}`);
  return {
    program,
    port,
    url: (port) => `mysql://${USER}:${PASSWORD}@${HOST}:${port}/kamailio`,
    async load(users) {
      const wrong = await sql(inserts(users));
      if (wrong !== "") throw new Error(`mariadb: ${wrong.trim()}`);
    },
  };
}
