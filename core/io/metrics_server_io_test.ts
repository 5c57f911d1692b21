import { assertEquals } from "@std/assert";
import { isSameMachine } from "./metrics_server_io.ts";

Deno.test("the same machine: loopback, or the address itself; nobody else, whatever the name looks like", () => {
  const cases: [peer: string | undefined, own: string | undefined, expected: boolean][] = [
    ["127.0.0.1", "127.0.0.1", true],
    ["127.8.9.10", "127.0.0.1", true],
    ["::1", "::1", true],
    ["::ffff:127.0.0.1", "::ffff:127.0.0.1", true],
    ["192.0.2.1", "192.0.2.1", true],
    ["192.0.2.7", "192.0.2.1", false],
    ["::ffff:192.0.2.7", "::ffff:192.0.2.1", false],
    ["::127.0.0.1", "::2", false],
    ["12.127.0.1", "192.0.2.1", false],
    ["::1:1", "::2", false],
    [undefined, undefined, false],
  ];
  for (const [peer, own, expected] of cases) assertEquals(isSameMachine(peer, own), expected, peer);
});
