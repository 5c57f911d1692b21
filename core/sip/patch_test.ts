import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  addReceivedRport,
  decrementMaxForwards,
  popRoute,
  popVia,
  pushRecordRoute,
  pushRoute,
  pushVia,
  setRequestUri,
} from "./forward.ts";
import { encodeText } from "./ascii.ts";
import { HeaderId } from "./header.ts";
import { SipMessage } from "./message.ts";
import { Patch } from "./patch.ts";
import { INVITE, lines, RESPONSE, TORTURE } from "./test_messages.ts";

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

function edited(bytes: Uint8Array, edit: (patch: Patch, message: SipMessage) => void): string {
  const message = new SipMessage();
  message.parse(bytes, 0, bytes.length);
  const patch = new Patch().begin(message);
  edit(patch, message);
  return text(patch.toBytes());
}

Deno.test("patch: without edits the bytes are the same", () => {
  for (const { bytes } of TORTURE) {
    const message = new SipMessage();
    const problem = message.parse(bytes, 0, bytes.length);
    if (problem !== undefined) continue;
    assertEquals(new Patch().begin(message).toBytes(), bytes.slice(message.start, message.bodyEnd));
  }
});

Deno.test("patch: a proxy's edits in any order give the same bytes", () => {
  const edits: ((patch: Patch) => void)[] = [
    (patch) => pushVia(patch, "SIP/2.0/UDP p;branch=z9hG4bKx"),
    (patch) => pushRecordRoute(patch, encodeText("??<sip:p;lr>??"), 2, 12),
    (patch) => assertEquals(decrementMaxForwards(patch), 69),
    (patch) => setRequestUri(patch, "sip:other@example.org"),
    (patch) => addReceivedRport(patch, { host: "198.51.100.7", port: 4000 }),
    (patch) => patch.removeHeader(HeaderId.PROXY_AUTHORIZATION),
  ];
  const expected = text(INVITE)
    .replace("sip:service@example.com:5060 SIP", "sip:other@example.org SIP")
    .replace(/Via: (.*?);rport(.*)\r\n/, (_, a, b) =>
      "Via: SIP/2.0/UDP p;branch=z9hG4bKx\r\n" +
      `Via: ${a};rport=4000${b};received=198.51.100.7\r\nRecord-Route: <sip:p;lr>\r\n`)
    .replace(/Proxy-Authorization.*\r\n/, "").replace("Max-Forwards: 70", "Max-Forwards: 69");
  for (let shift = 0; shift < edits.length; shift++) {
    const order = [...edits.slice(shift), ...edits.slice(0, shift)];
    assertEquals(edited(INVITE, (patch) => order.forEach((edit) => edit(patch))), expected);
    assertEquals(edited(INVITE, (patch) => order.reverse().forEach((edit) => edit(patch))), expected);
  }
});

Deno.test("patch: popVia takes one value of a list, then the line", () => {
  const once = edited(RESPONSE, popVia);
  assertEquals(once, text(RESPONSE).replace("SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKproxy1, ", ""));
  const twice = edited(encodeText(once), popVia);
  assertEquals(twice, once.replace("Via: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKproxy2\r\n", ""));
});

Deno.test("patch: any set of values may be taken out of a list", () => {
  const values = ['"a,b" <sip:1,1>', '<sip:2>;x="y,z"', "<sip:3>", "<sip:4>"];
  const head = ["BYE sip:x SIP/2.0", "v: SIP/2.0/UDP a", "f: <sip:a>", "t: <sip:b>", "i: 1", "CSeq: 1 BYE"];
  for (const joint of [",", ", ", " ,\r\n\t"]) {
    for (let set = 0; set < 16; set++) {
      for (const backwards of [false, true]) {
        const result = edited(lines([...head, "Route: " + values.join(joint), "X: y"]), (patch, message) => {
          const found = [...message.values(HeaderId.ROUTE)].map(([start]) => start);
          assertEquals(found.length, 4);
          const chosen = found.filter((_, i) => set & (1 << i));
          for (const start of backwards ? chosen.reverse() : chosen) {
            patch.removeValue(message.first(HeaderId.ROUTE), start);
          }
        });
        const message = new SipMessage();
        const bytes = encodeText(result);
        assertEquals(message.parse(bytes, 0, bytes.length), undefined);
        const left = [...message.values(HeaderId.ROUTE)].map(([start, end]) => message.text(start, end));
        assertEquals(left, values.filter((_, i) => !(set & (1 << i))), `${JSON.stringify(joint)} ${set}`);
        assertEquals(message.first(HeaderId.ROUTE) < 0, set === 15);
        assert(!/,\s*$/m.test(result.replace(/,\r\n\t/g, ", ")), result);
        assertEquals(message.valueOf("X"), "y");
      }
    }
  }
});

