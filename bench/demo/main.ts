/** Digest and Proxychain side by side, with real calls through real programs. Entry of `deno task demo`. */
import { dirname } from "node:path";
import { formatHelp, UsageError } from "../../mod.ts";
import { ProgramError } from "../processes_io.ts";
import { importUsers, type Site } from "../programs_io.ts";
import { exitCode, withSite } from "../site_io.ts";
import type { DemoFigures, ModeFigures } from "./figures.ts";
import { DEMO_FLAGS, type DemoOptions, type Mode, MODE_NAMES, NOTES, readOptions, USAGE } from "./options.ts";

import { runMode, type Stage } from "./stage_io.ts";
import { describeLoad, formatFailures, formatTable, summarize, wrap } from "./table.ts";

const NAME = "demo";
const CLEAR_LINE = "\r\x1b[K";

const say = (line: string) => console.error(`${NAME}: ${line}`);
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

async function demo(site: Site, options: DemoOptions): Promise<number> {
  console.log(wrap(`Proxychain demo: ${describeLoad(options)}`));
  const figures = await runModes({ options, ...site });
  console.log(`\n${formatTable(figures)}\n`);
  for (const line of formatFailures(figures)) console.log(wrap(line));
  console.log(wrap(summarize(figures)));
  if (options.json !== undefined) await writeJson(options.json, figures);
  return Object.values(figures.modes).every(({ failed }) => failed === 0) ? 0 : 1;
}

async function main(): Promise<number> {
  const options = readOptions(Deno.args);
  if (options === undefined) {
    console.log(formatHelp(USAGE, DEMO_FLAGS, NOTES));
    return 0;
  }
  if (options.json !== undefined) await checkDirectory(options.json);
  return await withSite({ name: NAME, onInterrupt: () => progress("") }, (site) => demo(site, options));
}

if (import.meta.main) Deno.exit(await exitCode(NAME, main));
