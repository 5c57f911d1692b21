/** Digest and Proxychain side by side, with real calls through real programs. Entry of `deno task demo`. */
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { formatHelp, UsageError } from "../../mod.ts";
import { ProgramError, Programs } from "../processes_io.ts";
import { importUsers } from "../programs_io.ts";
import type { DemoFigures, ModeFigures } from "./figures.ts";
import { DEMO_FLAGS, type DemoOptions, type Mode, MODE_NAMES, NOTES, readOptions, USAGE } from "./options.ts";

import { runMode, type Stage } from "./stage_io.ts";
import { describeLoad, formatFailures, formatTable, summarize, wrap } from "./table.ts";

const KEY_BYTES = 32;
/** Exit codes of a program that a signal ends: 128 and the signal's number. */
const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;
const CLEAR_LINE = "\r\x1b[K";

const say = (line: string) => console.error(`demo: ${line}`);
const terminal = Deno.stderr.isTerminal();
const encoder = new TextEncoder();

/** One line that is written over again; nothing where standard error is no terminal. */
function progress(line: string): void {
  if (terminal) Deno.stderr.writeSync(encoder.encode(CLEAR_LINE + line.slice(0, 99)));
}

async function runModes(stage: Stage): Promise<DemoFigures> {
  const { options } = stage;
  const modes: Partial<Record<Mode, ModeFigures>> = {};
  const seconds = Math.ceil(options.calls / options.rate);
  progress("preparing users (the first start ever fetches packages)");
  const users = await importUsers(stage, options.users);
  for (const mode of options.modes) {
    const name = MODE_NAMES[mode];
    if (terminal) progress(`${name}: starting`);
    else say(`${name}: ${options.calls} calls, about ${seconds} s`);
    modes[mode] = await runMode(
      stage,
      mode,
      users,
      (line) => progress(`${name}: ${line.replace(/^uac: /, "")}`),
    );
  }
  progress("");
  return { modes };
}

/** A file that cannot be written is better known before the calls than after them. */
async function checkDirectory(file: string): Promise<void> {
  const directory = dirname(file);
  const found = await Deno.stat(directory).catch(() => undefined);
  if (!found?.isDirectory) throw new UsageError(`--json: there is no directory ${JSON.stringify(directory)}`);
}

async function writeJson(file: string, figures: DemoFigures): Promise<void> {
  try {
    await Deno.writeTextFile(file, JSON.stringify(figures, undefined, 2) + "\n");
  } catch (error) {
    throw new ProgramError(`--json ${file} cannot be written: ${(error as Error).message.split("\n")[0]}`);
  }
}

/** Runs the demo with a directory of its own; nothing of it is left, however it ends. */
async function demo(options: DemoOptions): Promise<number> {
  const root = fileURLToPath(new URL("../../", import.meta.url));
  const programs = new Programs(`${root}deno.json`);
  const directory = await Deno.makeTempDir({ prefix: "proxychain-demo-" });
  let interrupted = 0;
  for (const [signal, code] of Object.entries(SIGNALS)) {
    if (Deno.build.os === "windows" && signal === "SIGTERM") continue;
    Deno.addSignalListener(signal as Deno.Signal, () => {
      if (interrupted > 0) programs.kill();
      interrupted = code;
      programs.close();
    });
  }
  try {
    console.log(wrap(`Proxychain demo: ${describeLoad(options)}`));
    const key = crypto.getRandomValues(new Uint8Array(KEY_BYTES)).toHex();
    const figures = await runModes({ options, programs, root, directory, key });
    console.log(`\n${formatTable(figures)}\n`);
    for (const line of formatFailures(figures)) console.log(wrap(line));
    console.log(wrap(summarize(figures)));
    if (options.json !== undefined) await writeJson(options.json, figures);
    return Object.values(figures.modes).every(({ failed }) => failed === 0) ? 0 : 1;
  } catch (error) {
    progress("");
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
      console.log(formatHelp(USAGE, DEMO_FLAGS, NOTES));
      return 0;
    }
    if (options.json !== undefined) await checkDirectory(options.json);
    return await demo(options);
  } catch (error) {
    if (error instanceof UsageError) {
      say(error.message);
      return 2;
    }
    say(
      error instanceof ProgramError || error instanceof Deno.errors.NotFound ? error.message : String(error),
    );
    return 1;
  }
}

if (import.meta.main) Deno.exit(await main());
