/** `proxy --workers 2` as a process: calls from many ports, one cache, crashes, the end, what is refused. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { batchedIoProblem } from "../../mod.ts";
import { busy, BusySide, Phone, viaPort, withSubscribers } from "../test_phone.ts";
import { inTempDir, type Outcome, ROOT, run, Running, TestSocket, until } from "../test_process.ts";
import { ackOf, firstLine, header, request, statusOf } from "../testing.ts";

const ignore = batchedIoProblem() !== undefined;
const USUAL = ["--listen", "udp:127.0.0.1:0", "--realm", "example.com"];
const TWO = ["--workers", "2"];
/** So many that they reach both workers, but for once in two thousand million times. */
const PORTS = 32;
const USERS = Array.from({ length: PORTS }, (_, i) => `user${i}`);

type Counters = Record<string, number>;

async function counters(path: string): Promise<Counters> {
  return JSON.parse(await Deno.readTextFile(path));
}

/** DBclient, a called side, and a proxy with two workers. */
interface Site {
  readonly dir: string;
  readonly called: BusySide;
  readonly proxy: Running;
  phone(name?: string): Phone;
  /** Ends all; gives the counters of the proxy and of DBclient. */
  end(): Promise<[Counters, Counters]>;
}

async function withSite(
  { chain, args = [], route, answer }: {
    readonly chain: number;
    readonly args?: readonly string[];
    readonly route?: string;
    readonly answer?: (invite: string) => string;
  },
  use: (site: Site) => Promise<void>,
): Promise<void> {
  await inTempDir(async (dir) => {
    const db = await withSubscribers(dir, ["alice", ...USERS]);
    const phones: Phone[] = [];
    const running: Running[] = [];
    const called = new BusySide(answer);
    let ended = false;
    const end = async (): Promise<[Counters, Counters]> => {
      ended = true;
      for (const program of running.splice(0).reverse()) assertEquals((await program.end()).code, 0);
      return [await counters(`${dir}/proxy.json`), await counters(`${dir}/dbclient.json`)];
    };
    try {
      const dbclientArgs = [
        "--db",
        db,
        "-p",
        "0",
        "-n",
        String(chain),
        "--stats_file",
        `${dir}/dbclient.json`,
      ];
      running.push(await Running.start("dbclient", ...dbclientArgs));
      if (route !== undefined) await Deno.writeTextFile(`${dir}/route.ts`, route);
      running.push(
        await Running.start(
          "proxy",
          ...[...USUAL, ...TWO, "--dbclient_port", String(running[0].port)],
          ...["--next_hop", `sip:127.0.0.1:${called.port}`, "--stats_file", `${dir}/proxy.json`],
          ...route === undefined ? [] : ["--route", `${dir}/route.ts`],
          ...args,
        ),
      );
      const proxy = running[1];
      const phone = (name = "alice") => {
        phones.push(new Phone(proxy.port, name));
        return phones.at(-1)!;
      };
      await use({ dir, called, proxy, phone, end });
    } finally {
      if (!ended) await end();
      await Promise.all([called.close(), ...phones.map(({ socket }) => socket.close())]);
    }
  });
}

/** Makes one call of each phone, so that it is known which reply port, and so which worker, serves it. */
async function workersOf({ called }: Site, phones: readonly Phone[]): Promise<Map<Phone, number>> {
  const found = new Map<Phone, number>();
  for (const phone of phones) {
    const callId = `first-${phone.socket.port}`;
    const answer = await phone.authenticated("INVITE", { callId });
    assertEquals([statusOf(answer), phone.caller.confirm(answer)], [486, "confirmed"]);
    found.set(phone, viaPort(called.inviteOf(callId)));
  }
  assertEquals(new Set(found.values()).size, 2, "one worker got all");
  return found;
}

