import { assert, assertEquals } from "@std/assert";
import { AddressTable } from "./address_table.ts";
import { datagramContract } from "./datagram_contract.ts";
import { openDatagramSocket } from "./datagram_io.ts";

datagramContract("Deno.listenDatagram", openDatagramSocket);

Deno.test("an address table is bounded, and starts anew when it is full", () => {
  const table = new AddressTable(3);
  const first = table.get("10.0.0.1", 5060);
  assert(table.get("10.0.0.1", 5060) === first);
  for (let port = 1; port <= 10; port++) table.get("10.0.0.2", port);
  assert(table.size <= 3);
  assertEquals(table.get("10.0.0.1", 5060), first);
});
