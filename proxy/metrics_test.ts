/** The proxy's metrics, log and status: names, documentation, what counts, and the program as an operator sees it. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  assertDocumented,
  assertNames,
  assertParsed,
  promtool,
  WITHOUT_PROMTOOL,
} from "../tests/metrics_checks_io.ts";
import { observe, seededRandom, toHex } from "../mod.ts";
import { REFUSALS } from "./counters.ts";
import { CredentialCache } from "./credential_cache.ts";
import { LOG_EVENTS, logEntry } from "./log_events.ts";
import { DBCLIENT_BOUNDS, flatObservations, proxyMetricFamilies, proxyMetrics } from "./metrics.ts";
import { proxyReadiness, type ProxyState, type ProxyStatus, statusText, type WorkerState } from "./status.ts";
import { backend, CALLED, PcCaller, ProxyHarness, request, statusOf } from "./testing.ts";
import { inTempDir, run, Running } from "./test_process.ts";
import { BusySide, Phone, withSubscribers } from "./test_phone.ts";

const read = (path: string) => Deno.readTextFileSync(new URL(`../${path}`, import.meta.url));

const LINK = { name: "192.0.2.11:19760", up: true };
const LOST = { name: "192.0.2.12:19760", up: false, reason: "Connection refused" };
const target = (state: "active" | "probing") => ({ set: 1, uri: "sip:192.0.2.20", state });

function worker(number: number, more: Partial<WorkerState> = {}): WorkerState {
  const counts = { received: 5 * number, transactions: number, next_hops_down: number };
  return { number, serving: true, since: 1.7e9, dbclients: [LINK, LOST], targets: [], counts, ...more };
}

function state(...workers: WorkerState[]): ProxyState {
  return { listening: ["udp:192.0.2.1:5060"], draining: false, workers };
}

/** With two workers and every part, so that every family has samples. */
function snapshot() {
  const harness = new ProxyHarness(["--registrar", "1"]);
  const caller = new PcCaller();
  const { dbclient } = harness;
  assertEquals(statusOf(harness.ask(caller.request("INVITE"))), 407);
  dbclient.mode = "fail";
  const observations = { counts: new Array(DBCLIENT_BOUNDS.length + 1).fill(0), sum: 0 };
  for (const seconds of [0.0001, 0.003, 9]) observe(observations, DBCLIENT_BOUNDS, seconds);
  const counts: Record<string, number> = {
    ...harness.proxy.statistics(),
    ...flatObservations(observations),
    tokens_left: 99,
    users_low: 2,
    users_without_tokens: 3,
    workers_replaced: 1,
  };
  const sockets = ["connections_tcp", "connections_tls", "datagrams_dropped", "datagrams_truncated"];
  const events = ["accepted", "opened", "refused", "connect_failed", "idle_closed", "half_messages"]
    .concat("slow_readers", "malformed");
  for (const name of [...sockets, ...events.map((event) => `tcp_${event}`)]) counts[name] = 4;
  return {
    counts,
    state: state(worker(1, { targets: [target("active")] }), worker(2, { targets: [target("probing")] })),
    usage: { cpuSeconds: 12.25, residentBytes: 81_000_000, startTime: 1_764_075_600.5 },
    build: { version: "0.1.0", deno: "2.9.6", hash: "lanes" },
  };
}

const valueOf = (text: string, sample: string) =>
  Number(text.split("\n").find((line) => line.startsWith(`${sample} `))?.slice(sample.length + 1));

Deno.test("proxy metrics: an independent parser finds all; names and labels follow the conventions; every sample is a number", () => {
  const families = proxyMetricFamilies(snapshot());
  assertParsed(proxyMetrics(snapshot()), families);
  const own = ["method", "class", "verdict", "scheme", "reason", "what", "kind", "transport", "event"];
  assertNames("proxy", families, [...own, "result", "state"]);
  for (const family of families) {
    if (family.type === "histogram") continue;
    assert(family.samples.length > 0, family.name);
    for (const { value } of family.samples) assert(Number.isFinite(value), family.name);
  }
});

