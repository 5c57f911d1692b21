/** Where the proxy spends its time. Entry of `deno task profile`. */
import { pathToFileURL } from "node:url";
import { formatHelp } from "../../mod.ts";
import { ProgramError } from "../processes_io.ts";
import {
  callersOf,
  importUsers,
  readJson,
  type Site,
  startCalled,
  startDbclient,
  startProxy,
} from "../programs_io.ts";
import { exitCode, ROOT, withSite } from "../site_io.ts";
import { formatProfile, summarizeProfile } from "./cpu_profile.ts";
import { NOTES, PROFILE_FLAGS, type ProfileOptions, readOptions, USAGE } from "./options.ts";

const NAME = "profile";
/** Writing a long profile takes its time, ms. */
const GRACE_MS = 60_000;
const PAUSE_MS = 30;
const CHAIN = 10;
const ROOT_URL = pathToFileURL(ROOT).href;

const say = (line: string) => console.error(`${NAME}: ${line}`);

function print(text: string, { rows }: ProfileOptions, calls: number): void {
  const summary = summarizeProfile(
    text,
    (url) => url.startsWith(ROOT_URL) ? url.slice(ROOT_URL.length) : url,
  );
  console.log(formatProfile(summary, rows, calls));
}

/** What of `uac --json` is used. */
interface Report {
  readonly calls: { readonly ok: number; readonly started: number };
  readonly rate: { readonly achieved: number };
}

/** Runs the load; gives the profile's text and the callers' report. */
async function record(site: Site, options: ProfileOptions): Promise<[string, Report]> {
  const { auth, preemptive, rate, calls, users: count, interval } = options;
  const { programs, directory } = site;
  const users = await importUsers(site, count);
  const profiles = `${directory}/profiles`;
  const reportFile = `${directory}/callers.json`;
  await Deno.mkdir(profiles);
  const [[dbclient, dbclientPort], [called, calledPort]] = await Promise.all([
    startDbclient(site, { database: users.database, chain: CHAIN, statsFile: `${directory}/dbclient.json` }),
    startCalled(site, ["-d", String(PAUSE_MS)]),
  ]);
  const [proxy, port] = await startProxy(site, {
    auth,
    dbclientPort,
    calledPort,
    users: count,
    rtt: 0,
    runFlags: ["--cpu-prof", `--cpu-prof-dir=${profiles}`, `--cpu-prof-interval=${interval}`],
  });
  const load = { rate, calls, users: users.callers, auth, preemptive, pauseMs: PAUSE_MS };
  await programs.run(
    callersOf(site, { ...load, json: reportFile, port, args: ["--quiet"] }),
    [0, 1],
    [dbclient, called, proxy],
  );
  await programs.stop([proxy]);
  const names: string[] = [];
  for await (const { name } of Deno.readDir(profiles)) names.push(name);
  if (names.length === 0) throw new ProgramError("the proxy wrote no profile");
  return [await Deno.readTextFile(`${profiles}/${names[0]}`), await readJson<Report>(reportFile)];
}

async function profile(site: Site, options: ProfileOptions): Promise<number> {
  say(`${options.calls} calls at ${options.rate}/s`);
  const [text, { calls, rate }] = await record(site, options);
  say(`${calls.ok} of ${options.calls} calls succeeded, at ${rate.achieved}/s`);
  if (options.keep !== undefined) await Deno.writeTextFile(options.keep, text);
  print(text, options, calls.ok);
  return calls.ok === options.calls ? 0 : 1;
}

async function main(): Promise<number> {
  const options = readOptions(Deno.args);
  if (options === undefined) {
    console.log(formatHelp(USAGE, PROFILE_FLAGS, NOTES));
    return 0;
  }
  if (options.read === undefined) {
    return await withSite({ name: NAME, grace: GRACE_MS }, (site) => profile(site, options));
  }
  print(await Deno.readTextFile(options.read), options, options.calls);
  return 0;
}

if (import.meta.main) Deno.exit(await exitCode(NAME, main));
