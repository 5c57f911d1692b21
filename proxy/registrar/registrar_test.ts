/** The registrar in the proxy, in memory and virtual time: RFC 3261 §10.3, RFC 3327, and the look-up in the default route. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import {
  type Address,
  answerDigest,
  DigestHasher,
  isMalformed,
  parseAuth,
  parseDigestChallenge,
} from "../../mod.ts";
import { Location, type LocationOwner } from "../location.ts";
import {
  backend,
  header,
  headers,
  infosOf,
  PcCaller,
  PHONE,
  ProxyHarness,
  request,
  type RequestParts,
  response,
  statusOf,
  STRANGER,
} from "../testing.ts";

const ALICE = "<sip:alice@example.com>";
const hasher = new DigestHasher(backend);
let cseq = 0;

/** A registrar that asks for no authentication, unless flags say otherwise, and has no next hop. */
function registrar(...flags: readonly string[]): ProxyHarness {
  const auth = flags.includes("--auth") ? [] : ["--auth", "none"];
  return new ProxyHarness(["--registrar", "1", ...auth, ...flags], { without: ["--next_hop"] });
}

function parts(contacts: readonly string[], more: RequestParts = {}): RequestParts {
  return { uri: "sip:example.com", from: ALICE, to: ALICE, contacts, cseq: ++cseq, ...more };
}

/** A REGISTER of alice. */
function register(contacts: readonly string[], more: RequestParts = {}): string {
  return request("REGISTER", parts(contacts, more));
}

const contactsOf = (text: string) => headers(text, "Contact");

/** What a call to alice becomes: its first line and where it goes. */
function called(
  harness: ProxyHarness,
  uri = "sip:alice@example.com",
): { first: string; to: Address; text: string } {
  harness.take();
  harness.receive(request("MESSAGE", { uri, from: "<sip:bob@example.com>" }), STRANGER);
  const { text, to } = harness.take()[0];
  return { first: text.slice(0, text.indexOf("\r\n")), to, text };
}

Deno.test("registrar: a contact is kept, listed, found, refreshed and removed", () => {
  const harness = registrar();
  const first = harness.ask(register(["<sip:alice@192.0.2.10:5070>"]));
  assertEquals(statusOf(first), 200);
  assertEquals(contactsOf(first), ["<sip:alice@192.0.2.10:5070>;expires=3600"]);
  assertEquals(called(harness).first, "MESSAGE sip:alice@192.0.2.10:5070 SIP/2.0");
  harness.now += 600_000;
  assertEquals(contactsOf(harness.ask(register([]))), ["<sip:alice@192.0.2.10:5070>;expires=3000"]);
  const again = harness.ask(register(["<sip:alice@192.0.2.10:5070>;expires=120"]));
  assertEquals(contactsOf(again), ["<sip:alice@192.0.2.10:5070>;expires=120"]);
  const gone = harness.ask(register(["<sip:alice@192.0.2.10:5070>;expires=0"]));
  assertEquals([statusOf(gone), contactsOf(gone)], [200, []]);
  assertEquals(called(harness).first, "SIP/2.0 480 Temporarily Unavailable");
});

Deno.test("registrar: a contact ends by itself", () => {
  const harness = registrar();
  harness.ask(register(["<sip:alice@192.0.2.10:5070>;expires=60"]));
  harness.runTo(59_990);
  assertEquals(statusOf(called(harness).first), 0);
  harness.runTo(60_010);
  assertEquals(statusOf(called(harness).first), 480);
  assertEquals(harness.proxy.statistics().contacts, 0);
});

Deno.test("registrar: expires by parameter, header, default and limits (RFC 3261 §10.3 step 7)", () => {
  const flags = ["--default_expires", "1800", "--min_expires", "90", "--max_expires", "7200"];
  const contact = "<sip:alice@192.0.2.10:5070>";
  const cases: [string, string[], string][] = [
    [contact, [], "1800"],
    [contact, ["Expires: 600"], "600"],
    [`${contact};expires=700`, ["Expires: 600"], "700"],
    [contact, ["Expires: 99999"], "7200"],
    [contact, ["Expires: 99999999999999999999"], "7200"],
    [`${contact};expires=soon`, [], "3600"],
    [`${contact};expires="60"`, [], "3600"],
    [contact, ["Expires: soon"], "1800"],
  ];
  for (const [value, lines, seconds] of cases) {
    const answer = registrar(...flags).ask(register([value], { headers: lines }));
    assertEquals(contactsOf(answer), [`${contact};expires=${seconds}`], value + lines);
  }
  const brief = registrar(...flags).ask(register([`${contact};expires=89`]));
  assertEquals([statusOf(brief), header(brief, "Min-Expires")], [423, "90"]);
});

