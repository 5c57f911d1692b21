/** One mode of the demo: fresh DBclient, proxy and called agent, then the callers. */
import {
  callersOf,
  HOST,
  readJson,
  type Site,
  startCalled,
  startDbclient,
  startProxy,
  type UserFiles,
} from "../programs_io.ts";
import { type Relay, startRelay } from "../relay_io.ts";
import { type CallerReport, type DbclientCounters, makeFigures, type ModeFigures } from "./figures.ts";
import type { DemoOptions, Mode } from "./options.ts";

/** What all modes of a run share. */
export interface Stage extends Site {
  readonly options: DemoOptions;
}

/**
 * Runs the load with one mode.
 *
 * @param users they call in turn
 * @param onProgress is given the callers' progress lines
 * @throws {ProgramError} when a program fails; calls that fail are figures
 */
export async function runMode(
  stage: Stage,
  mode: Mode,
  users: UserFiles,
  onProgress: (line: string) => void,
): Promise<ModeFigures> {
  const { options, programs, directory } = stage;
  const statsFile = `${directory}/${mode}_dbclient.json`;
  const reportFile = `${directory}/${mode}_callers.json`;
  let relay: Relay | undefined;
  try {
    const [[dbclient, dbclientPort], [called, calledPort]] = await Promise.all([
      startDbclient(stage, { database: users.database, chain: options.chain, statsFile }),
      startCalled(stage),
    ]);
    if (options.rtt > 0) relay = startRelay({ host: HOST, port: dbclientPort }, options.rtt);
    const [proxy, proxyPort] = await startProxy(stage, {
      auth: mode,
      dbclientPort: relay?.address.port ?? dbclientPort,
      calledPort,
      users: options.users,
      rtt: options.rtt,
      args: [
        ...["--auth_methods", options.bye ? "INVITE,BYE" : "INVITE"],
        ...["--algorithm", options.algorithm],
        ...["--digest_algorithms", options.algorithm === "SHA-256" ? "SHA-256" : "MD5"],
      ],
    });
    const cpuBefore = await proxy.cpuTime();
    const { rate, calls, preemptive } = options;
    const load = {
      rate,
      calls,
      users: users.callers,
      auth: mode,
      preemptive,
      args: options.bye ? ["--bye"] : [],
    };
    const callers = callersOf(stage, { ...load, json: reportFile, port: proxyPort });
    await programs.run({ ...callers, onLine: onProgress }, [0, 1], [dbclient, called, proxy]);
    const cpuAfter = await proxy.cpuTime();
    await programs.stop([proxy, called]);
    await programs.stop([dbclient]);
    const cpu = cpuBefore === undefined || cpuAfter === undefined ? undefined : cpuAfter - cpuBefore;
    const report = await readJson<CallerReport>(reportFile);
    return makeFigures(calls, report, await readJson<DbclientCounters>(statsFile), cpu);
  } finally {
    await relay?.close();
  }
}