Deno.test("patch: popRoute passes empty elements over, pushRoute goes first", () => {
  const head = ["BYE sip:x SIP/2.0", "v: SIP/2.0/UDP a", "f: <sip:a>", "t: <sip:b>", "i: 1", "CSeq: 1 BYE"];
  const result = edited(lines([...head, "Route: , <sip:1;lr>, <sip:2;lr>"]), (patch) => {
    popRoute(patch);
    pushRoute(patch, "<sip:0;lr>");
  });
  assertEquals(result, text(lines([...head, "Route: <sip:0;lr>", "Route: , <sip:2;lr>"])));
});

Deno.test("patch: Max-Forwards is inserted, counted down, and stops at 0", () => {
  const head = ["BYE sip:x SIP/2.0", "v: SIP/2.0/UDP a", "f: <sip:a>", "t: <sip:b>", "i: 1", "CSeq: 1 BYE"];
  const forwards = (value: string) =>
    edited(lines([...head, `Max-Forwards: ${value}`]), decrementMaxForwards);
  assertEquals(
    edited(lines(head), decrementMaxForwards),
    text(lines([
      ...head.slice(0, 2),
      "Max-Forwards: 70",
      ...head.slice(2),
    ])),
  );
  for (const [before, after] of [["1", "0"], ["10", "9"], ["100", "99"], ["255", "254"], ["0068", "67"]]) {
    assertEquals(forwards(before), text(lines([...head, `Max-Forwards: ${after}`])));
  }
  const message = new SipMessage();
  const bytes = lines([...head, "Max-Forwards: 0"]);
  message.parse(bytes, 0, bytes.length);
  assertEquals(decrementMaxForwards(new Patch().begin(message)), -1);
});

Deno.test("patch: received and rport", () => {
  const via = (value: string, host: string) => {
    const head = ["BYE sip:x SIP/2.0", `Via: ${value}`, "f: <sip:a>", "t: <sip:b>", "i: 1", "CSeq: 1 BYE"];
    const result = edited(lines(head), (patch) => addReceivedRport(patch, { host, port: 9 }));
    return result.split("\r\n")[1].slice("Via: ".length);
  };
  assertEquals(via("SIP/2.0/UDP 192.0.2.1", "192.0.2.1"), "SIP/2.0/UDP 192.0.2.1");
  assertEquals(via("SIP/2.0/UDP 192.0.2.1", "192.0.2.2"), "SIP/2.0/UDP 192.0.2.1;received=192.0.2.2");
  assertEquals(
    via("SIP/2.0/UDP 192.0.2.1;rport;branch=x", "192.0.2.1"),
    "SIP/2.0/UDP 192.0.2.1;rport=9;branch=x;received=192.0.2.1",
  );
  assertEquals(
    via("SIP/2.0/UDP a;received=1.1.1.1;rport=77, SIP/2.0/UDP b", "::1"),
    "SIP/2.0/UDP a;received=::1;rport=9, SIP/2.0/UDP b",
  );
  assertEquals(
    via("SIP/2.0/UDP a ; branch=1 , SIP/2.0/UDP b", "b"),
    "SIP/2.0/UDP a ; branch=1;received=b , SIP/2.0/UDP b",
  );
});

Deno.test("patch: edits that overlap, lie outside or do not fit are misuse", () => {
  const message = new SipMessage();
  message.parse(INVITE, 0, INVITE.length);
  const out = new Uint8Array(4096);
  const patch = new Patch();
  patch.begin(message).remove(10, 20);
  patch.insert(15, "x");
  assertThrows(() => patch.apply(out, 0), RangeError, "overlaps");
  patch.begin(message).remove(INVITE.length - 1, INVITE.length + 1);
  assertThrows(() => patch.apply(out, 0), RangeError, "outside");
  patch.begin(message).insert(0, "x");
  assertThrows(() => patch.apply(new Uint8Array(INVITE.length), 0), RangeError, "fit");
  assertEquals(patch.apply(out, 5), INVITE.length + 1);
  assertEquals(out.slice(5, 7), encodeText("xI"));
  patch.begin(message).remove(10, 20);
  patch.insert(20, "b");
  patch.insert(10, "a");
  assertEquals(text(patch.toBytes()).slice(0, 12), text(INVITE).slice(0, 10) + "ab");
});

Deno.test("patch: within one array it copies without a view, and many edits fit", () => {
  const arena = new Uint8Array(8192);
  arena.set(INVITE, 0);
  const message = new SipMessage();
  message.parse(arena, 0, INVITE.length);
  const patch = new Patch().begin(message);
  const piece = encodeText("<piece>");
  for (let k = 0; k < 100; k++) patch.insert(message.lineStart(k % 10), piece, 1, 6);
  const length = patch.apply(arena, 4096);
  assertEquals(length, INVITE.length + 500);
  assertEquals(text(arena.subarray(4096, 4096 + length)).replaceAll("piece", ""), text(INVITE));
});
