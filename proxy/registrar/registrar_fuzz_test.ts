/** Damaged REGISTER through the registrar: it never fails, all that it sends is SIP, and what it keeps can be called and stored. */
import { assert, assertEquals } from "@std/assert";
import { seededRandom, SipMessage } from "../../mod.ts";
import { Location, type LocationChange } from "../location.ts";
import { damaged } from "../test_damage.ts";
import { firstLine, ProxyHarness, request, statusOf } from "../testing.ts";
import { readRow, rowsOf } from "./location_rows.ts";

const ROUNDS = 2000;
/** Another run explores others: FUZZ_SEED=n deno test … */
const FIRST = Number(Deno.env.get("FUZZ_SEED") ?? 1);
const STATUSES = [200, 400, 403, 404, 405, 408, 416, 420, 423, 480, 481, 482, 483, 500, 503, 505, 513];
// deno-lint-ignore no-control-regex
const CONTROLS = /[\x00-\x1f\x7f]/;
const CLOCKS = { wall: 1_800_000_000_000, now: 0 };

const SAMPLES: readonly Parameters<typeof request>[1][] = [
  {},
  {
    contacts: ["<sip:a@192.0.2.1>;q=0.5;expires=600", 'sip:b@192.0.2.2;expires=60, "C, D" <sip:c@192.0.2.3>'],
  },
  { contacts: ["*"], headers: ["Expires: 0"] },
  { contacts: ["<sip:a@192.0.2.1?X=%3Cy%3E>"], headers: ["Expires: 7200", "Require: path"] },
  {
    headers: [
      "Supported: path",
      'Path: <sip:edge.example.com;lr>, "A, B" <sip:192.0.2.7;lr>',
      "User-Agent: Phone",
    ],
    contacts: ['<sip:a@10.0.0.1>;+sip.instance="<urn:uuid:0>";reg-id=1'],
    via: "SIP/2.0/UDP 10.0.0.1:5060;rport;branch=z9hG4bKf",
  },
];

for (const seed of [FIRST, FIRST + 1, FIRST + 2]) {
  Deno.test(`registrar fuzz: damaged REGISTER, seed ${seed}`, () => {
    const random = seededRandom(seed);
    const changes: LocationChange[] = [];
    const location = new Location(0, {
      maxContacts: 10,
      maxAors: 50,
      onChange: (change) => void changes.push(change),
    });
    const harness = new ProxyHarness(["--registrar", "1", "--auth", "none"], {
      location: { location, owner: location },
    });
    const view = new SipMessage();
    for (let round = 0; round < ROUNDS; round++) {
      const user = `user${random.below(4)}`;
      const text = request("REGISTER", {
        uri: "sip:example.com",
        from: `<sip:${user}@example.com>`,
        to: `<sip:${user}@example.com>`,
        cseq: round + 1,
        ...SAMPLES[random.below(SAMPLES.length)],
      }).replace(/branch=[^\r;]*/, `branch=z9hG4bKz${seed}x${round}`);
      harness.receive(damaged(text, random));
      for (const { text, bytes } of harness.take()) {
        const status = statusOf(text);
        // What a request lacks its refusal lacks too.
        if (status <= 200) assertEquals(view.parse(bytes, 0, bytes.length), undefined, text);
        assert(status === 0 || status === 100 || STATUSES.includes(status), firstLine(text));
      }
      // What is kept can be called: a call ends in a request or a status, never in silence.
      if (round % 10 === 0) {
        harness.receive(request("MESSAGE", { uri: `sip:${user}@example.com` }));
        assert(harness.take().length > 0);
        harness.runTo(harness.now + 40);
        harness.take();
      }
    }
    assertEquals(harness.logs.filter((line) => line.startsWith("route_failed")), []);
    assert(changes.length > ROUNDS / 20, `${changes.length} changes`);
    assert(location.size <= 50);
    // What is kept can be stored, and comes back the same.
    for (const change of changes) {
      const { rows } = rowsOf(change, CLOCKS);
      rows.forEach((row, i) => {
        const { expires, received, ...kept } = change.bindings[i];
        const back = readRow({ ...row, expires: CLOCKS.wall / 1000 + 60 }, new Set(["example.com"]), CLOCKS);
        if (back === undefined) return assert(CONTROLS.test(row.username), JSON.stringify(row));
        assertEquals({ ...back.binding, expires: 0, received: undefined }, {
          ...kept,
          expires: 0,
          received: undefined,
        });
        assertEquals(back.binding.received?.host, received?.host);
        assert(expires > 0);
      });
    }
  });
}
