import { assert, assertEquals } from "@std/assert";
import { AddressTable } from "./address_table.ts";
import { datagramContract } from "./datagram_contract.ts";
import { openDenoDatagramSocket } from "./deno_datagram_io.ts";

datagramContract("Deno.listenDatagram", openDenoDatagramSocket, false);

Deno.test("Deno.listenDatagram: what its queue does not hold is dropped", async () => {
  const socket = await openDenoDatagramSocket({ host: "127.0.0.1", port: 0, onDatagram() {}, onError() {} });
  for (let i = 0; i < 10_000; i++) socket.send(new Uint8Array(10), 0, 10, socket.local);
  assert(socket.dropped > 0);
  await socket.close();
});

Deno.test("an address table is bounded, and starts anew when it is full", () => {
  const table = new AddressTable(3);
  const first = table.get("10.0.0.1", 5060);
  assert(table.get("10.0.0.1", 5060) === first);
  for (let port = 1; port <= 10; port++) table.get("10.0.0.2", port);
  assert(table.size <= 3);
  assertEquals(table.get("10.0.0.1", 5060), first);
});
