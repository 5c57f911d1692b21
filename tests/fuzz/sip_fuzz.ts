/**
 * Mutated messages against the proxy's whole core, on virtual time and from a seed: requests, and responses to transactions that
 * live, as datagrams and through the framer of a stream. What must hold is thrown when it does not.
 */
import { assertEquals } from "@std/assert";
import { mutate, mutated } from "../../core/sip/test_mutations.ts";
import { Scanners } from "../../core/sip/test_scanners.ts";
import { type Address, type Random, seededRandom, SipMessage, StreamFramer } from "../../mod.ts";
import { assertEmpty } from "../../proxy/conformance/testing.ts";
import type { RouteFunction } from "../../proxy/route.ts";
import { damaged } from "../../proxy/test_damage.ts";
import {
  ackOf,
  CALLED,
  cancelOf,
  forwardedCall,
  PcCaller,
  PHONE,
  ProxyHarness,
  request,
  response,
  statusOf,
  STRANGER,
} from "../../proxy/testing.ts";

/** Where requests lead to. */
const PLACES: readonly Address[] = [
  CALLED,
  { host: "203.0.113.1", port: 5061 },
  { host: "203.0.113.2", port: 5062, transport: "tcp" },
];
const SENDERS: readonly Address[] = [PHONE, CALLED, STRANGER, ...PLACES];
/** Open connections to the proxy. */
const STREAMS = 8;
const STATUSES = [100, 180, 183, 200, 202, 302, 401, 404, 407, 408, 480, 486, 487, 500, 503, 603];
const METHODS = ["INVITE", "INVITE", "INVITE", "MESSAGE", "OPTIONS", "REGISTER", "SUBSCRIBE", "BYE", "PRACK"];
/** Requests that are remembered for what follows them. */
const REMEMBERED = 200;
/** Longer than everything that a request can wait for: Timer C of several branches, one after the other; bindings. */
const DRAIN_MS = 1_500_000;
/** Between two messages, ms at most. */
const PAUSE_MS = 3;
/** What a status says of a message that lacked something: the answer lacks it too. */
const LACKING = [400, 505, 513];
const encoder = new TextEncoder();

/** One byte another: most are well-formed still, and say something else. */
function nudged(text: string, random: Random): Uint8Array {
  const bytes = encoder.encode(text);
  const at = random.below(bytes.length);
  const byte = bytes[at];
  const isDigit = byte >= 0x30 && byte <= 0x39;
  bytes[at] = isDigit
    ? 0x30 + random.below(10)
    : random.below(2) === 0
    ? byte ^ 0x20
    : 0x20 + random.below(0x5f);
  return bytes;
}

/** Ways to damage a message; what most others do leaves nothing but a 400. */
const MUTATORS: readonly ((text: string, random: Random) => Uint8Array)[] = [
  nudged,
  nudged,
  damaged,
  (text, random) => mutated(encoder.encode(text), random),
];

/** What was done. */
export interface FuzzCounts {
  /** Messages with something wrong in them. */
  mutated: number;
  /** Those as they should be, which keep transactions going. */
  whole: number;
  overStreams: number;
  /** Streams that could not be read on. */
  streamErrors: number;
  /** What the proxy sent. */
  sent: number;
  /** The most transactions at one time. */
  mostTransactions: number;
}

/** One proxy and what goes on around it. */
class Scene {
  /** Requests to the proxy, and those that it has sent on. */
  readonly inward: string[] = [];
  readonly outward: { readonly text: string; readonly to: Address }[] = [];

  constructor(readonly harness: ProxyHarness, private readonly fresh: (scene: Scene) => string) {}

  next(): string {
    const text = this.fresh(this);
    remember(this.inward, text);
    return text;
  }

  /** Remembers what the proxy has sent on. */
  look(view: SipMessage): number {
    const sent = this.harness.take();
    for (const { bytes, text, to } of sent) {
      const status = statusOf(text);
      const problem = view.parse(bytes, 0, bytes.length);
      if (problem !== undefined && !LACKING.includes(status)) {
        throw new Error(`${problem.text} in what was sent:\n${text}`);
      }
      if (status === 0 && text.includes("\r\nTo:") && !text.startsWith("ACK")) {
        remember(this.outward, { text, to });
      }
    }
    return sent.length;
  }
}

function remember<T>(items: T[], item: T): void {
  if (items.push(item) > REMEMBERED) items.shift();
}

