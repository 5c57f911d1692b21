/** Routing functions of the operator (`--route`): what they may do, and what happens when they do it badly. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { RouteActions, RouteFunction, RouteRequest } from "./route.ts";
import {
  CALLED,
  cancelOf,
  firstLine,
  header,
  headers,
  PcCaller,
  PHONE,
  ProxyHarness,
  request,
  response,
  statusOf,
} from "./testing.ts";

const routed = (route: RouteFunction, flags: readonly string[] = []) => new ProxyHarness(flags, { route });

/** A promise that the test fulfils. */
function gate(): { readonly opened: Promise<void>; open(): void } {
  let open = () => {};
  const opened = new Promise<void>((resolve) => open = resolve);
  return { opened, open };
}

Deno.test("route: what it is told about a request", () => {
  const seen: unknown[] = [];
  const harness = routed((r, proxy) => {
    seen.push([r.method, r.fromUser, r.fromHost, r.realm, r.hasToTag, r.isForUs, r.source]);
    proxy.reply(200);
  });
  harness.ask(request("MESSAGE", { from: '"A" <sip:%61lice@EXAMPLE.com>', toTag: "x" }));
  harness.ask(request("OPTIONS", { from: "<sip:x@elsewhere.org>", uri: "sip:bob@203.0.113.9" }));
  assertEquals(seen, [
    ["MESSAGE", "alice", "example.com", "example.com", true, true, PHONE],
    ["OPTIONS", "x", "elsewhere.org", undefined, false, false, PHONE],
  ]);
});

Deno.test("route: one that throws, at once or later, is 500 and one line in the log", async () => {
  for (
    const route of [
      () => {
        throw new Error("nobody wants this");
      },
      () => Promise.reject(new Error("nobody wants this")),
      async () => {
        await Promise.resolve();
        throw "a text";
      },
    ]
  ) {
    const harness = routed(route);
    harness.receive(request("INVITE"));
    await harness.settled();
    assertEquals(harness.take().map(({ text }) => firstLine(text)), ["SIP/2.0 500 Server Internal Error"]);
    assertEquals(harness.logs.length, 1);
    assertStringIncludes(harness.logs[0], "route_failed");
  }
});

Deno.test("route: one that decides nothing is 500; for an ACK nothing is sent", async () => {
  for (const route of [() => {}, async () => {}, async () => await Promise.resolve()]) {
    const harness = routed(route);
    harness.receive(request("OPTIONS"));
    harness.receive(request("ACK", { toTag: "b" }));
    await harness.settled();
    assertEquals(harness.take().map(({ text }) => statusOf(text)), [500]);
  }
});

Deno.test("route: only the first decision counts", () => {
  const decisions: [(proxy: RouteActions) => void, string][] = [
    [(proxy) => proxy.reply(486), "SIP/2.0 486 Busy Here"],
    [(proxy) => proxy.relay("sip:203.0.113.5"), "OPTIONS sip:bob@example.com SIP/2.0"],
    [(proxy) => proxy.proxy_challenge_pc("example.com"), "SIP/2.0 407 Proxy Authentication Required"],
    [(proxy) => proxy.proxy_challenge("example.com"), "SIP/2.0 407 Proxy Authentication Required"],
  ];
  for (const [first, line] of decisions) {
    const harness = routed((_request, proxy) => {
      first(proxy);
      for (const [second] of decisions) second(proxy);
      proxy.drop();
    });
    harness.receive(request("OPTIONS"));
    assertEquals(harness.take().map(({ text }) => firstLine(text)), [line]);
  }
});

Deno.test("route: a challenge that waits for its credential is a decision: the request is not relayed after it", () => {
  const harness = routed((_request, proxy) => {
    if (proxy.proxy_authorize_pc("example.com") !== "ok") proxy.proxy_challenge_pc("example.com");
    proxy.relay("sip:203.0.113.5"); // A forgotten return.
  });
  harness.dbclient.mode = "hold";
  harness.receive(request("INVITE"));
  assertEquals(harness.takeLines(), []);
  harness.release();
  assertEquals(harness.takeLines(), ["5070 SIP/2.0 407 Proxy Authentication Required"]);
});

