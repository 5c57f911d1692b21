import { assertEquals } from "@std/assert";
import { digestUriMatcher } from "./digest_uri.ts";
import { LocalNames } from "./local_names.ts";

Deno.test("a Digest uri means the Request-URI, or names the proxy", () => {
  const matches = digestUriMatcher(
    new LocalNames([{ host: "192.0.2.1", port: 5060 }], [], ["example.com"]),
  );
  const request = "sip:bob@example.com";
  const cases: [string, boolean][] = [
    ["sip:bob@example.com", true],
    ["sip:bob@EXAMPLE.com", true],
    ["sip:192.0.2.1:5060", true], // SIPp
    ["sip:example.com", true],
    ["sip:carol@example.com", false],
    ["sip:carol@192.0.2.1:5060", false],
    ["sip:192.0.2.9:5060", false],
    ["tel:1", false],
    ["", false],
  ];
  for (const [uri, expected] of cases) assertEquals(matches(uri, request), expected, uri);
  assertEquals(matches("sip:192.0.2.1:5060", "%"), false);
});