Deno.test("registrar: one contact that is too brief, malformed or too long leaves all as it was", () => {
  const bad: [string, number][] = [
    ["<sip:b@192.0.2.2>;expires=59", 423],
    ["<sip:b@192.0.2.2>;q=1.5", 400],
    ["<sip:b@192.0.2.2>;q=", 400],
    ["<mailto:b@example.com>", 400],
    ["<sip:b@>", 400],
    ["sip:b@192.0.2.2 x", 400],
    [`<sip:b@192.0.2.2;x=${"y".repeat(600)}>`, 400],
    [`<sip:b@192.0.2.2>;x=${"y".repeat(600)}`, 400],
    ["*", 400],
  ];
  for (const [value, status] of bad) {
    const harness = registrar();
    harness.ask(register(["<sip:alice@192.0.2.10:5070>;q=0.5"]));
    const answer = harness.ask(
      register(["<sip:a@192.0.2.9>", value, "<sip:alice@192.0.2.10:5070>;expires=0"]),
    );
    assertEquals(statusOf(answer), status, value);
    assertEquals(
      contactsOf(harness.ask(register([]))),
      ["<sip:alice@192.0.2.10:5070>;q=0.5;expires=3600"],
      value,
    );
  }
});

Deno.test("registrar: * removes all, with Expires: 0 and alone", () => {
  const harness = registrar();
  harness.ask(register(["<sip:a@192.0.2.1>, <sip:a@192.0.2.2>"]));
  for (const lines of [[], ["Expires: 1"], ["Expires: x"]]) {
    assertEquals(statusOf(harness.ask(register(["*"], { headers: lines }))), 400);
  }
  assertEquals(contactsOf(harness.ask(register([]))).length, 2);
  const answer = harness.ask(register(["*"], { headers: ["Expires: 0"] }));
  assertEquals([statusOf(answer), contactsOf(answer)], [200, []]);
});

Deno.test("registrar: an old CSeq fails; a retransmission gets the same answer", () => {
  const harness = registrar();
  const text = register(["<sip:alice@192.0.2.10:5070>"], { branch: "z9hG4bK-same", cseq: 1000 });
  const first = harness.ask(text);
  harness.now += 500;
  assertEquals(harness.ask(text), first);
  const old = register(["<sip:alice@192.0.2.10:5070>"], { cseq: 1000 });
  assertEquals(statusOf(harness.ask(old)), 400);
});

Deno.test("registrar: parameters of a contact are given back, those of the request too", () => {
  const harness = registrar();
  const answer = harness.ask(
    register([
      '"A, B" <sip:alice@192.0.2.10:5070;transport=udp>;+sip.instance="<urn:uuid:0;1>";q=0.3;reg-id=1;expires=60',
    ]),
  );
  assertEquals(contactsOf(answer), [
    '<sip:alice@192.0.2.10:5070;transport=udp>;q=0.3;expires=60;+sip.instance="<urn:uuid:0;1>";reg-id=1',
  ]);
});

Deno.test("registrar: the address-of-record without escapes, parameters, port and the case of its host", () => {
  const harness = registrar();
  harness.ask(register(["<sip:alice@192.0.2.10:5070>"], { to: "<sip:%61lice@EXAMPLE.com:5060;user=phone>" }));
  for (const uri of ["sip:alice@example.com", "sip:al%69ce@Example.COM;x=y"]) {
    assertEquals(statusOf(called(harness, uri).first), 0, uri);
  }
  assertEquals(statusOf(called(harness, "sip:Alice@example.com").first), 480);
  // The proxy's own address is the first realm.
  assertEquals(statusOf(called(harness, "sip:alice@192.0.2.1").first), 0);
});

Deno.test("registrar: To of another domain or without a user is not found", () => {
  const harness = registrar();
  for (
    const to of [
      "<sip:alice@example.org>",
      "<sip:example.com>",
      `<sip:${"a".repeat(65)}@example.com>`,
    ]
  ) {
    assertEquals(statusOf(harness.ask(register(["<sip:a@192.0.2.1>"], { to }))), 404, to);
  }
});

