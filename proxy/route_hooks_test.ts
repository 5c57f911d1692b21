/** What a route has beside authentication: hooks, targets, headers, the registrar, the dispatcher, limits. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { A, assertEmpty, B, C, lines, routed, sentTo, targetAt } from "./conformance/testing.ts";
import type { LocationService, RelayFailure, RouteFunction, RouteServices } from "./route.ts";
import {
  ackOf,
  cancelOf,
  firstLine,
  header,
  headers,
  PHONE,
  type ProxyHarness,
  request,
  response,
  statusOf,
} from "./testing.ts";

/** A proxy with services. */
function served(route: RouteFunction, services: RouteServices, flags: readonly string[] = []): ProxyHarness {
  const harness = routed(route, flags);
  Object.assign(harness.proxy.core.services, services);
  return harness;
}

/** What the caller of a harness got since the last `take`, without 100. */
const back = (harness: ProxyHarness) =>
  lines(harness.take()).filter((line) => line.startsWith(`${PHONE.port} `));

Deno.test("onFailure: is told how the branches failed, and may try another target", () => {
  const failures: RelayFailure[] = [];
  const harness = routed((_request, proxy) => {
    proxy.record_route();
    proxy.append_hf("X-Mark: kept");
    proxy.onFailure((failure, proxy) => {
      failures.push(failure);
      if (failure.status === 486) proxy.relay([targetAt(C)]);
    });
    proxy.relay([targetAt(A), targetAt(B)]);
  });
  const invite = request("INVITE");
  harness.receive(invite);
  const first = harness.take();
  harness.receive(response(sentTo(first, A)[0], 486), A);
  assertEquals(failures, []);
  harness.receive(response(sentTo(first, B)[0], 500), B);
  assertEquals(failures, [{ status: 486, statuses: [486, 500], contacts: [] }]);
  const third = sentTo(harness.take(), C)[0];
  assertEquals(firstLine(third), "INVITE sip:bob@203.0.113.3:5063 SIP/2.0");
  assertEquals([headers(third, "Record-Route").length, header(third, "X-Mark")], [1, "kept"]);
  // The hook counts once: the next failure goes back.
  harness.receive(response(third, 404), C);
  const end = harness.take();
  assertEquals(lines(end).at(-1), "5070 SIP/2.0 486 Reason");
  harness.receive(ackOf(invite, end.at(-1)!.text));
  harness.runTo(100_000);
  assertEmpty(harness);
});

Deno.test("onFailure: a hook may set itself again, wait, answer by itself, or leave the response as it is", async () => {
  const places = [B, C];
  const again: RouteFunction = (_request, proxy) => {
    const next = async () => {
      await Promise.resolve();
    };
    const hook = async (_failure: RelayFailure, failed: typeof proxy) => {
      await next();
      const place = places.shift();
      if (place === undefined) return failed.reply(480, "Nobody There");
      failed.onFailure(hook);
      failed.relay([targetAt(place)]);
    };
    proxy.onFailure(hook);
    proxy.relay([targetAt(A)]);
  };
  const harness = routed(again);
  harness.receive(request("INVITE"));
  for (const place of [A, B, C]) {
    const [invite] = sentTo(harness.take(), place);
    harness.receive(response(invite, 486), place);
    await harness.settled();
  }
  assertEquals(back(harness), ["5070 SIP/2.0 480 Nobody There"]);
  harness.runTo(200_000);
  assertEquals(harness.logs, []);
});

