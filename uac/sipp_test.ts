/** Against real SIPp, in both roles. Skipped where there is none, except in CI. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { startUac, uac } from "./test_process.ts";
import { freePort, ignore, sipp, why } from "./test_sipp.ts";

Deno.test({
  name: `our uac calls sipp -sn uas${why}`,
  ignore,
  async fn() {
    const dir = await Deno.makeTempDir();
    const port = freePort();
    const called = sipp(["-sn", "uas", "-p", String(port), "-m", "200"], dir);
    try {
      // SIPp does not say when it is ready: the first INVITEs may have to be sent again, which is no failure.
      const { code, out } = await uac(["-r", "200", "-m", "200", "-d", "20", "--quiet", `127.0.0.1:${port}`]);
      assertStringIncludes(out, "ok 200   failed 0");
      assertEquals(code, 0);
    } finally {
      called.kill("SIGKILL");
      await called.status;
      await Deno.remove(dir, { recursive: true });
    }
  },
});

Deno.test({
  name: `sipp -sn uac calls our called side${why}`,
  ignore,
  async fn() {
    const dir = await Deno.makeTempDir();
    const called = await startUac(["-sn", "uas", "-p", "0", "--quiet", "--trace_err"]);
    const args = ["-sn", "uac", "-p", String(freePort()), "-r", "200", "-m", "200", "-d", "20"];
    const caller = sipp([...args, "-timeout", "30", "-timeout_error", called.address], dir);
    const { code } = await caller.status;
    const outcome = await called.end("SIGTERM");
    await Deno.remove(dir, { recursive: true });
    assertEquals(code, 0);
    assertEquals(outcome.code, 0);
    assertStringIncludes(outcome.out, "ok 200   failed 0");
  },
});
