import { assertEquals } from "@std/assert";
import { seededRandom } from "../random.ts";
import { formatIpAddress, parseIpAddress } from "./ip_address.ts";

Deno.test("IP addresses: text, bytes and the canonical text", () => {
  const cases: [text: string, canonical: string][] = [
    ["0.0.0.0", "0.0.0.0"],
    ["192.0.2.255", "192.0.2.255"],
    ["::", "::"],
    ["::1", "::1"],
    ["1::", "1::"],
    ["2001:DB8::1", "2001:db8::1"],
    ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
    ["::ffff:192.0.2.1", "::ffff:192.0.2.1"],
    ["::ffff:c000:201", "::ffff:192.0.2.1"],
    ["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
    ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
  ];
  for (const [text, canonical] of cases) {
    assertEquals(formatIpAddress(parseIpAddress(text)!), canonical, text);
  }
});

Deno.test("what is no IP address", () => {
  const cases = [
    "",
    "localhost",
    "1.2.3",
    "1.2.3.4.5",
    "256.1.1.1",
    "1.2.3.x",
    ":",
    ":::",
    "1::2::3",
    "1:2:3:4:5:6:7",
  ];
  cases.push(
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7:8::",
    "12345::",
    "g::",
    "[::1]",
    "fe80::1%eth0",
    "1.2.3.4::",
    "::1.2.3",
  );
  for (const text of cases) assertEquals(parseIpAddress(text), undefined, text);
});

Deno.test("IP addresses come back from their text", () => {
  const random = seededRandom(7);
  for (let i = 0; i < 2000; i++) {
    const bytes = random.bytes(i % 2 === 0 ? 4 : 16);
    for (let zeros = random.below(bytes.length); zeros > 0; zeros--) bytes[random.below(bytes.length)] = 0;
    assertEquals(parseIpAddress(formatIpAddress(bytes)), bytes);
  }
});