Deno.test("registrar: To of another scheme is malformed (RFC 3261 §10.3, RFC 4475 §3.3.4)", () => {
  assertEquals(statusOf(registrar().ask(register(["<sip:a@192.0.2.1>"], { to: "<tel:+123>" }))), 400);
});

Deno.test("registrar: Require of what it does not know is refused", () => {
  const answer = registrar().ask(register([], { headers: ["Require: path, gruu", "Require: outbound"] }));
  assertEquals([statusOf(answer), header(answer, "Unsupported")], [420, "gruu, outbound"]);
});

Deno.test("registrar: limits on contacts and users are named", () => {
  const harness = registrar("--max_contacts", "2", "--max_aors", "1");
  const many = Array.from({ length: 3 }, (_, i) => `<sip:a@192.0.2.${i}>`);
  assertStringIncludes(harness.ask(register(many)), "403 Forbidden (too many contacts)");
  const far = Array.from({ length: 500 }, (_, i) => `<sip:a@h${i}>`);
  assertStringIncludes(harness.ask(register([far.join(",")])), "403 Forbidden (too many contacts)");
  harness.ask(register(["<sip:a@192.0.2.1>"]));
  const full = harness.ask(register(["<sip:b@192.0.2.1>"], { to: "<sip:bob@example.com>" }));
  assertStringIncludes(full, "503 Service Unavailable (too many users)");
  assertEquals(header(full, "Retry-After"), "300");
});

Deno.test("registrar: Path is kept, given back and followed (RFC 3327)", () => {
  const harness = registrar();
  const path = ["<sip:edge.example.com;lr>", "<sip:192.0.2.77;lr>"];
  const lines = ["Supported: path, 100rel", `Path: <sip:192.0.2.50:5090;lr>, ${path[0]}`, `Path: ${path[1]}`];
  const answer = harness.ask(register(["<sip:alice@10.0.0.1>"], { headers: lines }));
  assertEquals(headers(answer, "Path"), ["<sip:192.0.2.50:5090;lr>", ...path]);
  const { first, to, text } = called(harness);
  assertEquals(first, "MESSAGE sip:alice@10.0.0.1 SIP/2.0");
  assertEquals(to, { host: "192.0.2.50", port: 5090 });
  assertEquals(headers(text, "Route"), ["<sip:192.0.2.50:5090;lr>", ...path]);
});

Deno.test("registrar: Path without Supported is refused, or kept as --path_mode says", () => {
  const lines = ["Path: <sip:192.0.2.50:5090;lr>"];
  const text = () => register(["<sip:alice@10.0.0.1>"], { headers: lines });
  const refused = registrar().ask(text());
  assertEquals([statusOf(refused), header(refused, "Unsupported")], [420, "path"]);
  for (const mode of ["0", "1"]) {
    const harness = registrar("--path_mode", mode);
    const answer = harness.ask(text());
    assertEquals([statusOf(answer), headers(answer, "Path")], [200, []]);
    assertEquals(called(harness).to.port, 5090);
  }
  const bad = registrar().ask(register([], { headers: ["Supported: path", "Path: <x>"] }));
  assertEquals(statusOf(bad), 400);
});

Deno.test("registrar: a phone behind an address translation is called where it was seen", () => {
  const seen = { host: "203.0.113.7", port: 30000 };
  for (
    const via of [
      "SIP/2.0/UDP 10.0.0.5:5060;rport",
      "SIP/2.0/UDP 10.0.0.5:5060",
      "SIP/2.0/UDP 203.0.113.7:5060;rport",
    ]
  ) {
    const harness = registrar();
    harness.receive(
      register(["<sip:alice@10.0.0.5:5060>"], { via: `${via};branch=z9hG4bKn${++cseq}` }),
      seen,
    );
    const { first, to } = called(harness);
    assertEquals(first, "MESSAGE sip:alice@10.0.0.5:5060 SIP/2.0");
    assertEquals(to, seen, via);
  }
  // Another source port without rport says nothing; and a proxy between is not the phone.
  for (const via of ["SIP/2.0/UDP 203.0.113.7:5060", "SIP/2.0/UDP 10.0.0.9, SIP/2.0/UDP 10.0.0.5"]) {
    const harness = registrar();
    harness.receive(
      register(["<sip:alice@192.0.2.5:5060>"], { via: via.replace(/,|$/, `;branch=z9hG4bKm${++cseq}$&`) }),
      seen,
    );
    assertEquals(called(harness).to, { host: "192.0.2.5", port: 5060 }, via);
  }
});

