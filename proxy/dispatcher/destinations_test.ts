import { assertEquals, assertThrows } from "@std/assert";
import { UsageError } from "../../mod.ts";
import { readDestinations } from "./destinations.ts";

const refused = (path: string, text: string, line: string) =>
  assertEquals(assertThrows(() => readDestinations(path, text), UsageError).message, line);

Deno.test("dispatcher list: Kamailio's format", () => {
  const text = `# setid destination flags priority attributes
1 sip:192.0.2.1:5060
  1\tsip:192.0.2.2;transport=tcp 8 5 weight=30;duid=second;ping_from=sip:a@b  # a comment

2 sips:sip.example.com 1
`;
  assertEquals(readDestinations("dispatcher.list", text), [
    { set: 1, uri: "sip:192.0.2.1:5060", flags: 0, priority: 0, weight: 1, duid: "sip:192.0.2.1:5060" },
    { set: 1, uri: "sip:192.0.2.2;transport=tcp", flags: 8, priority: 5, weight: 30, duid: "second" },
    { set: 2, uri: "sips:sip.example.com", flags: 1, priority: 0, weight: 1, duid: "sips:sip.example.com" },
  ]);
});

Deno.test("dispatcher list: TOML", () => {
  const text = `[[destination]]
set = 1
uri = "sip:192.0.2.1"
weight = 30
[[destination]]
uri = "sip:192.0.2.2"
attrs = "duid=b;weight=2"
priority = 7
`;
  assertEquals(readDestinations("d.toml", text), [
    { set: 1, uri: "sip:192.0.2.1", flags: 0, priority: 0, weight: 30, duid: "sip:192.0.2.1" },
    { set: 1, uri: "sip:192.0.2.2", flags: 0, priority: 7, weight: 2, duid: "b" },
  ]);
});

Deno.test("dispatcher list: what is wrong is one line with its place", () => {
  refused("d", "", "d:1:1: there is no destination in it");
  refused("d", "\n1", "d:2:2: the destination is missing: SETID SIP-URI [FLAGS PRIORITY ATTRS]");
  refused("d", "x sip:a", 'd:1:1: set "x" is not allowed; it takes a number from 0 to 2147483647');
  refused("d", "1 a", 'd:1:3: "a" is not allowed; it takes a SIP URI such as sip:192.0.2.9:5060');
  refused("d", "1 tel:1", 'd:1:3: "tel:1" is not allowed; it takes a SIP URI such as sip:192.0.2.9:5060');
  refused("d", "1 sip:a 64", 'd:1:9: flags "64" is not allowed; it takes a number from 0 to 63');
  refused("d", "1 sip:a 0 x", 'd:1:11: priority "x" is not allowed; it takes a number from 0 to 2147483647');
  refused("d", "1 sip:a 0 0 a=b;c", 'd:1:17: attribute "c" has no value; attributes are name=value;…');
  refused(
    "d",
    "1 sip:a 0 0 weight=x",
    'd:1:13: weight "x" is not allowed; it takes a number from 0 to 10000',
  );
  refused("d", "1 sip:a 0 0 a=b c", "d:1:17: nothing may follow the attributes");
  const table = '[[destination]]\nuri = "sip:a"\n\n[[destination]]\n';
  refused("d.toml", `${table}  sett = 1\nuri = "sip:b"`, "d.toml:5:3: sett is unknown; did you mean set?");
  refused("d.toml", `${table}set = 1`, "d.toml:4:1: uri is missing");
  refused(
    "d.toml",
    `${table}uri = "x"`,
    'd.toml:5:1: "x" is not allowed; it takes a SIP URI such as sip:192.0.2.9:5060',
  );
  refused("d.toml", "x = 1\n", "d.toml:1:1: x is unknown; did you mean destination?");
  assertThrows(() => readDestinations("d.toml", "[[destination\n"), UsageError, "d.toml:1:");
});
