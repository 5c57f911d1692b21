/** Signals to the program: SIGHUP takes over another routing, SIGTERM lets what has begun come to its end. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { parseFlags } from "../mod.ts";
import { PROXY_FLAGS, type ProxyValues } from "./options.ts";
import { needRestart, reloaded } from "./reload.ts";
import { inTempDir, run, Running, TestSocket, until } from "./test_process.ts";
import { ackOf, firstLine, header, request, response, statusOf } from "./testing.ts";

const LISTEN = ["--listen", "udp:127.0.0.1:0"];
let branches = 0;

const via = (socket: TestSocket) => `SIP/2.0/UDP 127.0.0.1:${socket.port};branch=z9hG4bKr${++branches}`;
const values = (...args: string[]): ProxyValues => parseFlags(PROXY_FLAGS, args).values;

/** A route that answers all but INVITE with a status, and relays that. */
const answering = (status: number, port: number) =>
  `export default (request, proxy) => request.method === "INVITE"
    ? proxy.relay("sip:127.0.0.1:${port}")
    : request.method === "ACK" ? proxy.drop() : proxy.reply(${status});\n`;

async function ask(phone: TestSocket, port: number): Promise<number> {
  await phone.send(request("OPTIONS", { via: via(phone) }), port);
  return statusOf(await phone.next("answer"));
}

Deno.test("reload: routing changes, what else was changed is named", () => {
  const before = values("--realm", "a", "--max_users", "1000", "--auth", "pc");
  const after = values(
    "--realm",
    "b",
    "--max_users",
    "1000",
    "--auth",
    "none",
    "--next_hop",
    "sip:192.0.2.1",
  );
  assertEquals(needRestart(before, after), ["realm"]);
  const result = reloaded(before, after);
  assertEquals([result.realm, result.auth, result.next_hop], [["a"], "none", "sip:192.0.2.1"]);
});

for (const workers of [1, 2]) {
  Deno.test(`SIGHUP, ${workers} worker(s): the route is read again, calls go on, a faulty route changes nothing`, () =>
    inTempDir(async (dir) => {
      const called = new TestSocket();
      const phone = new TestSocket();
      await Deno.writeTextFile(`${dir}/route.ts`, answering(480, called.port));
      const proxy = await Running.start(
        "proxy",
        ...LISTEN,
        ...["--auth", "none", "--route", `${dir}/route.ts`, "--workers", String(workers)],
      );
      const said = (times: number) => proxy.err.split("reloaded proxy: ").length - 1 >= times;
      assertEquals(await ask(phone, proxy.port), 480);
      const invite = request("INVITE", { via: via(phone), callId: `before-${workers}` });
      await phone.send(invite, proxy.port);
      const forwarded = await called.next("INVITE");
      assertEquals(statusOf(await phone.next("100")), 100);

      await Deno.writeTextFile(`${dir}/route.ts`, answering(486, called.port));
      proxy.child.kill("SIGHUP");
      await until(() => said(1), "reload");
      let status = 480;
      for (let i = 0; i < 100 && status === 480; i++) status = await ask(phone, proxy.port);
      assertEquals(status, 486);

      await Deno.writeTextFile(`${dir}/route.ts`, "export default (\n");
      proxy.child.kill("SIGHUP");
      await until(() => said(2), "refusal");
      assertStringIncludes(proxy.err, "not reloaded, serving on as before: --route");
      assertEquals(await ask(phone, proxy.port), 486);

      // The call that began before.
      await called.send(response(forwarded, 486), portOfVia(forwarded));
      const busy = await phone.nextButTrying("486");
      assertEquals([statusOf(busy), header(busy, "Call-ID")], [486, `before-${workers}`]);
      await phone.send(ackOf(invite, busy), proxy.port);
      const { code } = await proxy.end();
      assertEquals(code, 0);
      await Promise.all([called.close(), phone.close()]);
    }));
}

/** Where the topmost Via wants the response. */
function portOfVia(text: string): number {
  return Number(/^Via: SIP\/2\.0\/UDP [^:;]+:(\d+)/m.exec(text)![1]);
}