Deno.test("onFailure: one that throws, or never comes back, lets the best response go on", () => {
  const throwing = routed((_request, proxy) => {
    proxy.onFailure(() => {
      throw new Error("nobody wants this");
    });
    proxy.relay([targetAt(A)]);
  });
  throwing.receive(request("INVITE"));
  throwing.receive(response(sentTo(throwing.take(), A)[0], 486), A);
  assertEquals(back(throwing), ["5070 SIP/2.0 486 Reason"]);
  assertStringIncludes(throwing.logs[0], "nobody wants this");

  const waiting = routed((_request, proxy) => {
    proxy.onFailure(() => new Promise<void>(() => {}));
    proxy.relay([targetAt(A)]);
  });
  waiting.receive(request("INVITE"));
  waiting.receive(response(sentTo(waiting.take(), A)[0], 486), A);
  assertEquals(back(waiting), []);
  waiting.runTo(64_100);
  assertEquals(back(waiting)[0], "5070 SIP/2.0 486 Reason");
});

Deno.test("onFailure: a CANCEL while it waits ends the call; what it does later counts no more", async () => {
  let go = () => {};
  const harness = routed((_request, proxy) => {
    proxy.onFailure(async (_failure, failed) => {
      await new Promise<void>((resolve) => go = resolve);
      failed.relay([targetAt(B)]);
    });
    proxy.relay([targetAt(A)]);
  });
  const invite = request("INVITE");
  harness.receive(invite);
  harness.receive(response(sentTo(harness.take(), A)[0], 486), A);
  harness.take();
  harness.receive(cancelOf(invite));
  assertEquals(back(harness), ["5070 SIP/2.0 200 OK", "5070 SIP/2.0 487 Request Terminated"]);
  go();
  await harness.settled();
  assertEquals(sentTo(harness.take(), B), []);
});

Deno.test("onFailure: is not asked after a CANCEL, and begins no branch after a 6xx (RFC 3261 §16.7 step 5)", () => {
  let asked = 0;
  const harness = routed((_request, proxy) => {
    proxy.onFailure((_failure, failed) => {
      asked++;
      failed.relay([targetAt(B)]);
    });
    proxy.relay([targetAt(A)]);
  });
  const invite = request("INVITE");
  harness.receive(invite);
  const [forwarded] = sentTo(harness.take(), A);
  harness.receive(response(forwarded, 180), A);
  harness.receive(cancelOf(invite));
  harness.receive(response(forwarded, 487), A);
  assertEquals(asked, 0);
  harness.take();
  harness.receive(request("INVITE"));
  harness.receive(response(sentTo(harness.take(), A)[0], 603), A);
  assertEquals(back(harness), ["5070 SIP/2.0 603 Reason"]);
});

Deno.test("onFailure: Contacts of a redirection are at hand", () => {
  const harness = routed((_request, proxy) => {
    proxy.onFailure((failure, failed) => {
      if (failure.status === 302) failed.relay(failure.contacts);
    });
    proxy.relay([targetAt(A)]);
  });
  harness.receive(request("INVITE"));
  const moved = ["Contact: <sip:bob@203.0.113.2:5062>;q=0.5, <tel:+49>"];
  harness.receive(response(sentTo(harness.take(), A)[0], 302, moved), A);
  assertEquals(lines(harness.take()).at(-1), "5062 INVITE sip:bob@203.0.113.2:5062 SIP/2.0");
});

Deno.test("onReply: hears of every response but 100, may keep provisional ones back, and cannot keep final ones", () => {
  const seen: number[] = [];
  const harness = routed((_request, proxy) => {
    proxy.onReply((reply) => {
      seen.push(reply.status);
      if (reply.status === 183) reply.drop();
      if (reply.status === 200) {
        reply.drop();
        throw new Error("a mistake");
      }
    });
    proxy.relay("sip:203.0.113.1:5061");
  });
  harness.receive(request("INVITE"));
  const [forwarded] = sentTo(harness.take(), A);
  for (const status of [100, 180, 183, 200]) harness.receive(response(forwarded, status), A);
  assertEquals(seen, [180, 183, 200]);
  assertEquals(back(harness), ["5070 SIP/2.0 180 Reason", "5070 SIP/2.0 200 Reason"]);
  assertEquals(harness.logs.length, 1);
});

