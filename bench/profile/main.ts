/** Where the proxy spends its time. Entry of `deno task profile`. */
import { fileURLToPath, pathToFileURL } from "node:url";
import { formatHelp, UsageError } from "../../mod.ts";
import { ProgramError, Programs } from "../processes_io.ts";
import {
  HOST,
  importUsers,
  readJson,
  REALM,
  type Site,
  startCalled,
  startDbclient,
  startProxy,
} from "../programs_io.ts";
import { formatProfile, summarizeProfile } from "./cpu_profile.ts";
import { NOTES, PROFILE_FLAGS, type ProfileOptions, readOptions, USAGE } from "./options.ts";

const KEY_BYTES = 32;
/** Writing a long profile takes its time, ms. */
const GRACE_MS = 60_000;
const PAUSE_MS = 30;
const CHAIN = 10;
/** Exit codes of a program that a signal ends: 128 and the signal's number. */
const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;
const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const ROOT_URL = pathToFileURL(ROOT).href;

const say = (line: string) => console.error(`profile: ${line}`);

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
  const { programs, root, directory } = site;
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
  await programs.run(
    {
      name: "callers",
      module: `${root}uac/main.ts`,
      permissions: "uac",
      args: [
        ...[
          "-sn",
          "uac",
          "-i",
          HOST,
          "-r",
          String(rate),
          "-m",
          String(calls),
          "-d",
          String(PAUSE_MS),
          "--quiet",
        ],
        ...["--inf", users.callers, "--realm", REALM, "--auth", auth === "none" ? "any" : auth],
        ...[preemptive ? "--preemptive" : "--no-preemptive", "--json", reportFile, `${HOST}:${port}`],
      ],
    },
    [0, 1],
    [dbclient, called, proxy],
  );
  await programs.stop([proxy]);
  const names: string[] = [];
  for await (const { name } of Deno.readDir(profiles)) names.push(name);
  if (names.length === 0) throw new ProgramError("the proxy wrote no profile");
  return [await Deno.readTextFile(`${profiles}/${names[0]}`), await readJson<Report>(reportFile)];
}

async function profile(options: ProfileOptions): Promise<number> {
  const programs = new Programs(`${ROOT}deno.json`, GRACE_MS);
  const directory = await Deno.makeTempDir({ prefix: "proxychain-profile-" });
  let interrupted = 0;
  for (const [signal, code] of Object.entries(SIGNALS)) {
    Deno.addSignalListener(signal as Deno.Signal, () => {
      if (interrupted > 0) programs.kill();
      interrupted = code;
      programs.close();
    });
  }
  try {
    const key = crypto.getRandomValues(new Uint8Array(KEY_BYTES)).toHex();
    say(`${options.calls} calls at ${options.rate}/s`);
    const [text, { calls, rate }] = await record({ programs, root: ROOT, directory, key }, options);
    say(`${calls.ok} of ${options.calls} calls succeeded, at ${rate.achieved}/s`);
    if (options.keep !== undefined) await Deno.writeTextFile(options.keep, text);
    print(text, options, calls.ok);
    return calls.ok === options.calls ? 0 : 1;
  } catch (error) {
    if (interrupted === 0) throw error;
    say("interrupted");
    return interrupted;
  } finally {
    await programs.close();
    await Deno.remove(directory, { recursive: true });
  }
}

async function main(): Promise<number> {
  try {
    const options = readOptions(Deno.args);
    if (options === undefined) {
      console.log(formatHelp(USAGE, PROFILE_FLAGS, NOTES));
      return 0;
    }
    if (options.read === undefined) return await profile(options);
    print(await Deno.readTextFile(options.read), options, options.calls);
    return 0;
  } catch (error) {
    if (error instanceof UsageError) {
      say(error.message);
      return 2;
    }
    say(error instanceof Error ? error.message : String(error));
    return 1;
  }
}

if (import.meta.main) Deno.exit(await main());
