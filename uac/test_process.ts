/** For tests: the generator as a process. */
import { fail } from "@std/assert";

/** The project's folder. */
export const ROOT: URL = new URL("../", import.meta.url);
const CONFIG = new URL("deno.json", ROOT).pathname;
const RUN = ["run", "--quiet", "--config", CONFIG, "-P=uac", new URL("uac/main.ts", ROOT).pathname];

function command(args: readonly string[], cwd: string | URL = ROOT): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    args: [...RUN, ...args],
    cwd,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    env: { NO_COLOR: "1" },
  });
}

/** What a process said, and its exit code. */
export interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs it to its end. `cwd`: where, if not in the project's folder. */
export async function uac(
  args: readonly string[],
  { cwd }: { readonly cwd?: string } = {},
): Promise<Outcome> {
  const { code, stdout, stderr } = await command(args, cwd).output();
  const decoder = new TextDecoder();
  return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
}

/** Starts a called side and waits until it is ready. */
export async function startUac(args: readonly string[]): Promise<{
  /** host:port */
  readonly address: string;
  readonly end: (signal: Deno.Signal) => Promise<Outcome>;
}> {
  const child = command(args).spawn();
  const out = new Response(child.stdout).text();
  const reader = child.stderr.pipeThrough(new TextDecoderStream()).getReader();
  let err = "";
  while (!err.includes("\n")) {
    const { value, done } = await reader.read();
    if (done) fail(`the called side ended early: ${err}`);
    err += value;
  }
  const ready = /^uac: ready, called side on (?:udp|tcp):(\S+)\n/.exec(err);
  if (ready === null) fail(`the called side says: ${err}`);
  return {
    address: ready[1],
    async end(signal) {
      child.kill(signal);
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        err += value;
      }
      return { code: (await child.status).code, out: await out, err };
    },
  };
}