/** Calls and registrations that are authenticated. */
function authenticating(random: Random): Scene {
  const harness = new ProxyHarness([
    ...["--auth", "both", "--auth_methods", "INVITE,REGISTER,BYE", "--max_users", "1000"],
    ...["--registrar", "1", "--max_expires", "600"],
  ]);
  harness.dbclient.n = 3;
  const caller = new PcCaller();
  let authorized = "";
  return new Scene(harness, (scene) => {
    // Each has a token of its own; a mutation of it may be the first to use it.
    if (authorized === "" || random.below(20) === 0) {
      const view = new SipMessage();
      scene.look(view);
      try {
        authorized = forwardedCall(harness, caller, { body: "v=0\r\n" }).invite;
      } catch {
        // The user's credential is being changed by what came before.
        authorized = caller.request("INVITE");
      }
      return authorized;
    }
    if (random.below(4) === 0) return authorized;
    const route = `Route: <sip:192.0.2.1;lr;did=${harness.proxy.core.dialogTags.tag("7f3a9c@192.0.2.10")}>`;
    const method = METHODS[random.below(METHODS.length)];
    if (method === "REGISTER") {
      return request(method, { uri: "sip:example.com", to: "<sip:alice@example.com>" });
    }
    return request(method, {
      body: "v=0\r\n",
      callId: random.below(2) === 0 ? undefined : `c${random.below(1000)}`,
      headers: random.below(2) === 0 ? [route] : [],
      toTag: method === "BYE" ? "b" : undefined,
    });
  });
}

/** Forks, rewritten requests, stateless forwarding, failure hooks and a registrar, without authentication. */
function forking(random: Random): Scene {
  const pick = () => PLACES[random.below(PLACES.length)];
  const target = () => {
    const { host, port, transport } = pick();
    const name = random.below(8) === 0 ? "phone.example.net" : `${host}:${port}`;
    return {
      uri: `sip:u${random.below(4)}@${name}${transport ? ";transport=tcp" : ""}`,
      q: random.below(3) / 2,
    };
  };
  const route: RouteFunction = (r, proxy) => {
    if (r.method === "REGISTER" && r.isForUs) return proxy.save();
    const what = random.below(10);
    proxy.loose_route();
    if (what === 0) return proxy.forward("sip:203.0.113.1:5061");
    if (what === 1) return proxy.relay();
    if (what === 2) return proxy.reply(486);
    if (what === 3) proxy.seturi("sip:new@203.0.113.2:5062");
    if (what === 4) proxy.append_hf("X-Added: 1");
    if (what === 5) return proxy.lookup() ? proxy.relay() : proxy.reply(404);
    if (r.hasToTag) proxy.record_route();
    proxy.onFailure((failure, failed) => {
      if (random.below(3) === 0) failed.reply(480);
      else failed.relay(failure.contacts);
    });
    if (what === 6) proxy.onReply((reply) => random.below(4) === 0 && reply.drop());
    proxy.relay(Array.from({ length: 1 + random.below(3) }, target), { recurse: what === 7 });
  };
  const flags = ["--auth", "none", "--registrar", "1", "--max_expires", "600"];
  const listen = "udp:192.0.2.1:5060,tcp:192.0.2.1:5060";
  const names = { "phone.example.net": ["203.0.113.1", "203.0.113.2"] };
  const harness = new ProxyHarness([...flags, "--listen", listen], { route, names });
  let calls = 0;
  return new Scene(harness, () => {
    const method = METHODS[random.below(METHODS.length)];
    if (method === "REGISTER") {
      return request(method, { uri: "sip:example.com", to: `<sip:u${random.below(50)}@example.com>` });
    }
    return request(method, {
      callId: `f${++calls}`,
      uri: random.below(3) === 0 ? `sip:u${random.below(50)}@example.com` : undefined,
      body: "v=0\r\n",
      toTag: method === "BYE" ? "b" : undefined,
      headers: random.below(4) === 0 ? [`Max-Breadth: ${random.below(5)}`] : [],
    });
  });
}

/** A run of mutated messages; the same seed gives the same run. */
export class SipFuzz {
  readonly counts: FuzzCounts = {
    mutated: 0,
    whole: 0,
    overStreams: 0,
    streamErrors: 0,
    sent: 0,
    mostTransactions: 0,
  };
  readonly #random: Random;
  readonly #scenes: readonly Scene[];
  readonly #scanners = new Scanners();
  readonly #view = new SipMessage();
  readonly #framers: StreamFramer[] = [];
  #last: Uint8Array = new Uint8Array();

  constructor(readonly seed: number) {
    const random = this.#random = seededRandom(seed);
    this.#scenes = [authenticating(random), forking(random)];
    for (let i = 0; i < STREAMS; i++) this.#framers.push(new StreamFramer());
  }

  /** How many messages the kernel has read, of those that both have. */
  get takenByKernel(): number {
    return this.#scanners.taken;
  }