Deno.test("route: one that throws after its challenge leaves the challenge standing", () => {
  const harness = routed((_request, proxy) => {
    proxy.proxy_challenge_pc("example.com");
    throw new Error("too late");
  });
  harness.dbclient.mode = "hold";
  harness.receive(request("INVITE"));
  harness.release();
  assertEquals(harness.takeLines(), ["5070 SIP/2.0 407 Proxy Authentication Required"]);
});

Deno.test("route: drop gives no answer and leaves nothing behind", () => {
  const harness = routed((_request, proxy) => proxy.drop());
  harness.receive(request("INVITE"));
  harness.receive(request("OPTIONS"));
  harness.runTo(100);
  assertEquals([harness.take(), harness.proxy.core.layer.size], [[], 0]);
});

Deno.test("route: one that waits goes on with its own request, whatever came meanwhile", async () => {
  const gates = new Map<string, ReturnType<typeof gate>>();
  const seen: string[] = [];
  const harness = routed(async (r: RouteRequest, proxy: RouteActions) => {
    const id = r.message.callId;
    const own = gate();
    gates.set(id, own);
    await own.opened;
    seen.push(`${id} ${r.message.callId} ${r.isForUs}`);
    proxy.record_route();
    proxy.relay("sip:203.0.113.5");
  }, ["--auth", "none"]);
  harness.receive(request("INVITE", { callId: "first", headers: ["X-Mark: 1"] }));
  harness.receive(request("INVITE", { callId: "second", headers: ["X-Mark: 2"], uri: "sip:x@203.0.113.9" }));
  harness.receive(request("OPTIONS", { callId: "third", headers: ["X-Mark: 3"] }));
  assertEquals(harness.take(), []);
  for (const [id, mark] of [["second", "2"], ["third", "3"], ["first", "1"]]) {
    gates.get(id)!.open();
    await harness.settled();
    const { text, to } = harness.take().at(-1)!;
    assertEquals([to.host, header(text, "Call-ID"), header(text, "X-Mark")], ["203.0.113.5", id, mark]);
  }
  assertEquals(seen, ["second second false", "third third true", "first first true"]);
});

Deno.test("route: while it waits an INVITE is answered with 100 after 200 ms, and timers begin when it goes on", async () => {
  const own = gate();
  const harness = routed(async (_request, proxy) => {
    await own.opened;
    proxy.relay("sip:192.0.2.20:5080");
  });
  const invite = request("INVITE");
  harness.receive(invite);
  harness.receive(request("OPTIONS"));
  harness.runTo(190);
  assertEquals(harness.take(), []);
  harness.runTo(220);
  assertEquals(harness.takeLines(), ["5070 SIP/2.0 100 Trying"]);
  harness.runTo(60_000); // Long past every timer that began with the request.
  own.open();
  await harness.settled();
  assertEquals(harness.takeLines().filter((line) => line.startsWith("5080")).length, 2);
  harness.runTo(60_400);
  assertEquals(harness.takeLines(), []);
  harness.runTo(60_600);
  assertEquals(harness.takeLines().length, 2); // Timers A and E, 500 ms later.
});

Deno.test("route: a CANCEL while it waits ends the INVITE; what it decides later counts no more", async () => {
  const own = gate();
  const harness = routed(async (_request, proxy) => {
    await own.opened;
    proxy.relay("sip:203.0.113.5");
  });
  const invite = request("INVITE");
  harness.receive(invite);
  harness.receive(cancelOf(invite));
  assertEquals(harness.takeLines(), ["5070 SIP/2.0 200 OK", "5070 SIP/2.0 487 Request Terminated"]);
  own.open();
  await harness.settled();
  assertEquals([harness.take(), harness.logs], [[], []]);
});

Deno.test("route: a realm that is not served or another table is a mistake of the route", () => {
  const calls: ((proxy: RouteActions) => unknown)[] = [
    (proxy) => proxy.proxy_authorize_pc("elsewhere.org"),
    (proxy) => proxy.proxy_authorize_pc("example.com", "users"),
    (proxy) => proxy.proxy_challenge_pc("elsewhere.org"),
    (proxy) => proxy.www_challenge("elsewhere.org"),
    (proxy) => proxy.challenge_both("elsewhere.org"),
  ];
  for (const call of calls) {
    const harness = routed((_request, proxy) => void call(proxy));
    assertEquals(statusOf(harness.ask(request("OPTIONS"))), 500);
    assert(/not served|subscriber/.test(harness.logs[0]), harness.logs[0]);
  }
});

