/** The programs of this project as processes on loopback, as the demo and the benchmarks of calls start them. */
import type { ModuleOptions, Program, Programs } from "./processes_io.ts";

/** The domain of the users. */
export const REALM = "example.com";
/** Where all programs listen. */
export const HOST = "127.0.0.1";
/** Size of the proxy's credential cache, users, unless there are more. */
const CACHED_USERS = 200_000;
const PASSWORD_BYTES = 12;
/** Lines of a file that are put together at once. */
const LINES = 10_000;

/** What all programs of a run share. */
export interface Site {
  readonly programs: Programs;
  /** Path of the project, ending in a separator. */
  readonly root: string;
  /** Path of a directory that is removed at the end. */
  readonly directory: string;
  /** Pre-shared key of proxy and DBclient. */
  readonly key: string;
}

/** The files of a number of users. */
export interface UserFiles {
  readonly count: number;
  /** `username,domain,password`, for `dbclient users import`. */
  readonly import: string;
  /** SIPp's injection file, for callers. */
  readonly callers: string;
  /** The embedded database that they are in. */
  readonly database: string;
}

/** One user. */
export interface BenchUser {
  readonly name: string;
  readonly password: string;
}

/** Name of user 1, 2, … */
export const userName = (number: number): string => `user${String(number).padStart(7, "0")}`;

async function writeLines(path: string, lines: Iterable<string>): Promise<void> {
  using file = await Deno.open(path, { write: true, create: true, truncate: true, mode: 0o600 });
  const encoder = new TextEncoder();
  const writer = file.writable.getWriter();
  let held: string[] = [];
  const flush = async () => {
    if (held.length > 0) await writer.write(encoder.encode(held.join("\n") + "\n"));
    held = [];
  };
  for (const line of lines) {
    held.push(line);
    if (held.length >= LINES) await flush();
  }
  await flush();
  await writer.close();
}

/**
 * Writes users, each with a random password, for DBclient and for the callers, and imports them.
 *
 * @param onUsers is given them, for other databases
 */
export async function importUsers(
  site: Site,
  count: number,
  onUsers?: (users: readonly BenchUser[]) => Promise<void>,
): Promise<UserFiles> {
  const base = `${site.directory}/users_${count}`;
  const users = Array.from({ length: count }, (_, i) => ({
    name: userName(i + 1),
    password: crypto.getRandomValues(new Uint8Array(PASSWORD_BYTES)).toHex(),
  }));
  const files = { count, import: `${base}.csv`, callers: `${base}_callers.csv`, database: `${base}.db` };
  await writeLines(files.import, [
    "username,domain,password",
    ...users.map(({ name, password }) => `${name},${REALM},${password}`),
  ]);
  await writeLines(files.callers, [
    "SEQUENTIAL",
    ...users.map(({ name, password }) =>
      `${name};${password};[authentication username=${name} password=${password}]`
    ),
  ]);
  await site.programs.run({
    name: "dbclient users import",
    module: `${site.root}dbclient/main.ts`,
    permissions: "dbclient",
    args: ["users", "import", files.import, "--db", `sqlite:${files.database}`],
  });
  await onUsers?.(users);
  return files;
}

/** Reads a JSON file that a program has written. */
export async function readJson<T>(path: string): Promise<T> {
  return JSON.parse(await Deno.readTextFile(path));
}

/** Starts DBclient; gives the program and its port. */
export async function startDbclient(
  site: Site,
  options: { readonly database: string; readonly chain: number; readonly statsFile: string },
): Promise<[Program, number]> {
  const program = site.programs.start({
    name: "dbclient",
    module: `${site.root}dbclient/main.ts`,
    permissions: "dbclient",
    args: [
      ...["--db", `sqlite:${options.database}`, "-n", String(options.chain)],
      // One process, so that its CPU time is all of DBclient's.
      ...["-p", "0", "-h", HOST, "--stats_file", options.statsFile, "--workers", "1"],
    ],
    env: { PROXYCHAIN_KEY: site.key },
  });
  return [program, Number((await program.ready(/ready on .*:(\d+),/))[1])];
}

