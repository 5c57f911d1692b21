/** The metrics: their text read by other parsers, their names, the documentation, and the service over HTTP. */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import parse from "parse-prometheus-text-format";
import { EXPOSITION_TYPE, metricsAddress, observe } from "../mod.ts";
import {
  assertDocumented,
  assertNames,
  assertParsed,
  type ParsedFamily,
  promtool,
  WITHOUT_PROMTOOL,
} from "../core/metrics/testing_io.ts";
import { BATCH_BOUNDS, type Counters, newCounters, QUERY_BOUNDS, REFUSALS } from "./counters.ts";
import { sumCounters } from "./counters_sum.ts";
import { dbclientMetrics, metricFamilies, type MetricsSnapshot } from "./metrics.ts";
import { serveMetrics } from "./metrics_io.ts";
import { databaseCheck, processReadiness } from "./readiness_io.ts";
import { type NodeState, StoreError, type SubscriberStore } from "./subscriber.ts";

const root = new URL("../", import.meta.url);
const read = (path: string) => Deno.readTextFileSync(new URL(path, root));

function counted(): Counters {
  const counters = newCounters();
  Object.assign(counters, {
    usersAsked: 150,
    credentialsIssued: 149,
    decoys: 7,
    withoutHash: 2,
    connected: 3,
  });
  Object.assign(counters, { verifyAnswers: 9, verifyOk: 4, queries: 12, revocationSerial: 2 ** 40 });
  for (const [i, reason] of REFUSALS.entries()) counters.refused[reason] = i;
  for (const seconds of [0.0001, 0.003, 0.003, 9]) observe(counters.querySeconds, QUERY_BOUNDS, seconds);
  for (const users of [1, 100, 1000]) observe(counters.batchUsers, BATCH_BOUNDS, users);
  return counters;
}

/** With two workers, so that every family has samples. */
function snapshot(): MetricsSnapshot {
  const usage = { cpuSeconds: 12.25, residentBytes: 81_000_000, startTime: 1_764_075_600.5 };
  const workers = [0, 1].map((number) => ({ number, counters: counted(), usage }));
  return {
    counters: sumCounters(workers.map(({ counters }) => counters)),
    usage,
    build: { version: "0.1.0", deno: "2.9.6", hash: "lanes" },
    workers,
  };
}

Deno.test("an independent parser finds every family, sample, label and bucket with its value", () => {
  assertParsed(dbclientMetrics(snapshot()), metricFamilies(snapshot()));
});

Deno.test("names, units and labels follow Prometheus's conventions", () => {
  assertNames("dbclient", metricFamilies(snapshot()), ["type", "result", "reason"]);
});

Deno.test({
  name: `Prometheus's own promtool finds no fault with the metrics and the alerting rules${WITHOUT_PROMTOOL}`,
  ignore: WITHOUT_PROMTOOL !== "",
  async fn() {
    await promtool(["check", "metrics"], dbclientMetrics(snapshot()));
    await promtool(["check", "config", "examples/prometheus/prometheus.yml"], "");
  },
});

Deno.test("docs/MONITORING.md has the table of all metrics and all reasons; the alerts name only what there is", () => {
  assertDocumented("dbclient", metricFamilies(snapshot()));
  const document = read("docs/MONITORING.md");
  for (const reason of REFUSALS) assert(document.includes(`\`${reason}\``), reason);
});

/** A store that can be told to fail or to hang. */
class FakeStore implements SubscriberStore {
  readonly name = "fake";
  asked = 0;
  answer: () => Promise<void> = () => Promise.resolve();
  async lookup(users: readonly unknown[]) {
    this.asked++;
    await this.answer();
    return users.map(() => undefined);
  }
  count = () => Promise.resolve(0);
  nodes = (): readonly NodeState[] => [
    { name: "127.0.0.1:3306", rank: "good", why: "" },
    { name: "127.0.0.2:3306", rank: "down", why: "refused" },
  ];
  close = () => Promise.resolve();
}

async function withMetrics(
  use: (
    setup: { port: number; store: FakeStore; counters: Counters; state: { listening: boolean } },
  ) => Promise<void>,
): Promise<void> {
  const store = new FakeStore();
  const counters = counted();
  const state = { listening: true, connected: 3 };
  const database = databaseCheck(store);
  await using served = await serveMetrics({ host: "127.0.0.1", port: 0 }, {
    counters: () => counters,
    ready: () => processReadiness(state, database),
    hash: "lanes",
    log() {},
  });
  await use({ port: served!.port, store, counters, state });
}

Deno.test("/metrics, /healthz: what they say and as what; other paths 404, other methods 405", () =>
  withMetrics(async ({ port, counters }) => {
    const ask = async (path: string, init?: RequestInit) => {
      const response = await fetch(`http://127.0.0.1:${port}${path}`, init);
      return { status: response.status, headers: response.headers, text: await response.text() };
    };
    counters.credentialsIssued = 12345;
    const metrics = await ask("/metrics");
    assertEquals([metrics.status, metrics.headers.get("content-type")], [200, EXPOSITION_TYPE]);
    const families = parse(metrics.text) as ParsedFamily[];
    assertEquals(families[0].metrics[0].value, "12345");
    const valueOf = (name: string) =>
      Number(families.find((family) => family.name === name)!.metrics[0].value);
    assert(valueOf("process_resident_memory_bytes") > 10e6);
    assert(valueOf("process_cpu_seconds_total") > 0);
    assert(Math.abs(valueOf("process_start_time_seconds") * 1000 - Date.now()) < 3_600_000);
    assertEquals((await ask("/metrics?x=1")).status, 200);
    const alive = await ask("/healthz");
    assertEquals([alive.status, JSON.parse(alive.text)], [200, { alive: true }]);
    for (
      const path of [
        "/",
        "/metricsx",
        "/../etc/passwd",
        "/metrics/",
        "/constructor",
        "/__proto__",
        "//metrics",
      ]
    ) {
      assertEquals((await ask(path)).status, 404, path);
    }
    for (const method of ["POST", "PUT", "DELETE", "OPTIONS"]) {
      const { status, headers } = await ask("/metrics", { method });
      assertEquals([status, headers.get("allow")], [405, "GET, HEAD"]);
    }
    const head = await ask("/metrics", { method: "HEAD" });
    assertEquals([head.status, head.text, Number(head.headers.get("content-length")) > 100], [200, "", true]);
  }));