Deno.test("registrar: a phone that came over a connection is called on it (RFC 5626 §5.3)", () => {
  const seen = { host: "203.0.113.7", port: 30000, transport: "tcp", flow: 7 } as const;
  for (const rport of ["", ";rport"]) {
    const harness = registrar();
    const via = `SIP/2.0/TCP 203.0.113.7:30000${rport};branch=z9hG4bKq${++cseq}`;
    harness.receive(register(["<sip:alice@203.0.113.7:30000;transport=tcp>"], { via }), seen);
    const { first, to } = called(harness);
    assertEquals(first, "MESSAGE sip:alice@203.0.113.7:30000;transport=tcp SIP/2.0");
    assertEquals(to, seen);
  }
});

Deno.test("registrar: headers and method of a contact do not get into the Request-URI (RFC 4475 §3.1.1.4)", () => {
  const harness = registrar();
  harness.ask(register(["<sip:alice@192.0.2.10;method=BYE;x=1?Route=%3Csip:192.0.2.66%3E>"]));
  assertEquals(called(harness).first, "MESSAGE sip:alice@192.0.2.10;x=1 SIP/2.0");
});

Deno.test("registrar: users without contacts go to the next hop, where there is one", () => {
  const harness = new ProxyHarness(["--registrar", "1", "--auth", "none"]);
  assertEquals(called(harness).to.port, 5080);
  harness.ask(register(["<sip:alice@192.0.2.10:5070>"]));
  assertEquals(called(harness).to, PHONE);
});

Deno.test("registrar: contacts of equal q are called side by side, those of less after them (RFC 3261 §16.6)", () => {
  const harness = registrar();
  const contacts = [
    "<sip:a@192.0.2.31>;q=0.5",
    "<sip:a@192.0.2.32>",
    "<sip:a@192.0.2.33>;q=0.5",
    "<sip:a@192.0.2.34>;q=0.1",
  ];
  harness.ask(register(contacts));
  harness.receive(request("INVITE", { uri: "sip:alice@example.com" }), STRANGER);
  const next = () => {
    const sent = harness.take().filter(({ text }) => text.startsWith("INVITE"));
    for (const { to, text } of sent) harness.receive(response(text, 486), to);
    return sent.map(({ text }) => text.split(" ")[1]);
  };
  assertEquals(next(), ["sip:a@192.0.2.32"]);
  assertEquals(next(), ["sip:a@192.0.2.31", "sip:a@192.0.2.33"]);
  assertEquals(next(), ["sip:a@192.0.2.34"]);
  assertEquals(harness.takeLines().filter((line) => line.includes("SIP/2.0 486")).length, 1);
});

Deno.test("registrar: a REGISTER for another domain is relayed", () => {
  const harness = registrar();
  harness.receive(register([], { uri: "sip:192.0.2.99", to: "<sip:alice@192.0.2.99>" }));
  assertEquals(harness.take()[0].text.startsWith("REGISTER sip:192.0.2.99"), true);
});

Deno.test("registrar: REGISTER is always authenticated: PC, 401, and confirmed", () => {
  const harness = registrar("--auth", "pc");
  const caller = new PcCaller("alice", "secret", 9, "Authorization");
  const what = parts(["<sip:alice@192.0.2.10:5070>"], { cseq: undefined });
  const challenged = harness.ask(caller.request("REGISTER", what));
  assertEquals(statusOf(challenged), 401);
  assertEquals([
    headers(challenged, "WWW-Authenticate").length,
    headers(challenged, "Proxy-Authenticate").length,
  ], [1, 0]);
  const answer = harness.ask(caller.again(challenged, "REGISTER", what));
  assertEquals([statusOf(answer), contactsOf(answer).length, infosOf(answer).length], [200, 1, 1]);
  assertEquals(headers(answer, "Authentication-Info").length, 1);
  assertEquals(caller.confirm(answer), "confirmed");
  // With its next token at once, unasked.
  assertEquals(statusOf(harness.ask(caller.request("REGISTER", what))), 200);
});

