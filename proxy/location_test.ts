/** The location service in virtual time: RFC 3261 §10.3 step 7, bounds and expiry. */
import { assert, assertEquals } from "@std/assert";
import { seededRandom } from "../mod.ts";
import {
  type Binding,
  Location,
  type LocationChange,
  type NewContact,
  type Registration,
} from "./location.ts";

const AOR = "alice@example.com";

function contact(uri: string, seconds = 3600, q = 1): NewContact {
  return { uri, q, params: "", seconds };
}

function registration(contacts: Registration["contacts"], parts: Partial<Registration> = {}): Registration {
  return {
    aor: AOR,
    callId: "a",
    cseq: 1,
    contacts,
    path: [],
    received: undefined,
    userAgent: "x",
    ...parts,
  };
}

function newLocation(changes: LocationChange[] = [], maxContacts = 3, maxAors = 2): Location {
  return new Location(0, { maxContacts, maxAors, onChange: (change) => void changes.push(change) });
}

const uris = (bindings: readonly Binding[]) => bindings.map(({ uri }) => uri);

Deno.test("location: contacts come, change, and go by their q and time", () => {
  const location = newLocation();
  location.apply(registration([contact("sip:a@192.0.2.1", 60, 0.5), contact("sip:a@192.0.2.2", 120)]), 0);
  assertEquals(uris(location.lookup(AOR, 0)), ["sip:a@192.0.2.2", "sip:a@192.0.2.1"]);
  location.apply(registration([contact("sip:a@192.0.2.1", 60, 0.7)], { cseq: 2 }), 30_000);
  assertEquals(location.lookup(AOR, 30_000).map(({ q }) => q), [1, 0.7]);
  // Over at the very moment, whether the wheel has turned or not.
  assertEquals(uris(location.lookup(AOR, 89_999)), ["sip:a@192.0.2.2", "sip:a@192.0.2.1"]);
  assertEquals(uris(location.lookup(AOR, 90_000)), ["sip:a@192.0.2.2"]);
  location.advance(90_000);
  assertEquals([location.size, location.contacts], [1, 1]);
  location.advance(120_010);
  assertEquals([location.size, location.contacts], [0, 0]);
  assertEquals([...location.entries(120_010)], []);
});

Deno.test("location: the same contact by the rules of RFC 3261 §19.1.4 is one contact", () => {
  const location = newLocation();
  location.apply(registration([contact("sip:%61lice@Example.com;transport=TCP")]), 0);
  location.apply(registration([contact("sip:alice@example.com;transport=tcp")], { cseq: 2 }), 0);
  location.apply(registration([contact("sip:alice@example.com")], { cseq: 3 }), 0);
  assertEquals(uris(location.lookup(AOR, 0)), [
    "sip:alice@example.com;transport=tcp",
    "sip:alice@example.com",
  ]);
});

Deno.test("location: an old CSeq of the same Call-ID changes nothing at all, another Call-ID counts anew", () => {
  const changes: LocationChange[] = [];
  const location = newLocation(changes);
  location.apply(registration([contact("sip:a@192.0.2.1")], { cseq: 5 }), 0);
  for (const cseq of [4, 5]) {
    const both = [contact("sip:a@192.0.2.2"), contact("sip:a@192.0.2.1")];
    assertEquals(location.apply(registration(both, { cseq }), 0), { fault: "old_cseq" });
    assertEquals(location.apply(registration([contact("sip:a@192.0.2.1", 0)], { cseq }), 0), {
      fault: "old_cseq",
    });
    assertEquals(location.apply(registration("*", { cseq }), 0), { fault: "old_cseq" });
  }
  assertEquals(uris(location.lookup(AOR, 0)), ["sip:a@192.0.2.1"]);
  assertEquals(changes.length, 1);
  location.apply(registration([contact("sip:a@192.0.2.1", 0)], { callId: "b", cseq: 1 }), 0);
  assertEquals(location.lookup(AOR, 0), []);
  assertEquals(changes.at(-1), { aor: AOR, bindings: [] });
});

Deno.test("location: the same contact twice in one request: the last counts", () => {
  const location = newLocation();
  location.apply(registration([contact("sip:a@192.0.2.1", 60, 0.1), contact("sip:a@192.0.2.1", 60, 0.2)]), 0);
  assertEquals(location.lookup(AOR, 0).map(({ q }) => q), [0.2]);
});

Deno.test("location: bounds on contacts and users; what is refused changes nothing", () => {
  const location = newLocation();
  const many = (count: number) => Array.from({ length: count }, (_, i) => contact(`sip:a@192.0.2.${i}`));
  assertEquals(location.apply(registration(many(4)), 0), { fault: "too_many_contacts" });
  assertEquals(location.size, 0);
  location.apply(registration(many(3)), 0);
  assertEquals(location.apply(registration([contact("sip:a@192.0.2.9")], { cseq: 2 }), 0), {
    fault: "too_many_contacts",
  });
  // One goes and another comes.
  const moved = [contact("sip:a@192.0.2.9"), contact("sip:a@192.0.2.0", 0)];
  assert("bindings" in location.apply(registration(moved, { cseq: 2 }), 0));
  assert("bindings" in location.apply(registration(many(1), { aor: "b@example.com" }), 0));
  assertEquals(location.apply(registration(many(1), { aor: "c@example.com" }), 0), { fault: "full" });
  // Those who are there may change; a place that is left is free.
  assert("bindings" in location.apply(registration(many(1), { aor: "b@example.com", cseq: 2 }), 0));
  location.apply(registration("*", { aor: "b@example.com", cseq: 3 }), 0);
  assert("bindings" in location.apply(registration(many(1), { aor: "c@example.com" }), 0));
});

Deno.test("location: a copy that is told of all changes is the same as its owner (seeded)", () => {
  const random = seededRandom(26);
  const copy = newLocation([], 10, 1000);
  const owner = new Location(0, { maxContacts: 10, maxAors: 1000, onChange: (change) => copy.take(change) });
  let now = 0;
  for (let cseq = 1; cseq < 5000; cseq++) {
    now += random.below(2000);
    const contacts = Array.from(
      { length: random.below(3) },
      () => contact(`sip:a@192.0.2.${random.below(8)}`, random.below(100), random.below(10) / 10),
    );
    const aor = `user${random.below(20)}@example.com`;
    owner.apply(registration(random.below(50) === 0 ? "*" : contacts, { aor, cseq }), now);
    owner.advance(now);
    copy.advance(now);
    assertEquals(copy.lookup(aor, now), owner.lookup(aor, now));
    assertEquals([copy.size, copy.contacts], [owner.size, owner.contacts]);
  }
});