/** Writes a file with a credential of every user, for a proxy's start. */
export async function writeWarmup(site: Site, users: UserFiles, chain: number): Promise<string> {
  const file = `${site.directory}/warmup_${users.count}`;
  await site.programs.run({
    name: "dbclient warmup",
    module: `${site.root}dbclient/main.ts`,
    permissions: "dbclient",
    args: [
      ...["warmup", "--db", `sqlite:${users.database}`, "--out", file, "--realm", REALM, "--all"],
      ...["-n", String(chain)],
    ],
    env: { PROXYCHAIN_KEY: site.key },
  });
  return file;
}

/** Starts the called agent; gives the program and its port. */
export async function startCalled(site: Site, args: readonly string[] = []): Promise<[Program, number]> {
  const program = site.programs.start({
    name: "called agent",
    module: `${site.root}uac/main.ts`,
    permissions: "uac",
    args: ["-sn", "uas", "-i", HOST, "-p", "0", "--quiet", ...args],
  });
  return [program, Number((await program.ready(/ready.*:(\d+)/))[1])];
}

/** How the proxy is started. */
export interface ProxyOptions {
  readonly auth: "digest" | "pc" | "none";
  readonly dbclientPort: number;
  /** Port that all calls go to. */
  readonly calledPort: number;
  readonly users: number;
  /** Size of its cache; by default more than enough for them. */
  readonly maxUsers?: number;
  /** Distance of DBclient, ms. */
  readonly rtt: number;
  /** More flags. */
  readonly args?: readonly string[];
  /** More flags of `deno run`. */
  readonly runFlags?: readonly string[];
}

/** Starts the proxy; gives the program and its port. */
export async function startProxy(site: Site, options: ProxyOptions): Promise<[Program, number]> {
  const program = site.programs.start({
    name: "proxy",
    module: `${site.root}proxy/main.ts`,
    permissions: "proxy",
    runFlags: options.runFlags,
    args: [
      ...["--listen", `udp:${HOST}:0`, "--realm", REALM, "--next_hop", `sip:${HOST}:${options.calledPort}`],
      ...["--dbclient_addr", HOST, "--dbclient_port", String(options.dbclientPort)],
      ...["--auth", options.auth],
      // A slow answer is what a distance is there to show, and no failure.
      ...["--dbclient_timeout", String(Math.round(2000 + 4 * options.rtt))],
      // All users stay in the cache: a quarter of it holds those who were never verified.
      ...["--max_users", String(options.maxUsers ?? Math.max(CACHED_USERS, 4 * options.users))],
      ...options.args ?? [],
    ],
    env: { PROXYCHAIN_KEY: site.key },
  });
  const [, port] = await program.ready(/ready on udp:.*?:(\d+)/);
  return [program, Number(port)];
}

/** The load that {@linkcode callersOf} place. */
export interface CallerLoad {
  /** calls per s */
  readonly rate: number;
  readonly calls: number;
  /** SIPp's injection file. */
  readonly users: string;
  readonly auth: "pc" | "digest" | "both" | "none";
  readonly preemptive: boolean;
  /** Length of a call, ms; without it no pause. */
  readonly pauseMs?: number;
  /** Where the report goes. */
  readonly json: string;
  /** Port of the proxy. */
  readonly port: number;
  /** More flags. */
  readonly args?: readonly string[];
}

/** How our generator is started as the callers of a load. */
export function callersOf(site: Site, load: CallerLoad): ModuleOptions {
  const { rate, calls, users, auth, preemptive, pauseMs, json, port, args = [] } = load;
  return {
    name: "callers",
    module: `${site.root}uac/main.ts`,
    permissions: "uac",
    args: [
      ...["-sn", "uac", "-i", HOST, "-r", String(rate), "-m", String(calls)],
      ...(pauseMs === undefined ? [] : ["-d", String(pauseMs)]),
      ...["--inf", users, "--realm", REALM, "--auth", auth === "none" ? "any" : auth],
      ...[preemptive ? "--preemptive" : "--no-preemptive", ...args, "--json", json, `${HOST}:${port}`],
    ],
  };
}