Deno.test("registrar: nobody registers for another, in this domain or another served one", () => {
  const others = ["<sip:bob@example.com>", "<sip:alice@example.org>"];
  for (const to of others) {
    const harness = registrar("--auth", "pc", "--realm", "example.com,example.org");
    const caller = new PcCaller("alice", "secret", 9, "Authorization");
    const what = parts(["<sip:alice@192.0.2.10:5070>"], { cseq: undefined, to });
    const answer = harness.ask(caller.again(harness.ask(caller.request("REGISTER", what)), "REGISTER", what));
    assertStringIncludes(answer, "403 Forbidden (To is not the authenticated user)");
    assertEquals(harness.proxy.statistics().contacts, 0);
  }
  const allowed = registrar("--auth", "pc", "--check_to", "0");
  const caller = new PcCaller("alice", "secret", 9, "Authorization");
  const what = parts(["<sip:alice@192.0.2.10:5070>"], { cseq: undefined, to: others[0] });
  const answer = allowed.ask(caller.again(allowed.ask(caller.request("REGISTER", what)), "REGISTER", what));
  assertEquals(statusOf(answer), 200);
});

Deno.test("registrar: a user with an alias registers under it", () => {
  const harness = registrar("--auth", "pc", "--from_alias", "1001=alice");
  const caller = new PcCaller("alice", "secret", 9, "Authorization");
  const number = "<sip:1001@example.com>";
  const what = parts(["<sip:1001@192.0.2.10:5070>"], { cseq: undefined, to: number, from: number });
  const answer = harness.ask(caller.again(harness.ask(caller.request("REGISTER", what)), "REGISTER", what));
  assertEquals(statusOf(answer), 200);
  assertEquals(statusOf(called(harness, "sip:1001@example.com").first), 0);
});

for (const auth of ["digest", "both"]) {
  Deno.test(`registrar: Digest, 401 (--auth ${auth})`, async () => {
    const harness = registrar("--auth", auth);
    harness.receive(register(["<sip:alice@192.0.2.10:5070>"]));
    await harness.settled();
    const challenged = harness.take().map(({ text }) => text).find((text) => statusOf(text) === 401)!;
    const challenge = parseDigestChallenge(parseAuth(headers(challenged, "WWW-Authenticate")[0]));
    if (isMalformed(challenge)) throw new Error(challenged);
    for (
      const [password, status, to] of [["wrong", 401, ALICE], ["secret", 200, ALICE], [
        "secret",
        403,
        "<sip:bob@example.com>",
      ]]
    ) {
      const account = { username: "alice", password: String(password) };
      const value = answerDigest(
        hasher,
        challenge,
        account,
        { method: "REGISTER", uri: "sip:example.com" },
        "5f",
        1 + cseq,
      );
      harness.receive(
        register(["<sip:alice@192.0.2.10:5070>"], { headers: [`Authorization: ${value}`], to: String(to) }),
      );
      await harness.settled();
      assertEquals(harness.take().map(({ text }) => statusOf(text)).filter((code) => code !== 100), [status]);
    }
    assertEquals(statusOf(called(harness).first), 0);
  });
}

Deno.test("registrar: a call to a sips URI reaches no contact without TLS (RFC 3261 §26.2.2)", () => {
  const harness = registrar();
  harness.ask(register(["<sip:alice@192.0.2.10:5070>"]));
  assertEquals(statusOf(called(harness, "sips:alice@example.com").first), 480);
});

Deno.test("registrar: when another thread owns the location, the answer comes when it has answered", () => {
  const location = new Location(0, { maxContacts: 10, maxAors: 10 });
  const waiting: (() => void)[] = [];
  const owner: LocationOwner = {
    register: (registration, now, done) =>
      void waiting.push(() => location.register(registration, now, done)),
  };
  const harness = new ProxyHarness(["--registrar", "1", "--auth", "none"], { location: { location, owner } });
  harness.receive(register(["<sip:alice@192.0.2.10:5070>"]));
  harness.receive(request("OPTIONS"));
  assertEquals(statusOf(harness.takeOne()), 0);
  waiting[0]();
  assertEquals(contactsOf(harness.takeOne()), ["<sip:alice@192.0.2.10:5070>;expires=3600"]);
  // An answer that comes after the request was given up is nobody's.
  harness.receive(register(["<sip:alice@192.0.2.10:5070>"]));
  harness.runTo(70_000);
  assertEquals(harness.take().map(({ text }) => statusOf(text)).filter((status) => status > 100), [500]);
  waiting[1]();
  assertEquals(harness.take(), []);
});

Deno.test("registrar: a route without --registrar that saves or looks up says so", () => {
  const harness = new ProxyHarness([], { route: (_request, proxy) => void proxy.lookup() });
  assertEquals(statusOf(harness.ask(request("MESSAGE"))), 500);
  assertStringIncludes(harness.logs[0], "lookup: there is no registrar (--registrar)");
});