Deno.test("route: a challenge after ok, or a header with a line end, is 500 and not a hole", () => {
  const harness = routed((_request, proxy) => {
    if (proxy.proxy_authorize_pc("example.com") === "ok") proxy.proxy_challenge_pc("example.com");
    else proxy.proxy_challenge_pc("example.com");
  });
  const caller = new PcCaller();
  const challenged = harness.ask(caller.request("INVITE"));
  assertEquals(statusOf(harness.ask(caller.again(challenged, "INVITE"))), 500);
  const split = routed((_request, proxy) => proxy.reply(200, undefined, ["X: a\r\nInjected: yes"]));
  const answer = split.ask(request("OPTIONS"));
  assertEquals([statusOf(answer), headers(answer, "Injected")], [500, []]);
});

Deno.test("route: a challenge without a verdict before is bare; www_ functions use 401", () => {
  const harness = routed((r, proxy) =>
    r.method === "REGISTER"
      ? proxy.www_challenge_pc("example.com")
      : proxy.proxy_challenge_pc("example.com", 0)
  );
  assertEquals(statusOf(harness.ask(request("REGISTER"))), 401);
  assertEquals(statusOf(harness.ask(request("MESSAGE"))), 407);
});

Deno.test("route: an ACK is never challenged and never answered", () => {
  const verdicts: string[] = [];
  const harness = routed((_request, proxy) => {
    const verdict = proxy.proxy_authorize_pc("example.com");
    verdicts.push(verdict);
    if (verdict !== "ok") return proxy.proxy_challenge_pc("example.com");
    proxy.reply(403);
  });
  harness.receive(request("ACK", { toTag: "b" }));
  assertEquals([verdicts, harness.take()], [["ok"], []]);
  const challenging = routed((_request, proxy) => proxy.proxy_challenge_pc("example.com"));
  challenging.receive(request("ACK", { toTag: "b" }));
  challenging.receive(request("ACK", { toTag: "b" }));
  assertEquals([challenging.take(), challenging.dbclient.asked], [[], []]);
});

Deno.test("route: relay to a place that cannot be reached is answered", () => {
  for (
    const [destination, status] of [["sips:203.0.113.5", 416], ["nonsense", 500], [
      "sip:203.0.113.5;transport=sctp",
      500,
    ]] as const
  ) {
    const harness = routed((_request, proxy) => proxy.relay(destination));
    assertEquals(statusOf(harness.ask(request("INVITE"))), status);
  }
});

Deno.test("route: provisional replies first, then relay", () => {
  const harness = routed((_request, proxy) => {
    proxy.reply(181);
    proxy.relay("sip:192.0.2.20:5080");
  });
  harness.receive(request("INVITE"));
  const sent = harness.take();
  assertEquals(sent.map(({ text }) => firstLine(text)).filter((line) => !line.includes(" 100 ")), [
    "SIP/2.0 181 Call Is Being Forwarded",
    "INVITE sip:bob@example.com SIP/2.0",
  ]);
  harness.receive(response(sent.at(-1)!.text, 200), CALLED);
  assertEquals(harness.takeLines(), ["5070 SIP/2.0 200 Reason"]);
});

Deno.test("route: one that never decides is given up with 500 after a while", () => {
  for (const method of ["INVITE", "OPTIONS"]) {
    const harness = routed(() => new Promise<void>(() => {}));
    harness.receive(request(method));
    harness.runTo(70_000);
    assertEquals(
      [...new Set(harness.takeLines())], // Nobody acknowledges the 500, so it comes again.
      ["5070 SIP/2.0 100 Trying", "5070 SIP/2.0 500 Server Internal Error"],
    );
    assertEquals(harness.logs.filter((line) => line.startsWith("route_failed")).length, 1);
  }
});