Deno.test("headers: lines are added to the forwarded request and taken out of it, the proxy's own excepted", () => {
  const harness = routed((r, proxy) => {
    proxy.remove_hf("P-Asserted-Identity");
    proxy.remove_hf("x-private");
    proxy.append_hf(`P-Asserted-Identity: <sip:${r.fromUser}@example.com>`);
    proxy.relay("sip:203.0.113.1:5061");
  });
  const text = harness.ask(
    request("MESSAGE", {
      headers: ["P-Asserted-Identity: <sip:boss@example.com>", "X-Private: 1", "X-Public: 2"],
    }),
  );
  assertEquals(headers(text, "P-Asserted-Identity"), ["<sip:alice@example.com>"]);
  assertEquals([headers(text, "X-Private"), headers(text, "X-Public")], [[], ["2"]]);
  const mistakes: RouteFunction[] = [
    (_request, proxy) => proxy.append_hf("Via: SIP/2.0/UDP x"),
    (_request, proxy) => proxy.append_hf("X: a\r\nY: b"),
    (_request, proxy) => proxy.append_hf("no line"),
    (_request, proxy) => proxy.remove_hf("v"),
    (_request, proxy) => proxy.remove_hf("a b"),
    (_request, proxy) => proxy.seturi("nonsense"),
  ];
  for (const mistake of mistakes) {
    const wrong = routed(mistake);
    assertEquals(statusOf(wrong.ask(request("MESSAGE"))), 500);
    assertStringIncludes(wrong.logs[0], "TypeError");
  }
});

/** A registrar of one user. */
const location: LocationService = {
  lookup: ({ requestUri }) =>
    /^sip:bob@example\.com/i.test(requestUri) ? [targetAt(A, 0.9), targetAt(B, 0.1)] : [],
  save: (message, _source, _user, now, done) => {
    const answer = message.valueOf("Contact") === undefined
      ? { status: 400, reason: "Bad Request (no Contact)" }
      : { status: 200, headers: ["Contact: <sip:bob@203.0.113.1:5061>;expires=60"] };
    done(answer, now);
  },
};
const registrar: RouteFunction = (r, proxy) => {
  if (r.method === "REGISTER") return proxy.save();
  return proxy.lookup() ? proxy.relay() : proxy.reply(404);
};

Deno.test("lookup and save: relay goes to the bindings of the Request-URI's user, best first", () => {
  const harness = served(registrar, { location });
  assertEquals(statusOf(harness.ask(request("INVITE", { uri: "sip:nobody@example.com" }))), 404);
  assertEquals(statusOf(harness.ask(request("INVITE", { uri: "sip:example.com" }))), 404);
  harness.receive(request("INVITE", { uri: "sip:bob@EXAMPLE.com;user=phone" }));
  const sent = harness.take();
  assertEquals(lines(sent), ["5061 INVITE sip:bob@203.0.113.1:5061 SIP/2.0"]);
  harness.receive(response(sentTo(sent, A)[0], 404), A);
  assertEquals(lines(harness.take()).at(-1), "5062 INVITE sip:bob@203.0.113.2:5062 SIP/2.0");
  const saved = harness.ask(request("REGISTER", { uri: "sip:example.com" }));
  assertEquals([statusOf(saved), header(saved, "Contact")], [200, "<sip:bob@203.0.113.1:5061>;expires=60"]);
});

Deno.test("lookup, save and dsSelect without such a service are mistakes of the route", () => {
  for (
    const mistake of [
      (_r, proxy) => void proxy.lookup(),
      (_r, proxy) => proxy.save(),
      (_r, proxy) => void proxy.dsSelect(1),
    ] as RouteFunction[]
  ) {
    const harness = routed(mistake);
    assertEquals(statusOf(harness.ask(request("MESSAGE"))), 500);
    assertStringIncludes(harness.logs[0], "there is no");
  }
  const other = served((_r, proxy) => void proxy.lookup("aliases"), { location });
  assertEquals(statusOf(other.ask(request("MESSAGE"))), 500);
});

