/** What is seen of `dbclient --workers N` from outside: the sum of all, each worker, and whether they can serve. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { DbclientConnection, loadHashBackend } from "../mod.ts";
import { inTempDir, Running } from "../proxy/test_process.ts";
import { childrenOf, makeSubscribers } from "./dbclient_processes_io.ts";

const { backend } = await loadHashBackend();
const ignore = Deno.build.os !== "linux";

/** Asks until it is so. */
async function until<T>(ask: () => Promise<T>, isSo: (answer: T) => boolean): Promise<T> {
  for (;;) {
    const answer = await ask();
    if (isSo(answer)) return answer;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

Deno.test({
  name: "metrics and readiness of several workers, through the loss of one" +
    (ignore ? " (skipped: processes share a port on Linux alone)" : ""),
  ignore,
  fn: () =>
    inTempDir(async (dir) => {
      const users = await makeSubscribers(`${dir}/a.db`, 100);
      const dbclient = await Running.start(
        "dbclient",
        ...["--db", `sqlite:${dir}/a.db`, "-p", "0", "--workers", "2", "--metrics", "127.0.0.1:0"],
      );
      const proxies = Array.from({ length: 8 }, (_, i) =>
        new DbclientConnection({
          addresses: [{ host: "127.0.0.1", port: Number(/ready on \S+?:(\d+),/.exec(dbclient.err)![1]) }],
          name: `proxy${i}`,
          sha256: backend.get("SHA-256"),
          backoff: { min: 5, max: 100 },
        }));
      const base = /metrics on (http:\S+)\/metrics/.exec(dbclient.err)![1];
      const metrics = async () => await (await fetch(`${base}/metrics`)).text();
      const value = (text: string, name: string) =>
        Number(text.split("\n").find((line) => line.startsWith(`${name} `))?.slice(name.length + 1));
      const ready = async () => {
        const response = await fetch(`${base}/readyz`);
        return { status: response.status, body: await response.json() };
      };
      for (const proxy of proxies) {
        assert(await proxy.whenConnected(10_000));
        await proxy.issue("SHA-1", users);
      }
      const issued = "dbclient_credentials_issued_total";
      const text = await until(metrics, (text) => value(text, issued) === 800);
      assertEquals(value(text, "dbclient_connections"), 8);
      const of = (worker: number) => value(text, `dbclient_worker_connections{worker="${worker}"}`);
      assertEquals(of(1) + of(2), 8);
      assert(value(text, 'dbclient_worker_resident_memory_bytes{worker="1"}') > 10e6);
      const well = await ready();
      assertEquals([well.status, well.body.checks[0].detail], [200, "2 of 2 serve"]);
      assertEquals(well.body.checks[1].name, "database");

      const [child] = await childrenOf(dbclient.child.pid);
      Deno.kill(child, "SIGKILL");
      const one = await until(ready, ({ body }) => body.checks[0].detail !== "2 of 2 serve");
      assertEquals([one.status, one.body.checks[0].detail], [200, "1 of 2 serve"]);
      await until(ready, ({ body }) => body.checks[0].detail === "2 of 2 serve");
      // What the lost worker has counted stays in the sum: a counter does not go down.
      assertEquals(value(await metrics(), issued), 800);
      await Promise.all(proxies.map((proxy) => proxy.close()));
      const { code, err } = await dbclient.end();
      assertEquals(code, 0);
      assertStringIncludes(err, " WARN worker dbclient: worker ");
      assertStringIncludes(err, "serves again");
    }),
});
