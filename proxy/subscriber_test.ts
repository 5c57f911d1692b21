import { assertEquals } from "@std/assert";
import { seededRandom, type SipMessage, unescapeUser } from "../mod.ts";
import { ClaimView, usernameFault } from "./subscriber.ts";
import { parse, request } from "./testing.ts";

const ROUNDS = 5000;
/** Another run explores other senders: FUZZ_SEED=n deno test … */
const SEED = Number(Deno.env.get("FUZZ_SEED") ?? 20261125);
const view = new ClaimView();

/** The rule word for word, by texts and objects: docs/PROTOCOL.md §4. */
function expected(message: SipMessage): string | { user: string; host: string } {
  const uri = message.fromUri();
  if (uri === undefined) return "From has no readable URI (characters beyond ASCII must be escaped)";
  const user = unescapeUser(uri.user ?? "");
  if (user === undefined) return "the user of From is not text";
  const fault = usernameFault(user);
  if (fault !== undefined) return `the user of From ${fault}`;
  return { user, host: uri.host.toLowerCase() };
}

function compare(from: string): string | { user: string; host: string } {
  const message = parse(request("INVITE", { from }));
  const wanted = expected(message);
  const problem = view.read(message) ?? view.nameFault;
  const seen = problem ?? { user: view.user, host: view.host };
  assertEquals(seen, wanted, from);
  if (problem === undefined) {
    const bytes = new TextEncoder().encode(view.user);
    assertEquals(view.isUser(bytes, 0, bytes.length), true);
    if (bytes.length > 0) assertEquals(view.isUser(bytes, 1, bytes.length), false);
    assertEquals(view.nameBuffer.slice(view.nameStart, view.nameEnd), bytes);
    const written = new TextDecoder().decode(message.buffer.slice(view.userStart, view.userEnd));
    assertEquals(view.plain ? written : decodeURIComponent(written), view.user);
    assertEquals(view.plain, !written.includes("%"));
  }
  return seen;
}

Deno.test("claim: the user and the host of From, unescaped and in lower case", () => {
  assertEquals(compare("Alice <sip:alice@Example.COM>"), { user: "alice", host: "example.com" });
  assertEquals(compare("<sips:%61li%C3%A9@example.com:5061;x=%41>"), {
    user: "ali\u00e9",
    host: "example.com",
  });
  assertEquals(compare("<sip:alice:secret@[2001:DB8::1]>"), { user: "alice", host: "2001:db8::1" });
  assertEquals(compare("<sip:example.com>"), { user: "", host: "example.com" });
  assertEquals(compare("<tel:+4930123>"), { user: "", host: "" });
  assertEquals(compare("<SIP:%EF%BB%BFa@h>"), { user: "\ufeffa", host: "h" });
});

Deno.test("claim: what nobody can be is said, and leaves nothing behind", () => {
  for (
    const [from, problem] of [
      ["<sip:\u00e9@example.com>", "From has no readable URI (characters beyond ASCII must be escaped)"],
      ["<sip:a@>", "From has no readable URI (characters beyond ASCII must be escaped)"],
      ["<tel:\u00e9>", "From has no readable URI (characters beyond ASCII must be escaped)"],
      ["<sip:a%ffb@example.com>", "the user of From is not text"],
      ["<sip:a%C0%80b@example.com>", "the user of From is not text"],
      ["<sip:a%ED%A0%80b@example.com>", "the user of From is not text"],
      ["<sip:a%0ab@example.com>", "the user of From has a control character"],
      ["<sip:a%7f@example.com>", "the user of From has a control character"],
      [`<sip:${"x".repeat(257)}@example.com>`, "the user of From is too long"],
      [`<sip:${"%C3%A9".repeat(129)}@example.com>`, "the user of From is too long"],
      [`<sip:${"%C3%A9".repeat(3000)}%ff@example.com>`, "the user of From is not text"],
    ]
  ) {
    assertEquals(compare(from), problem);
    assertEquals(compare("<sip:alice@example.com>"), { user: "alice", host: "example.com" });
  }
  assertEquals(typeof compare(`<sip:${"x".repeat(256)}@example.com>`), "object");
  assertEquals(typeof compare(`<sip:${"%C3%A9".repeat(128)}@example.com>`), "object");
});

Deno.test("claim: generated senders read as the rule says", () => {
  const parts = [
    "sip:",
    "sips:",
    "tel:",
    "%41",
    "%C3%A9",
    "%e9",
    "%00",
    "%",
    "a",
    "B",
    "@",
    ":",
    ";x=1",
    "h.de",
    "1",
  ];
  for (let round = 0; round < ROUNDS; round++) {
    const random = seededRandom(SEED + round);
    const text = Array.from({ length: random.below(8) }, () => parts[random.below(parts.length)]).join("");
    try {
      compare(`<${random.below(4) === 0 ? "" : "sip:"}${text}${random.below(3) === 0 ? "h" : "@h"}>;tag=1`);
    } catch (error) {
      throw new Error(`FUZZ_SEED=${SEED + round}: ${text}`, { cause: error });
    }
  }
});
