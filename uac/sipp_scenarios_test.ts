/**
 * SIPp's own built-in scenarios, dumped by the SIPp that is installed, run unchanged by this program against that SIPp
 * in the other role. Skipped by name where there is none, except in CI.
 */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { startUac, uac } from "./test_process.ts";
import { freePort, ignore, sipp, why } from "./test_sipp.ts";

const CALLS = 60;
/** Scenarios of callers, and who is called by each. */
const PAIRS = [["uac", "uas"], ["regexp", "uas"], ["branchc", "branchs"]] as const;

/** SIPp's own text of a scenario, as a file. */
async function dump(dir: string, name: string): Promise<string> {
  const { stdout } = await new Deno.Command("sipp", { args: ["-sd", name], stdout: "piped", stderr: "null" })
    .output();
  const path = `${dir}/${name}.xml`;
  await Deno.writeFile(path, stdout);
  return path;
}

async function inDirectory(use: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    await use(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

for (const transport of ["u1", "t1"]) {
  for (const [caller, called] of PAIRS) {
    Deno.test({
      name: `SIPp's ${caller}, unchanged, calls sipp -sn ${called} over ${transport}${why}`,
      ignore,
      fn: () =>
        inDirectory(async (dir) => {
          const port = freePort();
          const peer = sipp(
            ["-sn", called, "-p", String(port), "-t", transport, "-mp", String(freePort())],
            dir,
          );
          try {
            // SIPp does not say when it listens.
            await new Promise((resolve) => setTimeout(resolve, 500));
            const { code, out, err } = await uac([
              ...["-sf", await dump(dir, caller), "-t", transport, "-i", "127.0.0.1", "-r", "100"],
              ...["-m", String(CALLS), "--quiet", "--trace_err", `127.0.0.1:${port}`],
            ]);
            assertStringIncludes(out, `ok ${CALLS}   failed 0`, err);
            assertEquals(code, 0);
          } finally {
            peer.kill("SIGKILL");
            await peer.status;
          }
        }),
    });

    Deno.test({
      name: `sipp -sn ${caller} calls SIPp's ${called}, unchanged, over ${transport}${why}`,
      ignore,
      fn: () =>
        inDirectory(async (dir) => {
          const side = await startUac([
            ...["-sf", await dump(dir, called), "-t", transport, "-i", "127.0.0.1", "-p", "0"],
            ...["--quiet", "--trace_err"],
          ]);
          const args = ["-sn", caller, "-t", transport, "-mp", String(freePort())];
          const peer = sipp(
            [...args, "-r", "100", "-m", String(CALLS), "-timeout", "60", "-timeout_error", side.address],
            dir,
          );
          const { code } = await peer.status;
          const outcome = await side.end("SIGTERM");
          assertEquals(code, 0, outcome.err);
          assertStringIncludes(outcome.out, `ok ${CALLS}   failed 0`, outcome.err);
          assertEquals(outcome.code, 0);
        }),
    });
  }
}