Deno.test("SIGHUP: flags of the TOML file that need a new start are named, and those of routing take effect", () =>
  inTempDir(async (dir) => {
    const write = (text: string) => Deno.writeTextFile(`${dir}/proxy.toml`, text);
    const phone = new TestSocket();
    const called = new TestSocket();
    await write('listen = "udp:127.0.0.1:0"\nauth = "none"\n');
    const proxy = await Running.start("proxy", "--config", `${dir}/proxy.toml`);
    await write(
      `listen = "udp:127.0.0.1:0"\nauth = "none"\nmax_users = 500\nnext_hop = "sip:127.0.0.1:${called.port}"\n`,
    );
    proxy.child.kill("SIGHUP");
    await until(() => proxy.err.includes("reloaded"), "reload");
    assertStringIncludes(proxy.err, "reloaded; a new start is needed for max_users");
    await phone.send(request("MESSAGE", { via: via(phone) }), proxy.port);
    assertEquals(firstLine(await called.next("MESSAGE")), "MESSAGE sip:bob@example.com SIP/2.0");
    await write("nonsense\n");
    proxy.child.kill("SIGHUP");
    await until(() => proxy.err.includes("not reloaded"), "refusal");
    assertMatch(proxy.err, /not reloaded, serving on as before: .*proxy\.toml:1:/);
    await proxy.end("SIGINT");
    await Promise.all([called.close(), phone.close()]);
  }));

for (const workers of [1, 2]) {
  Deno.test(`SIGTERM, ${workers} worker(s): new requests are 503, a call that rings gets its answer, and then it ends`, () =>
    inTempDir(async (dir) => {
      const called = new TestSocket();
      const phone = new TestSocket();
      await Deno.writeTextFile(`${dir}/route.ts`, answering(200, called.port));
      const proxy = await Running.start(
        "proxy",
        ...LISTEN,
        ...["--auth", "none", "--route", `${dir}/route.ts`, "--workers", String(workers), "--drain", "60"],
      );
      const invite = request("INVITE", { via: via(phone) });
      await phone.send(invite, proxy.port);
      const forwarded = await called.next("INVITE");
      assertEquals(statusOf(await phone.next("100")), 100);
      const ended = proxy.end("SIGTERM");
      let status = 200;
      for (let i = 0; i < 500 && status === 200; i++) {
        await new Promise((resolve) => setTimeout(resolve, 10));
        // With several workers the one that this phone is served by has the call, and waits for it.
        status = await ask(phone, proxy.port);
      }
      assertEquals(status, 503);
      await called.send(response(forwarded, 200), portOfVia(forwarded));
      assertEquals(statusOf(await phone.nextButTrying("200")), 200);
      const { code, err } = await ended;
      assertEquals(code, 0, err);
      await Promise.all([called.close(), phone.close()]);
    }));
}

Deno.test("SIGTERM: what is not answered within --drain is given up; SIGINT does not wait", async () => {
  for (
    const [drain, signals] of [["1", ["SIGTERM"]], ["600", ["SIGINT"]], ["600", [
      "SIGTERM",
      "SIGINT",
    ]]] as const
  ) {
    const called = new TestSocket();
    const phone = new TestSocket();
    const next = ["--auth", "none", "--next_hop", `sip:127.0.0.1:${called.port}`, "--drain", drain];
    const proxy = await Running.start("proxy", ...LISTEN, ...next);
    await phone.send(request("INVITE", { via: via(phone) }), proxy.port);
    await called.next("INVITE");
    for (const signal of signals.slice(0, -1)) proxy.child.kill(signal);
    const { code } = await proxy.end(signals.at(-1));
    assertEquals(code, 0);
    await Promise.all([called.close(), phone.close()]);
  }
});

Deno.test("proxy program: --modparams takes the parameters of an opensips.cfg, and names those of DBclient", () =>
  inTempDir(async (dir) => {
    const file = `${dir}/opensips.cfg`;
    await Deno.writeTextFile(
      file,
      'modparam("auth_db", "calculate_ha1", 1)\nmodparam("auth_db", "realm", "example.com")\n',
    );
    const proxy = await Running.start("proxy", ...LISTEN, "--modparams", file, "--dbclient_port", "1");
    const { code, err } = await proxy.end();
    assertEquals(code, 0);
    assertStringIncludes(err, "realm example.com");
    assertStringIncludes(err, `${file}:1:1: calculate_ha1: how the database is read is DBclient's part`);
    await Deno.writeTextFile(file, '\nmodparam("auth_db", "max_user", 5)\n');
    const wrong = await run("proxy", ...LISTEN, "--modparams", file);
    assertEquals([wrong.code, wrong.out], [2, ""]);
    assertEquals(wrong.err, `proxy: ${file}:2:1: max_user is unknown; did you mean max_users?\n`);
    const none = await run("proxy", ...LISTEN, "--modparams", `${dir}/none.cfg`);
    assert(none.code === 1 && none.err.includes("no such file"), none.err);
  }));
