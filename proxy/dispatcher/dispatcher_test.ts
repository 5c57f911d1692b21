import { assert, assertEquals } from "@std/assert";
import { type Address, type Located, seededRandom, SipMessage, type SipTarget } from "../../mod.ts";
import type { PingDone } from "../own_requests.ts";
import { Dispatcher, type DispatcherOptions } from "./dispatcher.ts";
import { readDestinations } from "./destinations.ts";

const OPTIONS: DispatcherOptions = {
  pingInterval: 1000,
  probeAll: true,
  probingThreshold: 2,
  inactiveThreshold: 2,
};

const LIST = `1 sip:192.0.2.1 0 1 weight=10
1 sip:192.0.2.2 0 3 weight=30
1 sip:192.0.2.3 0 2 weight=60
2 sip:192.0.2.4 4
2 sip:192.0.2.5 1
3 sip:sip.example.com
`;

class Scene {
  readonly pings: { readonly uri: string; readonly to: Address; readonly done: PingDone }[] = [];
  readonly located: SipTarget[] = [];
  readonly logs: string[] = [];
  addresses: Address[] = [];
  now = 0;
  readonly dispatcher: Dispatcher;

  constructor(options: Partial<DispatcherOptions> = {}, list = LIST) {
    this.dispatcher = new Dispatcher({ ...OPTIONS, ...options }, {
      random: seededRandom(1),
      ping: (uri, to, _patience, _now, done) => void this.pings.push({ uri, to, done }),
      locate: (target: SipTarget, done: Located) => {
        this.located.push(target);
        done(this.addresses, this.now);
      },
      log: (event, fields) => void this.logs.push(`${event} ${fields.destination} ${fields.state}`),
    });
    this.dispatcher.load(readDestinations("list", list), 0);
  }

  select(algorithm: Parameters<Dispatcher["select"]>[1], callId = "1", set = 1): string {
    return this.dispatcher.select(set, algorithm, request(callId)).map((uri) => uri.at(-1)).join("");
  }

  /** Lets an interval pass and answers every ping. */
  round(status: (uri: string) => number): string[] {
    this.now += 1000;
    this.dispatcher.advance(this.now);
    const asked = this.pings.splice(0);
    for (const { uri, done } of asked) done(status(uri), this.now);
    return asked.map(({ uri }) => uri.slice(4));
  }
}

function request(callId: string): SipMessage {
  const message = new SipMessage();
  const bytes = new TextEncoder().encode(
    `OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a>;tag=1\r\nTo: <sip:a>\r\n` +
      `Call-ID: ${callId}\r\nCSeq: 1 OPTIONS\r\n\r\n`,
  );
  assertEquals(message.parse(bytes, 0, bytes.length), undefined);
  return message;
}

Deno.test("dispatcher: round robin, priority, weights, and an order for each Call-ID", () => {
  const scene = new Scene();
  assertEquals(Array.from({ length: 4 }, () => scene.select("round_robin")), ["123", "231", "312", "123"]);
  assertEquals(scene.select("first"), "231");
  const firsts = { 1: 0, 2: 0, 3: 0 };
  for (let i = 0; i < 10_000; i++) firsts[Number(scene.select("weight")[0]) as 1 | 2 | 3]++;
  assert(Math.abs(firsts[1] - 1000) < 150 && Math.abs(firsts[3] - 6000) < 250, JSON.stringify(firsts));
  const calls = Array.from({ length: 3000 }, (_, i) => `call-${i}@example.com`);
  const before = calls.map((callId) => scene.select("call_id", callId));
  assertEquals(calls.map((callId) => scene.select("call_id", callId)), before);
  for (const one of ["1", "2", "3"]) {
    const share = before.filter(([first]) => first === one).length;
    assert(Math.abs(share - 1000) < 150, `${one}: ${share}`);
  }
  // Only the calls of the one that goes find another.
  assertEquals(scene.dispatcher.mark(1, "sip:192.0.2.2", "disabled"), 1);
  assertEquals(
    calls.map((callId) => scene.select("call_id", callId)),
    before.map((order) => order.replace("2", "")),
  );
});