Deno.test("dsSelect: relay and forward go to what the dispatcher chooses; an empty set is told", () => {
  const asked: unknown[] = [];
  const dispatcher = {
    select: (set: number, algorithm: string) => {
      asked.push([set, algorithm]);
      return set === 1 ? ["sip:203.0.113.1:5061"] : [];
    },
  };
  const harness = served((r, proxy) => {
    if (!proxy.dsSelect(r.method === "INVITE" ? 1 : 2, "call_id")) return proxy.reply(503);
    proxy.relay();
  }, { dispatcher });
  harness.receive(request("INVITE"));
  assertEquals(lines(harness.take()), ["5061 INVITE sip:bob@example.com SIP/2.0"]);
  assertEquals(statusOf(harness.ask(request("MESSAGE"))), 503);
  assertEquals(asked, [[1, "call_id"], [2, "call_id"]]);
});

Deno.test("pike_check_req: true without limits, else what the limiter says", () => {
  const route: RouteFunction = (_request, proxy) =>
    proxy.pike_check_req() ? proxy.reply(200) : proxy.reply(503);
  assertEquals(statusOf(routed(route).ask(request("OPTIONS"))), 200);
  let left = 1;
  const harness = served(route, { flood: { check: () => left-- > 0 } });
  assertEquals([1, 2].map(() => statusOf(harness.ask(request("OPTIONS")))), [200, 503]);
});

Deno.test("seturi: the request goes where its new Request-URI leads", () => {
  const harness = routed((r, proxy) => {
    proxy.seturi("sip:carol@203.0.113.1:5061");
    assert(!r.isForUs);
    proxy.relay();
  });
  harness.receive(request("INVITE"));
  assertEquals(lines(harness.take()), ["5061 INVITE sip:carol@203.0.113.1:5061 SIP/2.0"]);
});

Deno.test("seturi: in a failure hook the request goes on with the new Request-URI", () => {
  const harness = routed((_request, proxy) => {
    proxy.onFailure((_failure, failed) => {
      failed.seturi("sip:carol@203.0.113.2:5062");
      failed.relay();
    });
    proxy.relay("sip:203.0.113.1:5061");
  });
  harness.receive(request("INVITE"));
  harness.receive(response(sentTo(harness.take(), A)[0], 486), A);
  assertEquals(lines(harness.take()).at(-1), "5062 INVITE sip:carol@203.0.113.2:5062 SIP/2.0");
});

Deno.test("RFC 4320 4.1: a route that answers another request than INVITE provisionally, or with 408, sends nothing", () => {
  const harness = routed((_request, proxy) => {
    proxy.reply(183);
    proxy.reply(408);
  });
  harness.receive(request("MESSAGE"));
  assertEquals(harness.take(), []);
  assertEmpty(harness);
});

Deno.test("draining: what begins something is 503, what has begun goes on", () => {
  const harness = routed((_request, proxy) => proxy.relay("sip:203.0.113.1:5061"));
  const invite = request("INVITE");
  harness.receive(invite);
  const [forwarded] = sentTo(harness.take(), A);
  assertEquals(harness.proxy.core.contexts.open, 1);
  harness.proxy.core.draining = true;
  const refused = harness.ask(request("INVITE"));
  assertEquals([statusOf(refused), headers(refused, "Retry-After").length], [503, 1]);
  assertEquals(statusOf(harness.ask(request("BYE", { toTag: "b" }))), 0);
  harness.receive(response(forwarded, 180), A);
  harness.receive(cancelOf(invite));
  harness.receive(response(forwarded, 487), A);
  assertEquals(back(harness), ["5070 SIP/2.0 180 Reason", "5070 SIP/2.0 200 OK", "5070 SIP/2.0 487 Reason"]);
  assertEquals(harness.proxy.core.contexts.open, 1); // The BYE.
});
