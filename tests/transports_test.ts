/** The proxy as a program, on UDP, TCP and TLS, IPv4 and IPv6, with name servers and dispatcher. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { type Address, formatAddress, formatHost, type Transport } from "../mod.ts";
import { selfSigned } from "../core/io/test_certificate.ts";
import { TestDns } from "../core/io/test_dns.ts";
import { answer, Endpoint, lines } from "./endpoint_io.ts";
import { inTempDir, run, Running, until } from "../proxy/test_process.ts";

let calls = 0;

interface Call {
  readonly method?: string;
  readonly uri?: string;
  readonly body?: string;
  readonly routes?: readonly string[];
  readonly toTag?: string;
  readonly callId?: string;
}

/** A request of an endpoint, with its Via of the transport. */
function request(from: Endpoint, transport: Transport, call: Call = {}): string {
  const { method = "INVITE", uri = "sip:bob@example.com", body = "", routes = [], toTag, callId } = call;
  const local = transport === "tls" ? from.tls ?? from.udp.local : from.udp.local;
  return [
    `${method} ${uri} SIP/2.0`,
    `Via: SIP/2.0/${transport.toUpperCase()} ${formatAddress(local)};branch=z9hG4bK${++calls};rport`,
    "Max-Forwards: 70",
    ...routes.map((route) => `Route: ${route}`),
    "From: <sip:alice@example.com>;tag=caller",
    `To: <sip:bob@example.com>${toTag === undefined ? "" : `;tag=${toTag}`}`,
    `Call-ID: ${callId ?? calls}`,
    `CSeq: ${calls} ${method}`,
    `Contact: <sip:alice@${formatAddress(local)};transport=${transport}>`,
    `Content-Length: ${body.length}`,
    "",
    body,
  ].join("\r\n");
}

/** Where a running proxy listens, by transport. */
function places(proxy: Running): Record<string, Address> {
  const found: Record<string, Address> = {};
  const ready = /ready on (.*?), realm/.exec(proxy.err)![1];
  for (
    const [, transport, v6, v4, port] of ready.matchAll(/(udp|tcp|tls):(?:\[([^\]]*)\]|([^:, ]*)):(\d+)/g)
  ) {
    const key = v6 === undefined ? transport : `${transport}6`;
    found[key] = { host: v6 ?? v4, port: Number(port), transport: transport as Transport };
  }
  return found;
}

async function withProxy(
  flags: readonly string[],
  use: (places: Record<string, Address>, proxy: Running) => Promise<void>,
): Promise<void> {
  const proxy = await Running.start("proxy", "--auth", "none", ...flags);
  try {
    await use(places(proxy), proxy);
  } finally {
    const { code, err } = await proxy.end();
    assertEquals(code, 0, err);
  }
}

async function withFiles(
  use: (
    files: { dir: string; cert: string; key: string; identity: { cert: string; key: string } },
  ) => Promise<void>,
): Promise<void> {
  await inTempDir(async (dir) => {
    const identity = await selfSigned("proxy.example.com");
    const [cert, key] = [`${dir}/cert.pem`, `${dir}/key.pem`];
    await Deno.writeTextFile(cert, identity.cert);
    await Deno.writeTextFile(key, identity.key, { mode: 0o600 });
    await use({ dir, cert, key, identity });
  });
}

const transportOf = (via: string) => /SIP\/2\.0\/(\w+) /.exec(via)![1];

/** A call with INVITE, 200, ACK and BYE along Record-Route. */
async function wholeCall(
  caller: Endpoint,
  called: Endpoint,
  place: Address,
  transport: Transport,
  contact: string,
): Promise<{ readonly invite: string; readonly routes: readonly string[] }> {
  caller.send(request(caller, transport), place);
  const invite = await called.next("INVITE");
  called.send(answer(invite.text, "200 OK", [`Contact: ${contact}`]), invite.from);
  const ok = await caller.next("200");
  assertMatch(ok.text, /^SIP\/2\.0 200/);
  assertEquals(lines(ok.text, "Via").length, 1);
  const routes = lines(ok.text, "Record-Route");
  const inDialog = {
    uri: contact.slice(1, -1),
    routes: routes.toReversed(),
    toTag: "called",
    callId: lines(ok.text, "Call-ID")[0],
  };
  caller.send(request(caller, transport, { ...inDialog, method: "ACK" }), place);
  assertMatch((await called.next("ACK")).text, /^ACK /);
  caller.send(request(caller, transport, { ...inDialog, method: "BYE" }), place);
  const bye = await called.next("BYE");
  assertEquals(lines(bye.text, "Route"), []);
  called.send(answer(bye.text, "200 OK"), bye.from);
  assertMatch((await caller.next("200 to BYE")).text, /^SIP\/2\.0 200/);
  return { invite: invite.text, routes };
}