Deno.test({
  name: "workers: calls of one user from many ports reach both, and cost one credential",
  ignore,
  fn: () =>
    withSite({ chain: 1000 }, async (site) => {
      const { called, proxy, end } = site;
      const phones = Array.from({ length: PORTS }, () => site.phone());
      const workers = await workersOf(site, phones);
      const ports = new Set(workers.values());
      assert(!ports.has(proxy.port), "the port of all is in Via");
      for (const invite of called.invites) {
        assertStringIncludes(header(invite, "Record-Route"), `<sip:127.0.0.1:${proxy.port};lr;did=`);
      }
      assertMatch(proxy.err, /ready on .* I\/O, 2 workers\n/);
      const [sum, { credentialsIssued }] = await end();
      assertEquals([sum.usersAsked, sum.users, sum.usersVerified, credentialsIssued], [1, 1, 1, 1]);
      assertEquals([sum.forwarded, sum.strays, sum.workers_replaced], [2 * PORTS, 0, 0]);
      assertEquals(sum.worker1_received + sum.worker2_received, sum.received);
      assert(sum.worker1_received > 0 && sum.worker2_received > 0);
    }),
});

Deno.test({
  name: "workers: Digest answers are checked for both",
  ignore,
  fn: () =>
    withSite({ chain: 10, args: ["--auth", "digest"] }, async (site) => {
      const phones = Array.from({ length: PORTS }, () => site.phone());
      const statuses = [];
      for (const phone of phones) {
        statuses.push(statusOf(await phone.withDigest("INVITE", { callId: `c${phone.socket.port}` })));
      }
      assertEquals(statuses, phones.map(() => 486));
      assertEquals(new Set(site.called.invites.map(viaPort)).size, 2);
      const [sum, { verifyAnswers }] = await site.end();
      assertEquals([sum.digestAnswers, verifyAnswers], [PORTS, PORTS]);
    }),
});

Deno.test({
  name: "workers: an answer that reaches both at once is accepted by one, each time",
  ignore,
  fn: () =>
    withSite({ chain: 1000 }, async (site) => {
      const rounds = 200;
      const workers = await workersOf(site, Array.from({ length: PORTS }, () => site.phone()));
      const [first] = workers.keys();
      const second = [...workers.keys()].find((phone) => workers.get(phone) !== workers.get(first))!;
      const { caller } = first;
      // The others have used up tokens since: this one learns how far.
      assertEquals(statusOf(await first.authenticated("INVITE", { callId: "before" })), 486);
      const accepted = new Map<Phone, number>([[first, 0], [second, 0]]);
      for (let round = 0; round < rounds; round++) {
        const callId = `race-${round}`;
        const before = site.called.invites.length;
        const invite = caller.request("INVITE", { callId, via: first.via() });
        assertStringIncludes(invite, "\r\nProxy-Authorization: PC ");
        const copy = invite.replace(/^Via: .*$/m, `Via: ${second.via()}`);
        const pair = round % 2 === 0 ? [first, second] : [second, first];
        const answers = await Promise.all(pair.map((phone) => phone.ask(phone === first ? invite : copy)));
        assertEquals(answers.map(statusOf).sort(), [407, 486], `round ${round}`);
        assertEquals(site.called.invites.length, before + 1);
        const winner = statusOf(answers[0]) === 486 ? 0 : 1;
        accepted.set(pair[winner], accepted.get(pair[winner])! + 1);
        assertEquals(caller.confirm(answers[winner]), "confirmed");
      }
      assertEquals([...accepted.values()].reduce((sum, count) => sum + count), rounds);
      const [{ usersAsked }] = await site.end();
      assertEquals(usersAsked, 1);
    }),
});

Deno.test({
  name: "workers: a request within a dialog may reach any of them",
  ignore,
  fn: () =>
    withSite(
      { chain: 1000, answer: (invite) => busy(invite).replace("486 Busy Here", "200 OK") },
      async (site) => {
        const opener = site.phone();
        const callId = "dialog";
        const answer = await opener.authenticated("INVITE", { callId });
        assertEquals(statusOf(answer), 200);
        const invite = site.called.inviteOf(callId);
        const other = new TestSocket();
        const seen = new Set<number>();
        // INFO, as a stranger could not send it: the tag in Record-Route opens the way.
        for (let i = 0; i < PORTS; i++) {
          const text = request("INFO", {
            uri: `sip:bob@127.0.0.1:${other.port}`,
            callId,
            cseq: 10 + i,
            toTag: "b",
            via: site.phone().via(),
            headers: [`Route: ${header(invite, "Record-Route")}`],
          });
          const sender = site.phone();
          await sender.socket.send(text, site.proxy.port);
          const forwarded = await other.next("INFO within the dialog");
          assertEquals(firstLine(forwarded).split(" ")[0], "INFO");
          seen.add(viaPort(forwarded));
        }
        assertEquals(seen.size, 2);
        await other.close();
      },
    ),
});