Deno.test({
  name: `proxy metrics: promtool finds no fault with them and the alerting rules${WITHOUT_PROMTOOL}`,
  ignore: WITHOUT_PROMTOOL !== "",
  async fn() {
    await promtool(["check", "metrics"], proxyMetrics(snapshot()));
    await promtool(["check", "rules", "examples/prometheus/proxy_alerts.yml"], "");
  },
});

Deno.test("docs/MONITORING.md has the proxy's metrics, its reasons of refusals, its events with their levels, and its alerts", () => {
  assertDocumented("proxy", proxyMetricFamilies(snapshot()));
  const document = read("docs/MONITORING.md");
  for (const reason of REFUSALS) assert(document.includes(`\`${reason}\``), reason);
  const rows = new Set(document.split("\n").map((line) => line.replace(/ +/g, " ")));
  for (const [event, [level]] of Object.entries(LOG_EVENTS)) {
    const found = [...rows].some((row) => row.startsWith(`| \`${event}\` | ${level} |`));
    assert(found, `${event} ${level}`);
  }
});

Deno.test("proxy counters: requests by method, responses, verdicts, challenges and refusals, each once", () => {
  const harness = new ProxyHarness();
  const caller = new PcCaller();
  const challenged = harness.ask(caller.request("INVITE"));
  assertEquals(statusOf(challenged), 407);
  const forwarded = harness.ask(caller.again(challenged, "INVITE"));
  assert(forwarded.startsWith("INVITE "), forwarded);
  harness.receive(request("MESSAGE", { from: "<sip:carol@example.com>", headers: ["Proxy-Require: x"] }));
  harness.receive(request("FOO", { maxForwards: 0 }));
  harness.receive("SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx\r\n\r\n", CALLED);
  harness.receive("INVITE sip:a@example.com SIP/3.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bKy\r\n\r\n");
  const counts = harness.proxy.statistics();
  assertEquals([counts.requests_INVITE, counts.requests_MESSAGE, counts.requests_other], [2, 1, 1]);
  assertEquals([counts.pc_no_credentials, counts.pc_ok, counts.challenges_pc], [1, 1, 1]);
  assertEquals([counts.refused_bad_extension, counts.refused_too_many_hops, counts.challenged], [1, 1, 1]);
  assert(counts.refused_malformed >= 1 && counts.malformed === counts.refused_malformed);
  assert(counts.responses_sent_4xx >= 2);
  assertEquals([counts.transactions_invite_client, counts.transactions], [1, harness.proxy.core.layer.size]);
});

Deno.test("tokens left: of the newest credentials, a part of the cache at a time; what has expired counts as none", () => {
  const cache = CredentialCache.create(40, backend, seededRandom(3));
  const credential = (i: number) => ({
    username: `user${i}`,
    realm: "example.com",
    algorithm: "SHA-1" as const,
    nonce: new Uint8Array(16).fill(i),
    n: i,
    anchor: new Uint8Array(20),
    key: new Uint8Array(20),
  });
  for (let i = 1; i <= 5; i++) {
    const { nonce, ...rest } = credential(i);
    assertEquals(toHex(nonce).length, 32);
    cache.install({
      credential: { ...rest, nonce } as never,
      issuedAt: 0,
      expiresAt: 100 * i,
      serial: 0,
      lookAt: 90,
    });
  }
  cache.getOrAdd("nobody", "example.com");
  const count = (now: number, places: number) => {
    const figures = { tokens: 0, low: 0, without: 0 };
    let turns = 0;
    for (let at = 0; at >= 0; turns++) at = cache.countTokens(at, places, 2, now, figures);
    return { ...figures, turns };
  };
  assertEquals(count(50, 1000), { tokens: 15, low: 2, without: 1, turns: 2 });
  const { turns, ...figures } = count(250, 2);
  assertEquals(figures, { tokens: 12, low: 0, without: 3 });
  assert(turns > 2);
});

