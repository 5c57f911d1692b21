/** Runs the messages of RFC 4475 and RFC 5118 against the proxy's pure core: request in, what comes out. */
import { assert, assertEquals, fail } from "@std/assert";
import type { Address } from "../../mod.ts";
import type { RouteActions, RouteFunction, RouteRequest } from "../../proxy/route.ts";
import { CALLED, ProxyHarness, request, response, type Sent, statusOf } from "../../proxy/testing.ts";

/** What a proxy has to do with a message. */
export type Verdict =
  /** Forward it, with nothing changed but what RFC 3261 §16.6 says. */
  | { readonly does: "forward"; readonly to?: Address }
  /** The same to a strict router, whose URI goes into the Request-URI and the Request-URI into Route (§16.6 step 6). */
  | { readonly does: "forward_strictly"; readonly route: string }
  /** Answer it with one of these. */
  | { readonly does: "answer"; readonly status: readonly number[]; readonly headers?: readonly string[] }
  /** Send nothing. */
  | { readonly does: "discard" };

/** A proxy that relays to wherever a request says, and keeps where the users of example.com are. */
export function transparent(request: RouteRequest, proxy: RouteActions): void {
  proxy.loose_route();
  if (request.method === "REGISTER" && request.isForUs) return proxy.save();
  return request.isForUs ? proxy.relay_to_next_hop() : proxy.relay();
}

/** Every name has the address of the called side. */
const NAMES: Record<string, string> = new Proxy({}, { get: () => CALLED.host });

/** A proxy for one message. */
export function tortureHarness(
  flags: readonly string[] = [],
  route: RouteFunction | undefined = transparent,
): ProxyHarness {
  return new ProxyHarness(["--registrar", "1", "--auth", "none", ...flags], { route, names: NAMES });
}

/** Each byte a character: the decoder "latin1" is that of Windows. */
function bytesAsText(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
}

interface Parts {
  readonly start: string;
  readonly lines: readonly string[];
  readonly body: string;
}

/** A message by its lines, folds included, each byte a character. */
function partsOf(bytes: Uint8Array): Parts {
  const text = bytesAsText(bytes);
  const end = text.indexOf("\r\n\r\n");
  const [start, ...lines] = text.slice(0, end).split(/\r\n(?![ \t])/);
  const length = /\r\n(?:Content-Length|l)\s*:\s*(\d+)/i.exec(text.slice(0, end))?.[1];
  const body = text.slice(end + 4);
  return { start, lines, body: length === undefined ? body : body.slice(0, Number(length)) };
}

const isNamed = (line: string, names: string) => new RegExp(`^(?:${names})\\s*:`, "i").test(line);

/** Whether a message was forwarded byte for byte but for Via, Max-Forwards and what else a proxy writes. */
export function assertForwarded(original: Uint8Array, forwarded: Uint8Array): void {
  const before = partsOf(original);
  const after = partsOf(forwarded);
  assertEquals(after.start, before.start);
  assertEquals(after.body, before.body);
  const own = "Via|v|Max-Forwards|Max-Breadth|Record-Route";
  const rest = ({ lines }: Parts) => lines.filter((line) => !isNamed(line, own));
  assertEquals(rest(after), rest(before));
  const vias = (parts: Parts) => parts.lines.filter((line) => isNamed(line, "Via|v"));
  const [ours, top, ...below] = vias(after);
  assert(
    ours.startsWith("Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK") || ours.includes("[2001:db8::10]"),
    ours,
  );
  // The Via that was on top may have got received and rport.
  const [first, ...others] = vias(before);
  assertEquals(
    top.replace(/;received=[^;,]*/, "").split(";")[0],
    first.replace(/;received=[^;,]*/, "").split(";")[0],
  );
  assertEquals(below, others);
  const hops = (parts: Parts) =>
    Number(parts.lines.find((line) => isNamed(line, "Max-Forwards"))?.split(":")[1] ?? 71);
  assertEquals(hops(after), hops(before) - 1);
}

let next = 0;

/** The next valid request is answered as ever. */
export function assertServes(harness: ProxyHarness): void {
  harness.take();
  const text = request("OPTIONS", {
    uri: "sip:bob@example.com",
    callId: `next${++next}`,
    branch: `z9hG4bKnext${next}`,
  });
  harness.receive(text);
  const [forwarded] = harness.take();
  assert(forwarded.text.startsWith("OPTIONS sip:bob@example.com SIP/2.0"), forwarded.text);
  harness.receive(response(forwarded.text, 200), forwarded.to);
  assertEquals(harness.take().map(({ text }) => statusOf(text)), [200]);
}

function isProvisional({ text }: Sent): boolean {
  return text.startsWith("SIP/2.0 100");
}

/** Sends a message to the proxy and checks what comes of it, and that the proxy serves on. */
export function assertVerdict(
  harness: ProxyHarness,
  bytes: Uint8Array,
  verdict: Verdict,
  from?: Address,
): void {
  harness.receive(bytes, from);
  const sent = harness.take().filter((one) => !isProvisional(one));
  switch (verdict.does) {
    case "discard":
      assertEquals(sent.map(({ text }) => text), []);
      break;
    case "forward": {
      if (sent.length !== 1) fail(`${sent.length} messages instead of one`);
      assertForwarded(bytes, sent[0].bytes);
      if (verdict.to !== undefined) assertEquals(sent[0].to, verdict.to);
      break;
    }
    case "forward_strictly": {
      if (sent.length !== 1) fail(`${sent.length} messages instead of one`);
      const text = bytesAsText(bytes);
      const [, uri] = text.split(" ", 2);
      const rewritten = text.replace(` ${uri} `, ` ${verdict.route} `).replace(
        /\r\nRoute: [^\r]*/,
        `\r\nRoute: <${uri}>`,
      );
      assertForwarded(Uint8Array.from(rewritten, (c) => c.charCodeAt(0)), sent[0].bytes);
      break;
    }
    case "answer": {
      if (sent.length !== 1) fail(`${sent.length} messages instead of one`);
      const [{ text }] = sent;
      assert(verdict.status.includes(statusOf(text)), text);
      for (const line of verdict.headers ?? []) {
        assert(text.includes(`\r\n${line}\r\n`), `${line} is not in\n${text}`);
      }
    }
  }
  assertServes(harness);
}
