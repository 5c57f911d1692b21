/** One mode of the demo: fresh DBclient, proxy and called agent, then the callers. */
import { type Relay, startRelay } from "../relay_io.ts";
import { type CallerReport, type DbclientCounters, makeFigures, type ModeFigures } from "./figures.ts";
import type { DemoOptions, Mode } from "./options.ts";
import type { Program, Programs } from "./processes_io.ts";

/** The domain of the users. */
const REALM = "example.com";
const HOST = "127.0.0.1";

/** What all modes of a run share. */
export interface Stage {
  readonly options: DemoOptions;
  readonly programs: Programs;
  /** Path of the project, ending in a separator. */
  readonly root: string;
  /** Path of a directory that is removed at the end. */
  readonly directory: string;
  /** Pre-shared key of proxy and DBclient. */
  readonly key: string;
}

const hex = (bytes: number) => crypto.getRandomValues(new Uint8Array(bytes)).toHex();

/** Writes the users, each with a random password, for DBclient and for the callers, and imports them. */
export async function importUsers({ options, programs, root, directory }: Stage): Promise<void> {
  const names = Array.from({ length: options.users }, (_, i) => `user${String(i + 1).padStart(6, "0")}`);
  const passwords = names.map(() => hex(12));
  const csv = names.map((name, i) => `${name},${REALM},${passwords[i]}`);
  const injection = names.map((name, i) => `${name};${passwords[i]}`);
  const write = (file: string, lines: string[]) =>
    Deno.writeTextFile(`${directory}/${file}`, lines.join("\n") + "\n", { mode: 0o600 });
  await write("users.csv", ["username,domain,password", ...csv]);
  await write("callers.csv", ["SEQUENTIAL", ...injection]);
  await programs.run({
    name: "dbclient users import",
    module: `${root}dbclient/main.ts`,
    permissions: "dbclient",
    args: ["users", "import", `${directory}/users.csv`, "--db", `sqlite:${directory}/users.db`],
  });
}

async function readJson<T>(path: string): Promise<T> {
  return JSON.parse(await Deno.readTextFile(path));
}

/** Starts DBclient; gives the program and its port. */
async function startDbclient(stage: Stage, statsFile: string): Promise<[Program, number]> {
  const { options, programs, root, directory, key } = stage;
  const program = programs.start({
    name: "dbclient",
    module: `${root}dbclient/main.ts`,
    permissions: "dbclient",
    args: [
      ...["--db", `sqlite:${directory}/users.db`, "-n", String(options.chain)],
      ...["-p", "0", "-h", HOST, "--stats_file", statsFile],
    ],
    env: { PROXYCHAIN_KEY: key },
  });
  return [program, Number((await program.ready(/ready on .*:(\d+),/))[1])];
}

/** Starts the called agent; gives the program and its port. */
async function startCalled({ programs, root }: Stage): Promise<[Program, number]> {
  const program = programs.start({
    name: "called agent",
    module: `${root}uac/main.ts`,
    permissions: "uac",
    args: ["-sn", "uas", "-i", HOST, "-p", "0", "--quiet"],
  });
  return [program, Number((await program.ready(/ready.*:(\d+)/))[1])];
}

/** Starts the proxy; gives the program and its port. */
async function startProxy(
  { options, programs, root, key }: Stage,
  mode: Mode,
  dbclientPort: number,
  calledPort: number,
): Promise<[Program, number]> {
  const program = programs.start({
    name: "proxy",
    module: `${root}proxy/main.ts`,
    permissions: "proxy",
    args: [
      ...["--listen", `udp:${HOST}:0`, "--realm", REALM, "--next_hop", `sip:${HOST}:${calledPort}`],
      ...["--dbclient_addr", HOST, "--dbclient_port", String(dbclientPort)],
      ...["--auth", mode, "--auth_methods", options.bye ? "INVITE,BYE" : "INVITE"],
      ...["--algorithm", options.algorithm],
      ...["--digest_algorithms", options.algorithm === "SHA-256" ? "SHA-256" : "MD5"],
      // A slow answer is what --rtt is there to show, and no failure.
      ...["--dbclient_timeout", String(Math.round(2000 + 4 * options.rtt))],
      // All users stay in the cache: a quarter of it holds those who were never verified.
      ...["--max_users", String(Math.max(200_000, 4 * options.users))],
    ],
    env: { PROXYCHAIN_KEY: key },
  });
  const [, port] = await program.ready(/ready on udp:.*?:(\d+)/);
  return [program, Number(port)];
}

/**
 * Runs the load with one mode.
 *
 * @param onProgress is given the callers' progress lines
 * @throws {ProgramError} when a program fails; calls that fail are figures
 */
export async function runMode(
  stage: Stage,
  mode: Mode,
  onProgress: (line: string) => void,
): Promise<ModeFigures> {
  const { options, programs, root, directory } = stage;
  const statsFile = `${directory}/${mode}_dbclient.json`;
  const reportFile = `${directory}/${mode}_callers.json`;
  let relay: Relay | undefined;
  try {
    const [[dbclient, dbclientPort], [called, calledPort]] = await Promise.all([
      startDbclient(stage, statsFile),
      startCalled(stage),
    ]);
    if (options.rtt > 0) relay = startRelay({ host: HOST, port: dbclientPort }, options.rtt);
    const [proxy, proxyPort] = await startProxy(
      stage,
      mode,
      relay?.address.port ?? dbclientPort,
      calledPort,
    );
    const cpuBefore = await proxy.cpuTime();
    await programs.run(
      {
        name: "callers",
        module: `${root}uac/main.ts`,
        permissions: "uac",
        args: [
          ...["-sn", "uac", "-i", HOST, "-r", String(options.rate), "-m", String(options.calls)],
          ...["--inf", `${directory}/callers.csv`, "--realm", REALM, "--auth", mode],
          ...(options.preemptive ? [] : ["--no-preemptive"]),
          ...(options.bye ? ["--bye"] : []),
          ...["--json", reportFile, `${HOST}:${proxyPort}`],
        ],
        onLine: onProgress,
      },
      [0, 1],
      [dbclient, called, proxy],
    );
    const cpuAfter = await proxy.cpuTime();
    await programs.stop([proxy, called]);
    await programs.stop([dbclient]);
    const cpu = cpuBefore === undefined || cpuAfter === undefined ? undefined : cpuAfter - cpuBefore;
    const callers = await readJson<CallerReport>(reportFile);
    return makeFigures(options.calls, callers, await readJson<DbclientCounters>(statsFile), cpu);
  } finally {
    await relay?.close();
  }
}
