/** examples/route_registrar.ts: users of a proxy that stands alone register, and call each other. */
import { assert, assertEquals } from "@std/assert";
import route from "../examples/route_registrar.ts";
import {
  forwardedCall,
  header,
  headers,
  PcCaller,
  ProxyHarness,
  request,
  response,
  statusOf,
} from "../proxy/testing.ts";

const ALICE = { host: "192.0.2.10", port: 5070 };
const BOB = { host: "192.0.2.11", port: 5071 };

function harness(): ProxyHarness {
  return new ProxyHarness(["--registrar", "1"], { route, without: ["--next_hop"] });
}

/** Registers with the challenge answered. */
function register(proxy: ProxyHarness, name: string, password: string, at: typeof ALICE): string {
  const caller = new PcCaller(name, password, 9, "Authorization");
  const parts = {
    uri: "sip:example.com",
    to: `<sip:${name}@example.com>`,
    contacts: [`<sip:${name}@${at.host}:${at.port}>`],
    callId: `reg-${name}`,
  };
  const challenged = proxy.ask(caller.request("REGISTER", parts), at);
  assertEquals(statusOf(challenged), 401);
  return proxy.ask(caller.again(challenged, "REGISTER", parts), at);
}

Deno.test("example route with registrar: two users register, and one calls the other", () => {
  const proxy = harness();
  assertEquals(statusOf(register(proxy, "alice", "secret", ALICE)), 200);
  assertEquals(statusOf(register(proxy, "bob", "geheim", BOB)), 200);
  const { forwarded } = forwardedCall(proxy, new PcCaller("alice", "secret", 12));
  assert(forwarded.startsWith("INVITE sip:bob@192.0.2.11:5071 SIP/2.0"), forwarded);
  assertEquals(headers(forwarded, "Proxy-Authorization"), []);
  const route = headers(forwarded, "Record-Route");
  proxy.receive(response(forwarded, 200, ["Contact: <sip:bob@192.0.2.11:5071>"]), BOB);
  assertEquals(proxy.take().map(({ text }) => statusOf(text)), [200]);
  const bye = request("BYE", {
    uri: "sip:bob@192.0.2.11:5071",
    toTag: "b1",
    cseq: 9,
    headers: [`route: ${route[0]}`],
  });
  const [{ to }] = (proxy.receive(bye, ALICE), proxy.take());
  assertEquals(to, BOB);
});

Deno.test("example route with registrar: nobody calls who is not there, nor registers for another", () => {
  const proxy = harness();
  const caller = new PcCaller("alice", "secret", 12);
  const invite = caller.request("MESSAGE");
  const answer = proxy.ask(caller.again(proxy.ask(invite), "MESSAGE"));
  assertEquals(statusOf(answer), 480);
  assertEquals(header(answer, "Call-ID"), header(invite, "Call-ID"));
  assertEquals(
    statusOf(proxy.ask(request("REGISTER", { from: "<sip:alice@example.org>", uri: "sip:example.com" }))),
    403,
  );
});
