/** For tests: real SIPp as a process. */

async function hasSipp(): Promise<boolean> {
  try {
    // The exit code of sipp -v is 99.
    await new Deno.Command("sipp", { args: ["-v"], stdout: "null", stderr: "null" }).output();
    return true;
  } catch {
    return false;
  }
}

/** Whether SIPp is installed. */
export const present: boolean = await hasSipp();
/** Whether tests with SIPp are left out: where it is missing, but not in CI, where that is a failure. */
export const ignore: boolean = !present && Deno.env.get("CI") !== "true";
/** For their names. */
export const why: string = ignore ? " (skipped: sipp is not installed)" : "";

/** Starts SIPp on loopback. */
export function sipp(args: readonly string[], cwd: string): Deno.ChildProcess {
  return new Deno.Command("sipp", {
    args: [...args, "-i", "127.0.0.1", "-nostdin"],
    cwd,
    stdin: "null",
    stdout: "null",
    stderr: "null",
    env: { TERM: "dumb" },
  }).spawn();
}

/** A UDP port that was free a moment ago. */
export function freePort(): number {
  const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  const { port } = socket.addr as Deno.NetAddr;
  socket.close();
  return port;
}