Deno.test("readiness: every worker serves and has a DBclient, where one is needed; not while it is ending", () => {
  const ready = (state: ProxyState, needs = true) => {
    const { ready, checks } = proxyReadiness(state, needs);
    return [ready, ...checks.filter(({ ok }) => !ok).map(({ name }) => name)];
  };
  assertEquals(ready(state(worker(1), worker(2))), [true]);
  assertEquals(ready(state(worker(1), worker(2, { dbclients: [LOST] }))), [false, "dbclient"]);
  assertEquals(ready(state(worker(1, { dbclients: [LOST] }))), [false, "dbclient"]);
  assertEquals(ready(state(worker(1, { dbclients: [LOST] })), false), [true]);
  assertEquals(ready(state(worker(1), worker(2, { serving: false, dbclients: [] }))), [false, "workers"]);
  assertEquals(ready({ ...state(worker(1)), draining: true }), [false, "listening"]);
  const { checks } = proxyReadiness(state(worker(1)), true);
  assertEquals(checks[2].parts, [
    { name: LINK.name, ok: true },
    { name: LOST.name, ok: false, detail: LOST.reason },
  ]);
});

Deno.test("status text: what there is, a line each; a target as the worker sees it that leaves it aside", () => {
  const { counts, state } = snapshot();
  const text = statusText({
    version: "0.1.0",
    uptime: 7300,
    state,
    counts: { ...counts, contacts: 3, aors: 2 },
  });
  const lines = Object.fromEntries(text.split("\n").map((line) => line.split(/ {2,}/, 2)));
  assertEquals(lines.proxy, "0.1.0, up for 2 h");
  assertEquals(lines["users cached"], "1, verified 0");
  assertEquals(lines["tokens left"], "99; users with few left 2, with none 3");
  assertEquals(lines.contacts, "3 of 2 users");
  assertEquals(lines[`dbclient ${LINK.name}`], "up, 2 of 2 linked");
  assertEquals(lines[`dbclient ${LOST.name}`], "down, 0 of 2 linked: Connection refused");
  assertEquals(lines["target sip:192.0.2.20"], "set 1, probing");
  assertEquals(lines["worker 2"], "10 received, 2 transactions");
});

Deno.test("log entries: a sentence with its fields; one that the table does not have lists them", () => {
  assertEquals(
    logEntry("worker_crashed", { worker: 2, reason: "Error: x", replaced_in_ms: 0 })[0],
    "worker 2 has crashed, another begins in 0 ms: Error: x",
  );
  const [message, { level, event }] = logEntry("new_event", { a: 1, b: "{a}", worker: 2, left_out: 5 });
  assertEquals([message, level, event], [
    `new_event a=1 b="{a}" (worker 2) (and 5 more)`,
    "notice",
    "new_event",
  ]);
  assertEquals(logEntry("constructor", {})[0], "constructor");
});

