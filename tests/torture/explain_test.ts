/** `proxy explain` says of each message of RFC 4475 and RFC 5118 what the proxy does with it. */
import { assert, assertEquals } from "@std/assert";
import { parseFlags, seededRandom } from "../../mod.ts";
import { explain } from "../../proxy/explain/explain.ts";
import { PROXY_FLAGS } from "../../proxy/options.ts";
import { readSettings } from "../../proxy/settings.ts";
import { backend, firstLine } from "../../proxy/testing.ts";
import { RFC_4475 } from "./rfc4475_messages.ts";
import { RFC_5118 } from "./rfc5118_messages.ts";
import { tortureHarness, transparent } from "./torture.ts";

const FLAGS = [
  "--listen",
  "udp:192.0.2.1:5060",
  "--realm",
  "example.com",
  "--registrar",
  "1",
  "--auth",
  "none",
];
const { values } = parseFlags(PROXY_FLAGS, [...FLAGS, "--next_hop", "sip:192.0.2.20:5080"]);

async function explained(bytes: Uint8Array): Promise<string[]> {
  return await explain({
    bytes,
    name: "m",
    source: { host: "192.0.2.10", port: 5070 },
    values,
    settings: readSettings(values),
    hashes: backend,
    random: seededRandom(1),
    now: 0,
    route: transparent,
    isIpAddress: (host) => /^[0-9.]+$/.test(host),
    idle: () => Promise.resolve(false),
  });
}

for (const [rfc, messages] of [["RFC 4475", RFC_4475], ["RFC 5118", RFC_5118]] as const) {
  for (const { section, name, bytes } of messages) {
    Deno.test(`explain: ${rfc} ${section} (${name}) is told as it is done`, async () => {
      const harness = tortureHarness();
      harness.receive(bytes);
      const done = harness.take();
      const lines = await explained(bytes);
      const text = lines.join("\n");
      const told = lines.filter((line) => /^(Answered|Forwarded) to /.test(line));
      assertEquals(told.length, done.length, text);
      for (const { text: sent } of done) {
        const isAnswer = sent.startsWith("SIP/2.0 ");
        const count = (lines: readonly string[], start: string) =>
          lines.filter((line) => line.startsWith(start)).length;
        assert(count(told, isAnswer ? "Answered" : "Forwarded") > 0, text);
        if (isAnswer) assert(lines.includes(`  ${firstLine(sent)}`), `${firstLine(sent)} is not in\n${text}`);
      }
      if (done.length === 0) assert(lines.includes("Sent"), text);
      // A terminal gets nothing to act on.
      // deno-lint-ignore no-control-regex
      assert(!/[\x00-\x09\x0b-\x1f\x7f]/.test(text), text);
      const faulty = harness.proxy.statistics().malformed > 0;
      assertEquals(/^ {2}m:\d+:\d+: /m.test(text), faulty, text);
    });
  }
}
