import { assertEquals, assertRejects } from "@std/assert";
import { batchedIoProblem } from "./batched_datagram_io.ts";
import { openDatagramSocket } from "./datagram_io.ts";

const LOOPBACK = { host: "127.0.0.1", port: 0, onDatagram: () => {}, onError: () => {} };

async function kindOf(io?: "auto" | "batched" | "deno", host = LOOPBACK.host): Promise<string> {
  const socket = await openDatagramSocket({ ...LOOPBACK, host, io });
  await socket.close();
  return socket.io;
}

Deno.test("with FFI, batched I/O is taken where it can be had, unless the other is asked for", async () => {
  const best = batchedIoProblem() === undefined ? "batched" : "deno";
  assertEquals([await kindOf(), await kindOf("auto"), await kindOf("deno")], [best, best, "deno"]);
  assertEquals(await kindOf("auto", "localhost"), best);
});

Deno.test({
  name: "without FFI, Deno's sockets are taken silently; batched I/O that is asked for is one clear error",
  permissions: { net: true, ffi: false },
  fn: async () => {
    assertEquals(await kindOf(), "deno");
    const error = await assertRejects(() => openDatagramSocket({ ...LOOPBACK, io: "batched" }), Error);
    const reason = Deno.build.os === "linux"
      ? "batched I/O is not allowed: Deno needs --allow-ffi for it"
      : "batched I/O needs Linux on x86-64 or arm64";
    assertEquals(error.message, `udp:127.0.0.1:0: ${reason}`);
    const shared = await assertRejects(() => openDatagramSocket({ ...LOOPBACK, reusePort: true }), Error);
    assertEquals(shared.message, "udp:127.0.0.1:0: only batched I/O can share a port");
  },
});
