import { assert, assertEquals, assertThrows } from "@std/assert";
import { toHex } from "../mod.ts";
import { KeyRing, KeysFileError, KeyTable, parseKeysFile, type ProxyKey } from "./proxy_keys.ts";

const hex = (byte: number) => byte.toString(16).padStart(2, "0").repeat(16);
const key = (byte: number) => new Uint8Array(16).fill(byte);

Deno.test("keys file: names, several keys, realms, comments", () => {
  const text = `# keys\r\n\nedge-1 ${hex(1)}\n  edge-2\t${hex(2)} a.org,b.org # old\nedge-1 ${
    hex(3).toUpperCase()
  }${hex(4)} #x\n`;
  assertEquals(
    parseKeysFile("f", text).map(({ name, keys, realms }) => ({ name, keys: keys.map(toHex), realms })),
    [
      { name: "edge-1", keys: [hex(1), hex(3) + hex(4)], realms: undefined },
      { name: "edge-2", keys: [hex(2)], realms: ["a.org", "b.org"] },
    ],
  );
});

Deno.test("keys file: what is wrong is named with file, line and column, never with the key", () => {
  const secret = hex(0xab);
  const cases: [text: string, said: string][] = [
    ["", "f: holds no key"],
    ["edge-1", "f:1:7: the key is missing"],
    ["# x\n edge-1 abcd", "f:2:9: the key is no hexadecimal number of 32 digits"],
    [`edge-1 ${secret}a`, "f:1:8: the key is no"],
    [`edge-1 ${secret.slice(1)}g`, "f:1:8: the key is no"],
    [`${secret} edge-1`, "f:1:34: the key is no"],
    [`edge-1 ${secret} a.org b.org`, "f:1:47: there is more"],
    [`edge-1 ${secret} a.org,`, "f:1:41: a realm is empty"],
    [`edge-1 ${secret} a.org\nedge-1 ${secret}`, "f:2:40: the realms are others"],
    [`${"x".repeat(65)} ${secret}`, "f:1:1: a proxy's name has at most 64"],
    [`e ${secret}\n`.repeat(5), "f:5:3: e has more than 4 keys"],
  ];
  for (const [text, said] of cases) {
    const { message } = assertThrows(() => parseKeysFile("f", text), KeysFileError);
    assert(message.startsWith(said), `${message} | ${said}`);
    assert(!message.includes(secret) && !message.includes("\n"), message);
  }
});

Deno.test("key ring: new first, then those that went lately, for a while; a name that went is not served", () => {
  const named = (...proxies: ProxyKey[]) => ({ kind: "named", proxies }) as const;
  const ring = new KeyRing(named({ name: "a", keys: [key(1)] }, { name: "b", keys: [key(9)] }), 1000);
  const now = (time: number) => {
    const table = new KeyTable(ring.snapshot(time));
    return { a: table.keysOf("a")?.map(toHex), b: table.keysOf("b")?.map(toHex) };
  };
  assertEquals(now(0), { a: [hex(1)], b: [hex(9)] });
  assertEquals(ring.nextDue(0), Infinity);
  ring.replace(named({ name: "a", keys: [key(2)], realms: ["x"] }), 100);
  assertEquals(now(100), { a: [hex(2), hex(1)], b: undefined });
  assertEquals(new KeyTable(ring.snapshot(100)).realmsOf("a"), new Set(["x"]));
  assertEquals(ring.nextDue(100), 1100);
  ring.replace(named({ name: "a", keys: [key(3)] }), 600);
  assertEquals(now(600), { a: [hex(3), hex(2), hex(1)], b: undefined });
  assertEquals(now(1100), { a: [hex(3), hex(2)], b: undefined });
  assertEquals(ring.nextDue(1100), 1600);
  // A key that comes back is a current one again, and there once.
  ring.replace(named({ name: "a", keys: [key(2)] }), 1200);
  assertEquals(now(1200), { a: [hex(2), hex(3)], b: undefined });
  assertEquals(now(1_000_000), { a: [hex(2)], b: undefined });
  // Four at most: the newest.
  for (let i = 10; i < 20; i++) ring.replace(named({ name: "a", keys: [key(i)] }), 1200);
  assertEquals(now(1200).a, [19, 18, 17, 16].map(hex));
});

Deno.test("key ring: one key for every name, and none", () => {
  const ring = new KeyRing({ kind: "any", key: key(1) }, 1000);
  ring.replace({ kind: "any", key: key(2) }, 0);
  const at = (time: number) => new KeyTable(ring.snapshot(time)).keysOf("whoever")?.map(toHex);
  assertEquals([at(0), at(2000)], [[hex(2), hex(1)], [hex(2)]]);
  const none = new KeyRing({ kind: "none" }, 0);
  assertEquals([none.asksForKeys, new KeyTable(none.snapshot(0)).keysOf("x")], [false, []]);
});
