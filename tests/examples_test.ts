/** The routes in examples/ do what they say. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import edge from "../examples/route_edge.ts";
import inviteOnly from "../examples/route_invite_only.ts";
import perMethod from "../examples/route_per_method.ts";
import { lines } from "../proxy/conformance/testing.ts";
import {
  CALLED,
  challengesOf,
  firstLine,
  forwardedCall,
  header,
  headers,
  PcCaller,
  ProxyHarness,
  request,
  response,
  statusOf,
} from "../proxy/testing.ts";

const CALLED_URI = "sip:bob@192.0.2.20:5080";

Deno.test("examples/route_edge.ts: outside is authenticated, inside is not; nobody asserts an identity but the proxy", () => {
  const harness = new ProxyHarness([], { route: edge });
  assertEquals(statusOf(harness.ask(request("INVITE", { from: "<sip:x@elsewhere.org>" }))), 403);
  assertEquals(statusOf(harness.ask(request("MESSAGE"))), 407);
  assertEquals(statusOf(harness.ask(request("REGISTER", { uri: "sip:example.com" }))), 401);
  assertEquals(statusOf(harness.ask(request("OPTIONS", { uri: "sip:example.com" }))), 200);
  const headersOfCall = ["P-Asserted-Identity: <sip:boss@example.com>"];
  const { forwarded } = forwardedCall(harness, new PcCaller(), { headers: headersOfCall });
  assertEquals(headers(forwarded, "P-Asserted-Identity"), ["<sip:alice@example.com>"]);
  assertEquals([headers(forwarded, "Proxy-Authorization"), headers(forwarded, "Record-Route").length], [
    [],
    1,
  ]);
  // A call from the server behind, to where the phone has registered.
  harness.take();
  harness.receive(request("INVITE", { uri: "sip:alice@192.0.2.10:5070" }), CALLED);
  assertEquals(lines(harness.take()), ["5070 INVITE sip:alice@192.0.2.10:5070 SIP/2.0"]);
  // Inside the dialog nobody is asked.
  const route = [`Route: ${header(forwarded, "Record-Route")}`];
  assertEquals(statusOf(harness.ask(request("BYE", { uri: CALLED_URI, toTag: "b1", headers: route }))), 0);
  assertEquals(statusOf(harness.ask(request("BYE", { uri: "sip:x@203.0.113.9", toTag: "b1" }))), 404);
});

Deno.test("examples/route_invite_only.ts: INVITE needs PC or Digest, all else passes", async () => {
  const harness = new ProxyHarness([], { route: inviteOnly });
  const ask = async (text: string) => {
    harness.receive(text);
    await harness.settled();
    return harness.take().filter((sent) => !sent.text.startsWith("SIP/2.0 100")).at(-1)!.text;
  };
  const caller = new PcCaller();
  const challenged = await ask(caller.request("INVITE"));
  assertEquals(headers(challenged, "Proxy-Authenticate").map((value) => value.split(" ")[0]), [
    "Digest",
    "PC",
  ]);
  assertEquals(challengesOf(challenged).length, 1);
  assertEquals(
    firstLine(await ask(caller.again(challenged, "INVITE"))),
    "INVITE sip:bob@example.com SIP/2.0",
  );
  assertEquals(statusOf(await ask(request("MESSAGE"))), 0);
  assertEquals(statusOf(await ask(request("INVITE", { from: "<sip:x@elsewhere.org>" }))), 403);
  assertEquals(statusOf(await ask(request("BYE", { uri: "sip:x@203.0.113.9", toTag: "x" }))), 404);
});

Deno.test("examples/route_per_method.ts: rules by method, servers in turn, voicemail for who is busy", async () => {
  const harness = new ProxyHarness([], { route: perMethod });
  const caller = new PcCaller();
  const send = async (text: string) => {
    harness.receive(text);
    await harness.settled();
    return harness.take().filter((sent) => !sent.text.startsWith("SIP/2.0 100")).at(-1)!;
  };
  const challenged = await send(caller.request("INVITE"));
  const { text, to } = await send(caller.again(challenged.text, "INVITE"));
  assertStringIncludes(to.host, "192.0.2.2");
  harness.receive(response(text, 486), to);
  const voicemail = harness.take().at(-1)!;
  assertEquals([voicemail.to.host, firstLine(voicemail.text)], [
    "192.0.2.30",
    "INVITE sip:bob@192.0.2.30:5060 SIP/2.0",
  ]);
  assertEquals(statusOf((await send(request("REGISTER"))).text), 405);
  assertStringIncludes(header((await send(request("MESSAGE"))).text, "Proxy-Authenticate"), "Digest ");
  const [first, second] = [await send(request("SUBSCRIBE")), await send(request("SUBSCRIBE"))];
  assertEquals(new Set([first.to.host, second.to.host]).size, 2);
});