/** The default route; a MESSAGE with these bodies ends the worker that gets it. */
const CRASHING = `
import { defaultRoute } from "${new URL("proxy/default_route.ts", ROOT)}";
const route = defaultRoute({ auth: "pc", methods: new Set(["INVITE"]), recordRoute: true, foreignFrom: "reject" });
export default (request, proxy) => {
  if (request.method !== "MESSAGE") return route(request, proxy);
  proxy.reply(200);
  if (request.fromUser === "thrower") setTimeout(() => { throw new Error("thrown on demand"); }, 0);
  else Promise.reject(new TypeError("rejected on demand"));
};
`;

Deno.test({
  name: "workers: one that crashes is replaced under load, the other serves on, and nothing else is lost",
  ignore,
  fn: () =>
    withSite({ chain: 5000, route: CRASHING }, async (site) => {
      const { proxy, called } = site;
      const workers = await workersOf(site, USERS.map((name) => site.phone(name)));
      const [victim] = workers.keys();
      const crashing = workers.get(victim)!;
      const others = [...workers.keys()].filter((phone) => workers.get(phone) !== crashing).slice(0, 4);
      let stop = false;
      let calls = 0;
      // Each message once: nothing of the other worker may be lost.
      const load = others.map(async (phone) => {
        while (!stop) {
          const callId = `load-${phone.socket.port}-${calls++}`;
          const answer = await phone.authenticated("INVITE", { callId });
          assertEquals([statusOf(answer), phone.caller.confirm(answer)], [486, "confirmed"]);
        }
      });
      const count = (event: string) => proxy.err.split(event).length - 1;
      try {
        for (const [i, name] of ["thrower", "rejecter", "thrower"].entries()) {
          const message = request("MESSAGE", { via: victim.via(), from: `<sip:${name}@example.com>` });
          await victim.socket.send(message, proxy.port);
          const before = calls;
          await until(() => count("worker_replaced") === i + 1, "the replacement");
          await until(() => calls > before + 20, "calls at the other worker");
          // The 200 of the MESSAGE may have gone with the worker.
          const callId = `after-${i}`;
          const invite = victim.caller.request("INVITE", { callId, via: victim.via() });
          let answer = await victim.ask(invite, 500);
          while (header(answer, "CSeq").endsWith("MESSAGE")) {
            answer = await victim.socket.nextButTrying("answer");
          }
          if (statusOf(answer) >= 300) await victim.socket.send(ackOf(invite, answer), proxy.port);
          assertEquals([statusOf(answer), victim.caller.confirm(answer)], [486, "confirmed"]);
          assertEquals(viaPort(called.inviteOf(callId)), crashing);
        }
      } finally {
        stop = true;
        await Promise.all(load);
      }
      const crashes = proxy.err.split("\n").filter((line) => line.includes("worker_crashed"));
      assertEquals(crashes.length, 3, proxy.err);
      const number = /worker (\d)/.exec(crashes[0])![1];
      const reasons = ["Error: thrown on demand", "TypeError: rejected on demand", "Error: thrown on demand"];
      for (const [i, crash] of crashes.entries()) {
        const pause = [0, 100, 200][i];
        const said = `worker ${number} has crashed, another begins in ${pause} ms: ${reasons[i]} at `;
        assertStringIncludes(crash, `ERR worker_crashed proxy: ${said}`);
      }
      for (const [phone, port] of workers) {
        const callId = `last-${phone.socket.port}`;
        assertEquals(statusOf(await phone.authenticated("INVITE", { callId })), 486);
        assertEquals(viaPort(called.inviteOf(callId)), port);
      }
      const [sum, { credentialsIssued }] = await site.end();
      assertEquals([sum.workers_replaced, sum.users, credentialsIssued], [3, PORTS, PORTS]);
    }),
});

/** One line on standard error, this exit code. */
function assertOneLine({ code, out, err }: Outcome, expected: number, ...parts: readonly string[]): void {
  assertEquals([code, out], [expected, ""], err);
  assertMatch(err, /^(?:\S+ (?:CRIT|ERR) \S+ )?proxy: [^\n]+\n$/);
  for (const part of parts) assertStringIncludes(err, part);
}

