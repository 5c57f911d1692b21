/** For tests: what every table of contacts does. */
import { assertEquals } from "@std/assert";
import type { LocationChange } from "../location.ts";
import { type LocationRow, readRow, rowsOf } from "./location_rows.ts";
import type { LocationStore } from "./location_store.ts";

const CLOCKS = { wall: 1_800_000_000_000, now: 5000 };
const DOMAINS = new Set(["example.com"]);

/** Contacts with everything that a contact can have. */
export const CONTRACT_CHANGES: readonly LocationChange[] = [
  {
    aor: "alice@example.com",
    bindings: [
      {
        uri: "sip:alice@192.0.2.10:5070;transport=udp",
        q: 0.333,
        expires: 65_000,
        callId: "7f3a9c@192.0.2.10",
        cseq: 2 ** 31 - 1,
        path: [],
        received: { host: "2001:db8::7", port: 30_000, transport: "tls" },
        userAgent: "Phone 'x' \"1\"; DROP TABLE location",
        params: ';+sip.instance="<urn:uuid:0;1>";ob',
      },
      {
        uri: "sip:alice@10.0.0.1",
        q: 0,
        expires: 125_000,
        callId: "b",
        cseq: 0,
        path: ["<sip:edge.example.com;lr>", '"A, B" <sip:192.0.2.77;lr>;x=1'],
        received: undefined,
        userAgent: "",
        params: "",
      },
    ],
  },
  {
    aor: "Alice@example.com",
    bindings: [{
      uri: "sip:x@192.0.2.11",
      q: 1,
      expires: 65_000,
      callId: "c",
      cseq: 1,
      path: [],
      received: { host: "203.0.113.7", port: 5061 },
      userAgent: "漢字😀",
      params: "",
    }],
  },
];

async function all(store: LocationStore): Promise<LocationRow[]> {
  const rows: LocationRow[] = [];
  for await (const some of store.load()) rows.push(...some);
  return rows;
}

async function read(store: LocationStore): Promise<LocationChange[]> {
  const users = new Map<string, LocationChange["bindings"][number][]>();
  for (const row of await all(store)) {
    const { aor, binding } = readRow(row, DOMAINS, CLOCKS)!;
    users.set(aor, [...users.get(aor) ?? [], binding]);
  }
  return [...users].map(([aor, bindings]) => ({ aor, bindings }));
}

/** Tests a store, which is empty. */
export async function locationContract(t: Deno.TestContext, store: LocationStore): Promise<void> {
  const write = (changes: readonly LocationChange[]) =>
    store.replace(changes.map((change) => rowsOf(change, CLOCKS)));
  await t.step("contacts come back as they were", async () => {
    assertEquals(await read(store), []);
    await write(CONTRACT_CHANGES);
    assertEquals(await read(store), CONTRACT_CHANGES);
  });
  await t.step("writing again leaves no second row, and users differ by case", async () => {
    await write(CONTRACT_CHANGES);
    await write([{ aor: "ALICE@example.com", bindings: [] }]);
    assertEquals(await read(store), CONTRACT_CHANGES);
    await write([{ aor: "alice@example.com", bindings: [] }]);
    assertEquals(await read(store), CONTRACT_CHANGES.slice(1));
  });
  await t.step("what is over is removed", async () => {
    await write(CONTRACT_CHANGES);
    await store.removeExpired(CLOCKS.wall / 1000 + 60);
    assertEquals((await all(store)).map(({ contact }) => contact), ["sip:alice@10.0.0.1"]);
  });
  await t.step("more rows than are read at a time", async () => {
    const [{ bindings }] = CONTRACT_CHANGES;
    const many = Array.from(
      { length: 1201 },
      (_, i) => ({ aor: `u${i}@example.com`, bindings: [bindings[0]] }),
    );
    await write(many);
    const back = await read(store);
    assertEquals(back.length, many.length + 1);
    await write(many.map(({ aor }) => ({ aor, bindings: [] })));
    assertEquals((await all(store)).length, 1);
  });
}