Deno.test("transports: whole calls from each to each, the proxy twice in Record-Route where they differ", async () => {
  await withFiles(async ({ cert, key, identity }) => {
    const name = await selfSigned("called.example.com");
    const called = await Endpoint.open({ tls: name });
    const caller = await Endpoint.open({ tls: name, trusts: [identity.cert] });
    await Deno.writeTextFile(`${cert}.ca`, name.cert);
    const listen = ["udp", "tcp", "tls"].flatMap((transport) => ["--listen", `${transport}:127.0.0.1:0`]);
    const tls = ["--tls_certificate", cert, "--tls_private_key", key, "--tls_ca_list", `${cert}.ca`];
    for (const out of ["udp", "tcp", "tls"] as const) {
      const { port } = out === "tls" ? called.tls! : called.udp.local;
      const next = `sip:127.0.0.1:${port};transport=${out}`;
      await withProxy([...listen, ...tls, "--next_hop", next], async (at) => {
        for (const transport of ["udp", "tcp", "tls"] as const) {
          const { invite, routes } = await wholeCall(caller, called, at[transport], transport, `<${next}>`);
          const vias = lines(invite, "Via");
          assertEquals(vias.map(transportOf), [out, transport].map((one) => one.toUpperCase()));
          assertEquals(routes.length, out === transport ? 1 : 2);
        }
      });
    }
    await Promise.all([called.close(), caller.close()]);
  });
});

Deno.test("transports: IPv6 over UDP and TCP, and between the families", async () => {
  const called = await Endpoint.open({ host: "::1" });
  const called4 = await Endpoint.open();
  const caller = await Endpoint.open({ host: "::1" });
  const caller4 = await Endpoint.open();
  const listen = ["udp:[::1]:0", "tcp:[::1]:0", "udp:127.0.0.1:0", "tcp:127.0.0.1:0"].flatMap((
    one,
  ) => ["--listen", one]);
  const next = `sip:[::1]:${called.udp.local.port}`;
  await withProxy([...listen, "--next_hop", next], async (at) => {
    const { invite, routes } = await wholeCall(caller, called, at.udp6, "udp", `<${next}>`);
    assertMatch(lines(invite, "Via")[0], /^SIP\/2\.0\/UDP \[::1\]:/);
    assertEquals(routes.length, 1);
    await wholeCall(caller, called, at.tcp6, "tcp", `<${next};transport=tcp>`);
    const across = await wholeCall(caller4, called, at.udp, "udp", `<${next}>`);
    assertEquals(across.routes.map((route) => route.includes("[::1]")), [true, false]);
  });
  await withProxy(
    [...listen, "--next_hop", `sip:127.0.0.1:${called4.udp.local.port};transport=tcp`],
    async (at) => {
      await wholeCall(
        caller,
        called4,
        at.tcp6,
        "tcp",
        `<sip:127.0.0.1:${called4.udp.local.port};transport=tcp>`,
      );
    },
  );
  await Promise.all([called, called4, caller, caller4].map((endpoint) => endpoint.close()));
});

Deno.test("transports: a long request goes by TCP, and by UDP where TCP is refused (RFC 3261 §18.1.1)", async () => {
  const caller = await Endpoint.open();
  const body = "x".repeat(1300);
  for (const tcp of [true, false]) {
    const called = await Endpoint.open({ tcp });
    const flags = [
      "--listen",
      "udp:127.0.0.1:0",
      "--listen",
      "tcp:127.0.0.1:0",
      "--next_hop",
      `sip:127.0.0.1:${called.udp.local.port}`,
    ];
    await withProxy(flags, async (at) => {
      for (const method of ["INVITE", "MESSAGE"]) {
        caller.send(request(caller, "udp", { method, body }), at.udp);
        const { text, from } = await called.next(method);
        assertEquals(transportOf(lines(text, "Via")[0]), tcp ? "TCP" : "UDP");
        called.send(answer(text, "200 OK", ["Contact: <sip:bob@127.0.0.1>"]), from);
        assertMatch((await caller.next("200")).text, /^SIP\/2\.0 200/);
      }
      caller.send(request(caller, "udp", { method: "MESSAGE" }), at.udp);
      const short = await called.next("MESSAGE");
      assertEquals(transportOf(lines(short.text, "Via")[0]), "UDP");
      called.send(answer(short.text, "200 OK"), short.from);
      await caller.next("200");
    });
    await called.close();
  }
  await caller.close();
});