Deno.test("workers: what cannot be is refused in one line", async () => {
  const usual = [...USUAL, "--dbclient_port", "1"];
  assertOneLine(await run("proxy", ...usual, "--workers", "0"), 2, "--workers", "from 1 to 256");
  assertOneLine(await run("proxy", ...usual, "--workers", "auto"), 2, "--workers");
  assertOneLine(await run("proxy", ...usual, ...TWO, "--io", "deno"), 2, "--workers", "--io deno");
  assertOneLine(await run("proxy", ...usual, ...TWO, "--reply_port", "65535"), 2, "--reply_port");
  const listen = ["--listen", "udp:127.0.0.1:5061", "--realm", "x"];
  assertOneLine(await run("proxy", ...listen, ...TWO, "--reply_port", "5060"), 2, "--reply_port", "5061");
  const noFfi = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-prompt", "--allow-net", "--allow-read", "--allow-env", "proxy/main.ts"]
      .concat(usual, TWO),
    cwd: ROOT,
    env: { NO_COLOR: "1" },
  });
  const { code, stderr } = await noFfi.output();
  const err = new TextDecoder().decode(stderr);
  assertOneLine({ code, out: "", err }, 1, "--workers", ignore ? "batched" : "--allow-ffi");
});

Deno.test({
  name: "workers: a port in use, and a route that does not load, are one line, exit code 1",
  ignore,
  fn: () =>
    inTempDir(async (dir) => {
      const proxy = await Running.start("proxy", ...USUAL, "--dbclient_port", "1", ...TWO);
      const taken = new TestSocket();
      const at = (port: number) => ["--listen", `udp:127.0.0.1:${port}`, "--realm", "example.com", ...TWO];
      const { port } = proxy;
      assertOneLine(await run("proxy", ...at(port)), 1, `udp:127.0.0.1:${port}: the port is in use`);
      const reply = ["--reply_port", String(taken.port)];
      assertOneLine(await run("proxy", ...USUAL, ...TWO, ...reply), 1, `127.0.0.1:${taken.port}`, "in use");
      await Promise.all([proxy.end(), taken.close()]);
      assertOneLine(await run("proxy", ...USUAL, ...TWO, "--route", `${dir}/none.ts`), 1, "no such file");
      await Deno.writeTextFile(`${dir}/broken.ts`, "export default function (\n");
      assertOneLine(await run("proxy", ...USUAL, ...TWO, "--route", `${dir}/broken.ts`), 1, "broken.ts");
      await Deno.writeTextFile(`${dir}/thrower.ts`, 'throw new Error("not today");\n');
      assertOneLine(await run("proxy", ...USUAL, ...TWO, "--route", `${dir}/thrower.ts`), 1, "not today");
    }),
});

/** Two ports in a row that are free, below those that the system gives out. */
function freePair(): number {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 20_000);
    const open: Deno.DatagramConn[] = [];
    try {
      for (const p of [port, port + 1]) {
        open.push(Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: p }));
      }
      return port;
    } catch {
      // In use.
    } finally {
      for (const socket of open) socket.close();
    }
  }
}

Deno.test({
  name: "workers: reply ports where they are asked for, and a clean end on SIGTERM and SIGINT",
  ignore,
  fn: async () => {
    const called = new BusySide();
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      const base = freePair();
      const proxy = await Running.start(
        "proxy",
        ...[...USUAL, ...TWO, "--auth", "none", "--reply_port", String(base)],
        ...["--next_hop", `sip:127.0.0.1:${called.port}`],
      );
      const phones = Array.from({ length: PORTS }, () => new Phone(proxy.port));
      for (const [i, phone] of phones.entries()) {
        assertEquals(statusOf(await phone.plain("INVITE", { callId: `${signal}-${i}` })), 486);
      }
      assertEquals([...new Set(called.invites.splice(0).map(viaPort))].sort(), [base, base + 1]);
      const { code, out, err } = await proxy.end(signal);
      assertEquals([code, out], [0, ""]);
      assert(!/worker_crashed|internal_error/.test(err), err);
      await Promise.all(phones.map(({ socket }) => socket.close()));
    }
    await called.close();
  },
});