Deno.test("dispatcher: a set that is not there, or is all down, gives nothing", () => {
  const scene = new Scene();
  assertEquals([scene.select("first", "1", 2), scene.select("first", "1", 9)], ["", ""]);
  assertEquals([scene.dispatcher.has(2), scene.dispatcher.has(9)], [true, false]);
});

Deno.test("dispatcher: failures of calls and of pings count, and answers bring it back", () => {
  const scene = new Scene();
  const one: Address = { host: "192.0.2.1", port: 5060 };
  scene.dispatcher.failed(one, 0);
  assertEquals(scene.select("first"), "231");
  scene.dispatcher.failed({ ...one, transport: "udp", flow: -1 }, 0);
  assertEquals(scene.select("first"), "23");
  assertEquals(scene.logs, ["dispatcher sip:192.0.2.1 probing"]);
  const asked = scene.round(() => 200);
  assert(!asked.includes("192.0.2.4"), "disabled ones are not asked");
  assert(asked.includes("192.0.2.5"));
  assertEquals([scene.select("first"), scene.select("first", "1", 2)], ["23", ""]);
  scene.round(() => 404); // Whoever answers is there.
  scene.round(() => 404);
  assertEquals([scene.select("first"), scene.select("first", "1", 2)], ["231", "5"]);
  scene.round((uri) => uri.endsWith("3") ? 503 : 200);
  scene.round((uri) => uri.endsWith("3") ? 408 : 200);
  assertEquals(scene.select("first"), "21");
});

Deno.test("dispatcher: only those that have failed are asked, or none", () => {
  const list = "1 sip:192.0.2.1\n1 sip:192.0.2.2 8\n1 sip:192.0.2.3 32\n";
  const scene = new Scene({ probeAll: false, probingThreshold: 1 }, list);
  assertEquals(scene.round(() => 200), ["192.0.2.2"]);
  for (const host of ["192.0.2.1", "192.0.2.3"]) scene.dispatcher.failed({ host, port: 5060 }, scene.now);
  assertEquals(scene.select("first"), "23");
  scene.round(() => 408);
  assertEquals(scene.round(() => 408), ["192.0.2.1", "192.0.2.2"]);
  const quiet = new Scene({ pingInterval: 0, probingThreshold: 1 });
  quiet.dispatcher.failed({ host: "192.0.2.1", port: 5060 }, 0);
  assertEquals([quiet.select("first"), quiet.round(() => 200)], ["231", []]);
});

Deno.test("dispatcher: a name is looked up for its ping, and one without address has failed", () => {
  const scene = new Scene({ probingThreshold: 1 });
  scene.addresses = [{ host: "203.0.113.1", port: 5070 }];
  scene.round(() => 200);
  assertEquals(scene.located, [{ host: "sip.example.com", port: 0, transport: undefined }]);
  scene.dispatcher.failed(scene.addresses[0], scene.now);
  assertEquals(scene.dispatcher.select(3, "first", request("1")), []);
  scene.round(() => 200);
  scene.round(() => 200);
  assertEquals(scene.dispatcher.select(3, "first", request("1")), ["sip:sip.example.com"]);
  scene.addresses = [];
  scene.round(() => 200);
  assertEquals(scene.dispatcher.select(3, "first", request("1")), []);
});

Deno.test("dispatcher: a new list keeps the state of what stays", () => {
  const scene = new Scene({ probingThreshold: 1 });
  scene.dispatcher.failed({ host: "192.0.2.1", port: 5060 }, 0);
  scene.dispatcher.load(readDestinations("list", "1 sip:192.0.2.1\n1 sip:192.0.2.9 0 9\n"), 0);
  assertEquals(scene.select("first"), "9");
  assertEquals(scene.dispatcher.counts(), { active: 1, probing: 1, disabled: 0 });
  assertEquals([...scene.dispatcher.states()].map(({ state }) => state), ["probing", "active"]);
});