Deno.test("transports: the response to a connection that is gone goes to its sent-by (RFC 3261 §18.2.2)", async () => {
  const called = await Endpoint.open();
  const caller = await Endpoint.open();
  const flags = [
    "--listen",
    "tcp:127.0.0.1:0",
    "--next_hop",
    `sip:127.0.0.1:${called.udp.local.port};transport=tcp`,
  ];
  await withProxy(flags, async ({ tcp: place }) => {
    const stream = await Deno.connect({ hostname: place.host, port: place.port });
    await stream.write(new TextEncoder().encode(request(caller, "tcp", { method: "MESSAGE" })));
    const { text, from } = await called.next("MESSAGE");
    stream.close();
    await new Promise((resolve) => setTimeout(resolve, 100));
    called.send(answer(text, "200 OK"), from);
    assertMatch((await caller.next("200 on a new connection")).text, /^SIP\/2\.0 200/);
  });
  await Promise.all([called.close(), caller.close()]);
});

Deno.test("transports: a stream that cannot be read on is answered with 400 and closed", async () => {
  await withProxy(
    ["--listen", "tcp:127.0.0.1:0", "--next_hop", "sip:127.0.0.1:9"],
    async ({ tcp: place }) => {
      const caller = await Endpoint.open();
      const stream = await Deno.connect({ hostname: place.host, port: place.port });
      const text = request(caller, "tcp", { method: "OPTIONS" }).replace(/Content-Length: 0\r\n/, "");
      await stream.write(new TextEncoder().encode(text));
      const answered = await new Response(stream.readable).text();
      assertMatch(answered, /^SIP\/2\.0 400 Bad Request \(Content-Length is missing\)/);
      await caller.close();
    },
  );
});

Deno.test("transports: next hops by SRV, the second where the first does not serve or is not there", async () => {
  const dns = new TestDns();
  const [first, second, caller] = await Promise.all([Endpoint.open(), Endpoint.open(), Endpoint.open()]);
  const srv = (transport: string, priority: number, port: number) =>
    dns.add(`_sip._${transport}.next.example.com`, "SRV", {
      priority,
      weight: 0,
      port,
      target: "host.example.com",
    });
  dns.add("host.example.com", "A", "127.0.0.1");
  srv("udp", 1, first.udp.local.port);
  srv("udp", 2, second.udp.local.port);
  const dead = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  srv("tcp", 1, (dead.addr as Deno.NetAddr).port);
  srv("tcp", 2, second.udp.local.port);
  dead.close();
  const listen = ["--listen", "udp:127.0.0.1:0", "--listen", "tcp:127.0.0.1:0"];
  const flags = [...listen, "--dns_servers", formatAddress(dns.address), "--ds_ping_interval", "1"];
  await withProxy([...flags, "--next_hop", "sip:next.example.com"], async (at, proxy) => {
    caller.send(request(caller, "udp"), at.udp);
    const invite = await first.next("INVITE");
    first.send(answer(invite.text, "503 Service Unavailable"), invite.from);
    assertMatch((await first.next("ACK")).text, /^ACK /);
    const again = await second.next("INVITE at the second");
    assertEquals(lines(again.text, "Call-ID"), lines(invite.text, "Call-ID"));
    assert(lines(again.text, "Via")[0] !== lines(invite.text, "Via")[0]);
    second.send(answer(again.text, "200 OK", ["Contact: <sip:bob@127.0.0.1>"]), again.from);
    assertMatch((await caller.next("200")).text, /^SIP\/2\.0 200/);
    // The first is known to be down now: it gets no call, but is asked, until it answers.
    caller.send(request(caller, "udp", { method: "MESSAGE" }), at.udp);
    const message = await second.next("MESSAGE at once");
    assertMatch(message.text, /^MESSAGE /);
    second.send(answer(message.text, "200 OK"), message.from);
    await caller.next("200");
    const ping = await first.next("OPTIONS");
    assertMatch(ping.text, /^OPTIONS /);
    first.send(answer(ping.text, "200 OK"), ping.from);
    await until(() => proxy.err.includes("next_hop_up"), "the first comes back");
    caller.send(request(caller, "udp", { method: "MESSAGE" }), at.udp);
    const back = await first.next("MESSAGE at the first again");
    first.send(answer(back.text, "200 OK"), back.from);
    await caller.next("200");
  });
  await withProxy([...flags, "--next_hop", "sip:next.example.com;transport=tcp"], async (at) => {
    caller.send(request(caller, "tcp"), at.tcp);
    const { text, from } = await second.next("INVITE after a refused connection");
    second.send(answer(text, "486 Busy Here"), from);
    assertMatch((await caller.next("486")).text, /^SIP\/2\.0 486/);
  });
  await Promise.all([first.close(), second.close(), caller.close(), dns.close()]);
});

