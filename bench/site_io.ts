/** The frame of the demo and the benchmarks: programs and a directory that end with them, signals, exit codes. */
import { fileURLToPath } from "node:url";
import { firstLine, UsageError } from "../mod.ts";
import { ProgramError, Programs } from "./processes_io.ts";
import type { Site } from "./programs_io.ts";

/** Path of the project, ending in a separator. */
export const ROOT: string = fileURLToPath(new URL("../", import.meta.url));

const KEY_BYTES = 32;
/** Exit codes of a program that a signal ends: 128 and the signal's number. */
const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

/** How a site is run. */
export interface SiteOptions {
  /** Of the program, for its directory and its messages. */
  readonly name: string;
  /** ms between SIGTERM and SIGKILL; by default that of {@linkcode Programs}. */
  readonly grace?: number;
  /** Is called when a signal has ended it, before that is said. */
  onInterrupt?(): void;
}

/** Whether a signal is ending the run. */
export type IsInterrupted = () => boolean;

/**
 * Runs `use` with a key and a directory of its own; nothing of it is left, and no program, however it ends. The first signal ends
 * the programs in order, the second one kills them.
 *
 * @returns the exit code that `use` gives, or that of the signal that ended it
 */
export async function withSite(
  options: SiteOptions,
  use: (site: Site, isInterrupted: IsInterrupted) => Promise<number>,
): Promise<number> {
  const { name } = options;
  const programs = new Programs(`${ROOT}deno.json`, options.grace);
  const directory = await Deno.makeTempDir({ prefix: `proxychain-${name.replaceAll(":", "-")}-` });
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
    const key = crypto.getRandomValues(new Uint8Array(KEY_BYTES)).toHex();
    return await use({ programs, root: ROOT, directory, key }, () => interrupted > 0);
  } catch (error) {
    options.onInterrupt?.();
    if (interrupted === 0) throw error;
    console.error(`${name}: interrupted`);
    return interrupted;
  } finally {
    await programs.close();
    await Deno.remove(directory, { recursive: true });
  }
}

/** The exit code of a program: what `main` gives; 2 for a wrong command line and 1 for any other failure, each with one line. */
export async function exitCode(name: string, main: () => Promise<number>): Promise<number> {
  try {
    return await main();
  } catch (error) {
    const expected = error instanceof UsageError || error instanceof ProgramError;
    console.error(`${name}: ${expected ? error.message : firstLine(error)}`);
    return error instanceof UsageError ? 2 : 1;
  }
}