  /**
   * Sends mutated messages until there have been so many, lets all timers run out, and looks whether anything is left.
   *
   * @throws {Error} with the seed and the message when something does not hold
   */
  async run(messages: number): Promise<void> {
    const until = this.counts.mutated + messages;
    try {
      while (this.counts.mutated < until) {
        for (const scene of this.#scenes) {
          this.#step(scene);
          this.counts.sent += scene.look(this.#view);
          this.counts.mostTransactions = Math.max(
            this.counts.mostTransactions,
            scene.harness.proxy.core.layer.size,
          );
        }
        // Routes that wait go on, and rejections that nobody handles are told.
        if (this.counts.mutated % 64 === 0) await new Promise((resolve) => setTimeout(resolve, 0));
      }
      for (const scene of this.#scenes) this.#drain(scene);
    } catch (error) {
      throw new Error(`seed ${this.seed}, mutated message ${this.counts.mutated}: ${this.#shown()}`, {
        cause: error,
      });
    }
  }

  #step(scene: Scene): void {
    const { harness } = scene;
    const random = this.#random;
    harness.transportWorks = random.below(50) !== 0;
    const [message, from] = this.#message(scene);
    const whole = random.below(4) === 0;
    const bytes = typeof message !== "string"
      ? message
      : whole
      ? encoder.encode(message)
      : MUTATORS[random.below(MUTATORS.length)](message, random);
    if (whole && typeof message === "string") this.counts.whole++;
    else this.counts.mutated++;
    this.#last = bytes;
    this.#scanners.compare(bytes, 0, bytes.length);
    if (random.below(3) === 0) this.#stream(scene, bytes, from);
    else harness.receive(bytes, from);
    harness.runTo(harness.now + random.below(PAUSE_MS));
    this.#checkLogs(scene);
  }

  /** A message, and who sends it. */
  #message(scene: Scene): [string | Uint8Array, Address] {
    const random = this.#random;
    const { inward, outward } = scene;
    const kind = random.below(10);
    if (kind < 1) return [mutate(random), SENDERS[random.below(SENDERS.length)]];
    if (kind < 5 && outward.length > 0) {
      const { text, to } = outward[random.below(outward.length)];
      const contacts = random.below(3) === 0
        ? ["Contact: <sip:x@203.0.113.1:5061>;q=0.5, sip:y@203.0.113.2"]
        : [];
      const challenge = random.below(6) === 0 ? ['Proxy-Authenticate: PC realm="x", nonce="00"'] : [];
      const status = STATUSES[random.below(STATUSES.length)];
      return [response(text, status, [...contacts, ...challenge], `t${random.below(3)}`), to];
    }
    const text = inward[random.below(inward.length)];
    if (kind === 5 && text !== undefined) return [text, PHONE];
    if (kind === 6 && text !== undefined) return [cancelOf(text), PHONE];
    if (kind === 7 && text !== undefined) return [ackOf(text, response(text, 486)), PHONE];
    return [scene.next(), PHONE];
  }

  /** In pieces over one of the connections; what cannot be read on ends it, and another takes its place. */
  #stream({ harness }: Scene, bytes: Uint8Array, { host, port }: Address): void {
    const random = this.#random;
    const number = random.below(STREAMS);
    const from: Address = { host, port, transport: "tcp", flow: number + 1 };
    this.counts.overStreams++;
    for (let at = 0; at < bytes.length;) {
      const piece = Uint8Array.from(bytes.subarray(at, at += 1 + random.below(1500)));
      const framer = this.#framers[number];
      for (const event of framer.push(piece)) {
        if (event.type === "ping") continue;
        const { buffer, start, end } = event;
        if (event.type === "message") {
          // What came before may be unfinished, and what was framed is another message than any that was sent.
          this.#scanners.compare(buffer, start, end);
          harness.proxy.receive(buffer, start, end, from, harness.now);
        } else {
          harness.proxy.core.receiveMalformed(event.problem, buffer, start, end, from);
          this.counts.streamErrors++;
        }
      }
      if (framer.pending > framer.maxMessageBytes + framer.maxHeaderBytes) {
        throw new Error(`a stream holds ${framer.pending} bytes`);
      }
      if (framer.failed) {
        harness.proxy.core.unreachable(from, harness.now);
        this.#framers[number] = new StreamFramer();
        break;
      }
    }
    harness.proxy.flush(harness.now);
  }

  /** A fault in the proxy is logged; what a route does wrong with a message that is no good is not one. */
  #checkLogs({ harness }: Scene): void {
    const faults = harness.logs.filter((line) =>
      /internal_error|route_failed/.test(line) && !/no decision|seturi/.test(line)
    );
    assertEquals(faults, []);
    harness.logs.length = 0;
  }

  /** All timers run out, and nothing may be left. */
  #drain(scene: Scene): void {
    const { harness } = scene;
    harness.transportWorks = true;
    const end = harness.now + DRAIN_MS;
    while (harness.now < end) {
      harness.runTo(harness.now + 1000);
      this.counts.sent += scene.look(this.#view);
    }
    this.#checkLogs(scene);
    assertEmpty(harness);
    assertEquals(harness.proxy.statistics().contacts, 0, "contacts are left");
    scene.inward.length = scene.outward.length = 0;
    const { asked, verified, issued } = harness.dbclient;
    for (const list of [asked, verified, issued]) list.length = 0;
  }

  #shown(): string {
    return JSON.stringify(
      Array.from(this.#last, (byte) => String.fromCharCode(byte)).join("").slice(0, 3000),
    );
  }
}