for (const workers of [1, 2]) {
  Deno.test({
    name:
      `proxy program with ${workers} worker(s): metrics, readiness, status and the log as JSON while calls go through` +
      (workers > 1 && Deno.build.os !== "linux" ? " (skipped: threads share a port on Linux alone)" : ""),
    ignore: workers > 1 && Deno.build.os !== "linux",
    fn: () =>
      inTempDir(async (dir) => {
        const db = await withSubscribers(dir);
        const dbclient = await Running.start("dbclient", "--db", db, "-p", "0", "-n", "10");
        const called = new BusySide();
        const proxy = await Running.start(
          "proxy",
          ...["--listen", "udp:127.0.0.1:0", "--realm", "example.com", "--workers", String(workers)],
          ...["--dbclient_port", String(dbclient.port), "--next_hop", `sip:127.0.0.1:${called.port}`],
          ...["--metrics", "127.0.0.1:0", "--log_format", "json", "--drain", "0"],
        );
        const entries = () => proxy.err.trimEnd().split("\n").map((line) => JSON.parse(line));
        const { port } = entries().find(({ event }) => event === "metrics");
        const base = `http://127.0.0.1:${port}`;
        const phone = new Phone(proxy.port);
        const nobody = new Phone(proxy.port, "nobody", "guess");
        try {
          for (let call = 0; call < 3; call++) {
            assertEquals(statusOf(await phone.authenticated("INVITE", { callId: `c${call}` })), 486);
          }
          assertEquals(statusOf(await nobody.authenticated("INVITE", { callId: "x" })), 407);
          let text = "";
          // Workers report once a second; the count of tokens is good for some seconds.
          for (let i = 0; i < 200 && valueOf(text, 'proxy_pc_verdicts_total{verdict="ok"}') !== 3; i++) {
            text = await (await fetch(`${base}/metrics`)).text();
            await new Promise((resolve) => setTimeout(resolve, 50));
          }
          assertEquals(valueOf(text, 'proxy_pc_verdicts_total{verdict="ok"}'), 3, text);
          assertEquals(valueOf(text, 'proxy_dbclient_links{state="up"}'), workers);
          assertEquals(valueOf(text, "proxy_verified_users"), 1);
          assertEquals(text.includes("proxy_worker_up"), workers > 1);
          assert(valueOf(text, "proxy_dbclient_duration_seconds_count") >= 1);
          assertEquals((await fetch(`${base}/healthz`)).status, 200);
          const ready = await fetch(`${base}/readyz`);
          assertEquals([ready.status, (await ready.json()).ready], [200, true]);
          const status = await run("proxy", "status", "--metrics", `127.0.0.1:${port}`);
          assertEquals([status.code, status.err], [0, ""]);
          assertStringIncludes(status.out, "users cached ");
          assertStringIncludes(status.out, "2, verified 1");
          const json = await run("proxy", "status", "--metrics", `127.0.0.1:${port}`, "--format", "json");
          const told: ProxyStatus = JSON.parse(json.out);
          assertEquals([told.counts.pc_ok, told.state.workers.length], [3, workers]);
          assert(told.counts.tokens_left > 0 && told.counts.tokens_left < 20, json.out);
        } finally {
          await Promise.all([phone.socket.close(), nobody.socket.close(), called.close()]);
          await dbclient.end();
        }
        let unready = await fetch(`${base}/readyz`);
        while (unready.status === 200) {
          await unready.body?.cancel();
          await new Promise((resolve) => setTimeout(resolve, 50));
          unready = await fetch(`${base}/readyz`);
        }
        const { checks } = await unready.json();
        assertEquals(
          checks.filter(({ ok }: { ok: boolean }) => !ok).map(({ name }: { name: string }) => name),
          [
            "dbclient",
          ],
        );
        const { code } = await proxy.end();
        assertEquals(code, 0);
        const events = entries().map(({ event, program }) => `${program} ${event}`);
        for (const event of ["metrics", "ready", "dbclient_lost", "ended"]) {
          assert(events.includes(`proxy ${event}`), events.join());
        }
        for (const secret of ["secret", "token", "Proxy-Authorization"]) assert(!proxy.err.includes(secret));
      }),
  });
}

Deno.test("proxy status: a wrong flag, and nobody there, are one line", async () => {
  const cases: [string[], number, string][] = [
    [["--metric", "127.0.0.1:1"], 2, "did you mean --metrics?"],
    [["--metrics", "here"], 2, '"here" is not allowed'],
    [["extra"], 2, "extra"],
    [["--metrics", "127.0.0.1:1"], 1, "is there a proxy with --metrics 127.0.0.1:1?"],
  ];
  for (const [args, expected, part] of cases) {
    const { code, out, err } = await run("proxy", "status", ...args);
    assertEquals([code, out, err.trimEnd().split("\n").length], [expected, "", 1], err);
    assertStringIncludes(err, part);
  }
});

Deno.test("proxy program: an address for metrics that is wrong or taken is one line", async () => {
  const usual = ["--listen", "udp:127.0.0.1:0", "--realm", "example.com", "--dbclient_port", "1"];
  const wrong = await run("proxy", ...usual, "--metrics", "9761");
  assertEquals(wrong.code, 2);
  assertStringIncludes(wrong.err, "--metrics");
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  const taken = await run("proxy", ...usual, "--metrics", `127.0.0.1:${port}`);
  listener.close();
  assertEquals(taken.code, 1);
  assertStringIncludes(taken.err, `--metrics: 127.0.0.1:${port} is in use by another program`);
});
