import { assert, assertEquals } from "@std/assert";
import { seededRandom } from "../random.ts";
import { parseIpAddress } from "./ip_address.ts";
import { PeerTable } from "./peer_table.ts";
import { SOCKADDR_IN6_WORDS, toSockaddr } from "./sockaddr.ts";

const sockaddr = (host: string, port: number) => toSockaddr(parseIpAddress(host)!, port);

Deno.test("socket addresses are the structures of Linux", () => {
  assertEquals(
    new Uint8Array(sockaddr("192.0.2.1", 5060).buffer),
    Uint8Array.of(2, 0, 0x13, 0xc4, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0),
  );
  const six = new Uint8Array(sockaddr("2001:db8::1", 65535).buffer);
  assertEquals([...six], [
    10,
    0,
    255,
    255,
    0,
    0,
    0,
    0,
    0x20,
    1,
    0xd,
    0xb8,
    ...new Array(11).fill(0),
    1,
    0,
    0,
    0,
    0,
  ]);
});

Deno.test("a peer is one object, by its bytes and by its text", () => {
  const table = new PeerTable(1);
  for (const [host, port] of [["192.0.2.1", 5060], ["2001:db8::1", 5061], ["::1", 1]] as const) {
    const peer = table.fromSockaddr(sockaddr(host, port), 0);
    assertEquals([peer.host, peer.port], [host, port]);
    assert(table.fromSockaddr(sockaddr(host, port), 0) === peer);
    assert(table.fromAddress({ host, port }) === peer);
    assert(table.fromAddress(peer) === peer);
    assert(table.fromSockaddr(sockaddr(host, port + 1), 0) !== peer);
  }
  assertEquals(table.fromAddress({ host: "example.com", port: 5060 }), undefined);
  assertEquals(table.fromAddress({ host: "", port: 5060 }), undefined);
});

Deno.test("what else lies in the buffer makes no other peer", () => {
  const table = new PeerTable(2);
  const words = new Uint32Array(16).fill(0xabcdabcd);
  words.set(sockaddr("192.0.2.1", 5060).subarray(0, 2), 3);
  assert(table.fromSockaddr(words, 3) === table.fromAddress({ host: "192.0.2.1", port: 5060 }));
  words.set(sockaddr("2001:db8::1", 5060), 3);
  words[4] = 0x1234; // Flow information is not part of the address.
  assert(table.fromSockaddr(words, 3) === table.fromAddress({ host: "2001:db8::1", port: 5060 }));
  words[3 + SOCKADDR_IN6_WORDS - 1] = 7; // The scope is: replies have to leave by the same interface.
  assert(table.fromSockaddr(words, 3) !== table.fromAddress({ host: "2001:db8::1", port: 5060 }));
  assertEquals(table.fromSockaddr(words, 3).sockaddr[6], 7);
});

Deno.test("a thousand peers keep their objects; a flood is forgotten, and always answered rightly", () => {
  const table = new PeerTable(3);
  const hosts = Array.from(
    { length: 1000 },
    (_, i) => ({ host: `10.0.${i >> 8}.${i & 255}`, port: 1024 + i }),
  );
  const peers = hosts.map(({ host, port }) => table.fromSockaddr(sockaddr(host, port), 0));
  for (const [i, { host, port }] of hosts.entries()) {
    assert(table.fromSockaddr(sockaddr(host, port), 0) === peers[i]);
  }
  const random = seededRandom(4);
  for (let i = 0; i < 40_000; i++) {
    const ip = random.bytes(i % 2 === 0 ? 4 : 16);
    const port = random.below(65536);
    const peer = table.fromSockaddr(toSockaddr(ip, port), 0);
    assertEquals(parseIpAddress(peer.host), ip);
    assert(peer.port === port);
  }
});