Deno.test("/readyz says what it depends on: 503 when the database fails or hangs, and while DBclient is ending", () =>
  withMetrics(async ({ port, store, state }) => {
    const ask = async () => {
      const response = await fetch(`http://127.0.0.1:${port}/readyz`);
      return { status: response.status, body: await response.json() };
    };
    // Many at once, and those within a second, are one question to the database.
    const [first, ...others] = await Promise.all(Array.from({ length: 20 }, ask));
    assertEquals(first, {
      status: 200,
      body: {
        ready: true,
        checks: [
          { name: "listening", ok: true, detail: "3 proxies connected" },
          {
            name: "database",
            ok: true,
            detail: "fake",
            parts: [{ name: "127.0.0.1:3306", ok: true }, {
              name: "127.0.0.2:3306",
              ok: false,
              detail: "refused",
            }],
          },
        ],
      },
    });
    for (const other of others) assertEquals(other, first);
    assertEquals(store.asked, 1);
    state.listening = false;
    const ending = await ask();
    assertEquals([ending.status, ending.body.ready, ending.body.checks[0].ok], [503, false, false]);
    state.listening = true;
    store.answer = () => Promise.reject(new StoreError("fake: gone\nsecond line"));
    let broken = await ask();
    while (broken.status === 200) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      broken = await ask();
    }
    assertEquals([broken.status, broken.body.checks[1].detail], [503, "fake: gone"]);
    store.answer = () => new Promise(() => {});
    const asked = store.asked;
    let hung = await ask();
    while (store.asked === asked) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      hung = await ask();
    }
    assertEquals([hung.status, hung.body.checks[1].detail], [503, "no answer within 2000 ms"]);
  }));

Deno.test("clients that say nothing, or little, neither keep others out nor stay", () =>
  withMetrics(async ({ port }) => {
    const streams: Deno.TcpConn[] = [];
    const ended: Promise<void>[] = [];
    for (let i = 0; i < 200; i++) {
      const stream = await Deno.connect({ hostname: "127.0.0.1", port });
      streams.push(stream);
      if (i % 2 === 0) await stream.write(new TextEncoder().encode("GET /metrics HT")).catch(() => {});
      const buffer = new Uint8Array(1024);
      ended.push((async () => {
        try {
          while (await stream.read(buffer) !== null);
        } catch {
          // Reset: it has ended.
        }
      })());
    }
    // All are closed by the server: those over the limit at once, the others when their time is up.
    await Promise.all(ended);
    for (const stream of streams) stream.close();
    assertEquals(await (await fetch(`http://127.0.0.1:${port}/healthz`)).json(), { alive: true });
  }));

Deno.test("headers without end and requests that are none are refused", () =>
  withMetrics(async ({ port }) => {
    const reply = async (text: string) => {
      const stream = await Deno.connect({ hostname: "127.0.0.1", port });
      let said = "";
      try {
        await stream.write(new TextEncoder().encode(text));
        await stream.closeWrite();
        const buffer = new Uint8Array(4096);
        for (let count = await stream.read(buffer); count !== null; count = await stream.read(buffer)) {
          said += new TextDecoder().decode(buffer.subarray(0, count));
        }
      } catch {
        // Reset.
      }
      stream.close();
      return said;
    };
    assert(
      !(await reply(`GET /metrics HTTP/1.1\r\nHost: x\r\nA: ${"a".repeat(40_000)}\r\n\r\n`)).includes(
        " 200 ",
      ),
    );
    assert(!(await reply("INVITE sip:bob@example.com SIP/2.0\r\n\r\n")).includes(" 200 "));
    assert(!(await reply("\0\x01\x02\r\n\r\n")).includes(" 200 "));
    assertMatch(
      await reply("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
      /^HTTP\/1\.1 200 /,
    );
  }));

Deno.test("--metrics takes ADDRESS:PORT; an address in use is one line that names it", async () => {
  assertEquals(metricsAddress(undefined), undefined);
  assertEquals(metricsAddress("127.0.0.1:9760"), { host: "127.0.0.1", port: 9760 });
  assertEquals(metricsAddress("[::1]:0"), { host: "::1", port: 0 });
  for (
    const wrong of ["9760", ":9760", "127.0.0.1", "127.0.0.1:", "::1:9760", "h:65536", "h:-1", "http://h:1"]
  ) {
    const error = await assertRejects(() => Promise.resolve().then(() => metricsAddress(wrong)));
    assertMatch((error as Error).message, /^--metrics: ".*" is not allowed; it takes ADDRESS:PORT/);
  }
  const taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = taken.addr;
  const source = {
    counters: newCounters,
    ready: () => Promise.resolve({ ready: true, checks: [] }),
    hash: "lanes",
    log() {},
  };
  await assertRejects(
    () => serveMetrics({ host: "127.0.0.1", port }, source),
    StoreError,
    `--metrics: 127.0.0.1:${port} is in use by another program`,
  );
  taken.close();
});