Deno.test("transports: a dispatcher set shares the load, leaves out what fails, and is read again on SIGHUP", async () => {
  const [first, second, third, caller] = await Promise.all(Array.from({ length: 4 }, () => Endpoint.open()));
  const uri = (endpoint: Endpoint) => `sip:${formatHost("127.0.0.1")}:${endpoint.udp.local.port}`;
  await inTempDir(async (dir) => {
    const list = `${dir}/dispatcher.list`;
    await Deno.writeTextFile(list, `1 ${uri(first)};transport=tcp\n1 ${uri(second)}\n`);
    const flags = [
      "--listen",
      "udp:127.0.0.1:0",
      "--listen",
      "tcp:127.0.0.1:0",
      "--dispatcher_list",
      list,
      "--ds_set",
      "1",
    ];
    await withProxy(
      [...flags, "--ds_probing_mode", "failed", "--ds_ping_interval", "1"],
      async (at, proxy) => {
        const ask = async (endpoint: Endpoint, status = "200 OK") => {
          caller.send(request(caller, "udp", { method: "MESSAGE" }), at.udp);
          const { text, from } = await endpoint.next("MESSAGE");
          assertMatch(text, /^MESSAGE /);
          endpoint.send(answer(text, status), from);
        };
        for (let i = 0; i < 4; i++) {
          await ask([first, second][i % 2]);
          assertMatch((await caller.next("200")).text, /^SIP\/2\.0 200/);
        }
        // The first has no more room: the second is tried, and the first only asked whether it is back.
        await ask(first, "503 Service Unavailable");
        const moved = await second.next("MESSAGE after a 503");
        second.send(answer(moved.text, "200 OK"), moved.from);
        assertMatch((await caller.next("200")).text, /^SIP\/2\.0 200/);
        await until(() => proxy.err.includes("is probing now"), "the first is left out");
        await ask(second);
        await caller.next("200");
        const ping = await first.next("OPTIONS");
        assertMatch(ping.text, /^OPTIONS /);
        first.send(answer(ping.text, "200 OK"), ping.from);
        await until(() => proxy.err.includes("is active now"), "the first comes back");
        await Deno.writeTextFile(list, `1 ${uri(third)}\n`);
        proxy.child.kill("SIGHUP");
        await until(() => proxy.err.includes("proxy: reloaded"), "the list is read");
        await ask(third);
        await caller.next("200");
        await Deno.writeTextFile(list, "1 nonsense\n");
        proxy.child.kill("SIGHUP");
        await until(() => proxy.err.includes("not reloaded"), "what is wrong is said");
        assertMatch(
          proxy.err,
          /not reloaded, serving on as before: .*dispatcher\.list:1:3: "nonsense" is not allowed/,
        );
        await ask(third);
        await caller.next("200");
      },
    );
  });
  await Promise.all([first, second, third, caller].map((endpoint) => endpoint.close()));
});

Deno.test("transports: workers share the TCP port; each call stays on its connection", async () => {
  const called = await Endpoint.open();
  const next = `sip:127.0.0.1:${called.udp.local.port};transport=tcp`;
  const flags = [
    "--workers",
    "2",
    "--listen",
    "udp:127.0.0.1:0",
    "--listen",
    "tcp:127.0.0.1:0",
    "--next_hop",
    next,
  ];
  const proxy = await Running.start("proxy", "--auth", "none", ...flags);
  const place = places(proxy);
  const callers = await Promise.all(Array.from({ length: 8 }, () => Endpoint.open()));
  for (const caller of callers) await wholeCall(caller, called, place.tcp, "tcp", `<${next}>`);
  await wholeCall(callers[0], called, place.udp, "udp", `<${next}>`);
  const { code, err } = await proxy.end();
  assertEquals(code, 0, err);
  await Promise.all([called, ...callers].map((endpoint) => endpoint.close()));
});

Deno.test("transports: what cannot be listened on or read is one line", async () => {
  await withFiles(async ({ dir, cert, key }) => {
    const tls = ["--listen", "tls:127.0.0.1:0", "--auth", "none"];
    const said = async (...flags: string[]) => {
      const { code, err } = await run("proxy", ...tls, ...flags);
      return [code, err.trim().replace(/^\S+ CRIT failed /, "").replaceAll(dir, "DIR")];
    };
    assertEquals(await said(), [2, "proxy: --listen tls:… needs --tls_certificate FILE"]);
    assertEquals(await said("--tls_certificate", `${dir}/no`, "--tls_private_key", key), [
      1,
      "proxy: --tls_certificate DIR/no: no such file",
    ]);
    assertEquals(await said("--tls_certificate", key, "--tls_private_key", key), [
      1,
      "proxy: --tls_certificate DIR/key.pem: there is no PEM certificate in it",
    ]);
    const other = await selfSigned("other.example.com");
    await Deno.writeTextFile(`${dir}/other.pem`, other.key, { mode: 0o600 });
    const [code, err] = await said("--tls_certificate", cert, "--tls_private_key", `${dir}/other.pem`);
    assertEquals(code, 1);
    assertMatch(String(err), /^proxy: tls:127\.0\.0\.1:0: [^\n]*$/);
    assert(!String(err).includes("PRIVATE"), String(err));
  });
});
