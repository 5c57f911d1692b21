import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { parseFlags, UsageError } from "../mod.ts";
import { PROXY_FLAGS } from "./options.ts";
import { readSettings, type Settings } from "./settings.ts";

function settings(...args: string[]): Settings {
  const flags = args.includes("--realm") ? args : ["--realm", "example.com", ...args];
  return readSettings(parseFlags(PROXY_FLAGS, flags).values);
}

/** A wrong command line: one line that names the flag, what was wrong and what is allowed. */
function refused(args: string[], ...parts: string[]): void {
  const error = assertThrows(() => settings(...args), UsageError);
  assert(!error.message.includes("\n"), error.message);
  for (const part of parts) assertStringIncludes(error.message, part);
}

Deno.test("settings: defaults", () => {
  const { listen, advertise, auth, methods, aliases, digestAlgorithms } = settings();
  assertEquals(listen, [{ host: "127.0.0.1", port: 5060, transport: "udp" }]);
  assertEquals([advertise, auth, [...methods], aliases.size, digestAlgorithms], [
    [],
    "pc",
    ["INVITE"],
    0,
    [
      "MD5",
    ],
  ]);
});

Deno.test("settings: several listeners of any transport and family, each with its default port", () => {
  const tls = ["--tls_certificate", "c.pem", "--tls_private_key", "k.pem"];
  const { listen } = settings(
    "--listen",
    "udp:192.0.2.1,tcp:192.0.2.1",
    "--listen",
    "tls:[2001:db8::1]",
    ...tls,
  );
  assertEquals(listen, [
    { host: "192.0.2.1", port: 5060, transport: "udp" },
    { host: "192.0.2.1", port: 5060, transport: "tcp" },
    { host: "2001:db8::1", port: 5061, transport: "tls" },
  ]);
  assertEquals(settings("--listen", "udp:192.0.2.1,udp:192.0.2.2").listen.length, 2);
  refused(["--listen", "udp:192.0.2.1,udp:192.0.2.1:5060"], "udp:192.0.2.1:5060 is there twice");
  refused(["--listen", "tls:192.0.2.1"], "--tls_certificate");
  refused(["--listen", "tls:192.0.2.1", "--tls_certificate", "c.pem"], "--tls_private_key");
  const { advertise } = settings(
    "--listen",
    "udp:0.0.0.0,tcp:0.0.0.0",
    "--advertise",
    "udp:a.example,tcp:b.example:5070",
  );
  assertEquals(advertise, [
    { host: "a.example", port: 5060, transport: "udp" },
    { host: "b.example", port: 5070, transport: "tcp" },
  ]);
  refused(["--listen", "udp:0.0.0.0,tcp:0.0.0.0", "--advertise", "udp:a.example"], "--advertise");
  refused(["--dns_servers", "ns.example.com"], "--dns_servers", "ns.example.com", "ADDRESS:PORT");
});

Deno.test("settings: wrong values are one clear line each", () => {
  for (
    const wrong of [
      "127.0.0.1:5060",
      "sctp:127.0.0.1:5060",
      "udp:",
      "udp:a b:1",
      "udp:127.0.0.1:70000",
      "udp:::1:5060",
    ]
  ) {
    refused(["--listen", wrong], "--listen", JSON.stringify(wrong), "udp:ADDRESS:PORT");
  }
  refused(["--listen", ","], "--listen", "udp:ADDRESS:PORT");
  refused(["--advertise", "a:b:c"], "--advertise", "ADDRESS:PORT");
  refused(["--listen", "udp:0.0.0.0:5060"], "--advertise");
  refused(["--listen", "udp:[::]:5060"], "--advertise");
  for (const wrong of ["ACK", "CANCEL", "IN VITE", "INVITE;", "INVITÉ"]) {
    refused(["--auth_methods", wrong], "--auth_methods", JSON.stringify(wrong));
  }
  for (
    const wrong of ["192.0.2.1:5060", "tel:+12", "sip:192.0.2.1;transport=sctp", "sip:", "x"]
  ) {
    refused(["--next_hop", wrong], "--next_hop", JSON.stringify(wrong), "sip:ADDRESS:PORT");
  }
  refused(["--digest_algorithms", "SHA-1"], "--digest_algorithms", "SHA-1", "MD5, SHA-256, SHA-512-256");
  for (const wrong of ["a", "a=", "=b", "a=b=c"]) refused(["--from_alias", wrong], "--from_alias", wrong);
  refused(["--realm", "x".repeat(257)], "--realm", "256");
  refused(["--realm", "a\tb"], "--realm", "control");
  refused(["--realm", ","], "--realm needs a value");
});

Deno.test("settings: numbers outside their range", () => {
  for (
    const [flag, ...wrong] of [
      ["--max_users", "3", "x", "4.5", "-1"],
      ["--fr_inv_timer", "180", "3601"], // RFC 3261 §16.6 step 11: larger than three minutes
      ["--dbclient_port", "0", "65536"],
      ["--prefetch_delay", "0", "nan"],
      ["--low_water", "-1"],
      ["--nonce_expire", "0"],
      ["--max_transactions", "15"],
      ["--miss_limit", "0"],
    ]
  ) {
    for (const value of wrong) refused([flag, value], flag, JSON.stringify(value));
  }
});

Deno.test("settings: a method in small letters would leave requests unauthenticated, so it is refused", () => {
  // Method names are compared by case (RFC 3261 §7.1): "invite" matches no INVITE.
  refused(["--auth_methods", "invite"], "--auth_methods", '"invite"');
  refused(["--auth_methods", "INVITE,bye"], "--auth_methods", '"bye"');
});

Deno.test("settings: empty lists that would switch authentication off unseen are refused", () => {
  refused(["--auth_methods", ","], "--auth_methods");
  refused(["--auth", "digest", "--digest_algorithms", ","], "--digest_algorithms");
});

Deno.test("settings: no realm is needed without authentication or with a route of one's own", () => {
  assertEquals(settings("--realm", ",", "--auth", "none").auth, "none");
  assertEquals(settings("--realm", ",", "--route", "x.ts").auth, "pc");
});

Deno.test("settings: pc_enable and its old name switch PC off", () => {
  assertEquals(settings("--pc_enable", "0").auth, "digest");
  assertEquals(settings("--hc_enable=0", "--auth", "both").auth, "digest");
  assertEquals(settings("--no-pc_enable", "--auth", "none").auth, "none");
  assertEquals(settings("--pc_enable", "1", "--auth", "both").auth, "both");
});

Deno.test("settings: aliases and algorithms in their order", () => {
  const { aliases, digestAlgorithms } = settings(
    "--from_alias",
    "+4930123=alice,sales=bob",
    "--digest_algorithms",
    "SHA-512-256,SHA-256,MD5",
  );
  assertEquals([...aliases], [["+4930123", "alice"], ["sales", "bob"]]);
  assertEquals(digestAlgorithms, ["SHA-512-256", "SHA-256", "MD5"]);
});

Deno.test("settings: DBclient off loopback is refused while the link has no TLS", () => {
  for (const address of ["192.0.2.1", "dbclient.example.com", "::", "127.example.com"]) {
    assertThrows(() => settings("--dbclient_addr", address), UsageError, "not a loopback address");
  }
  for (const address of ["127.0.0.1", "127.1.2.3", "::1", "localhost"]) settings("--dbclient_addr", address);
});
