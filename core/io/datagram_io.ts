/** The programs' way to a UDP socket: batched where that can be had, otherwise over Deno's own. */
import { formatAddress } from "../sip/address.ts";
import { batchedIoProblem, openBatchedDatagramSocket } from "./batched_datagram_io.ts";
import { type DatagramIo, type DatagramOptions, type DatagramSocket, OpenProblem } from "./datagram.ts";
import { openDenoDatagramSocket } from "./deno_datagram_io.ts";

/** {@linkcode DatagramOptions}, and what is to carry the datagrams. */
export interface OpenDatagramOptions extends DatagramOptions {
  /** `auto` is `batched` on Linux with `--allow-ffi`, and `deno` elsewhere. Default `auto`. */
  readonly io?: "auto" | DatagramIo;
}

/**
 * Opens a UDP socket.
 *
 * @throws {Error} (rejects) with one line: the port is in use, the address is none of this machine's, or what was
 * asked for explicitly is not to be had
 * @example
 * ```ts
 * import { openDatagramSocket } from "../../mod.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const got = Promise.withResolvers<string>();
 * const socket = await openDatagramSocket({
 *   host: "127.0.0.1",
 *   port: 0,
 *   onDatagram: (buffer, start, end) => got.resolve(new TextDecoder().decode(buffer.subarray(start, end))),
 *   onError: got.reject,
 * });
 * socket.send(new TextEncoder().encode("hello"), 0, 5, socket.local);
 * assertEquals(await got.promise, "hello");
 * await socket.close();
 * ```
 */
export async function openDatagramSocket(options: OpenDatagramOptions): Promise<DatagramSocket> {
  const { io = "auto" } = options;
  if (io === "deno") return await openDenoDatagramSocket(options);
  const problem = batchedIoProblem();
  if (problem === undefined) return await openBatchedDatagramSocket(options);
  if (io === "auto" && !options.reusePort && options.adopt === undefined) {
    return await openDenoDatagramSocket(options);
  }
  const reason = io === "auto" ? OpenProblem.NO_REUSE_PORT : problem;
  throw new Error(`udp:${formatAddress(options)}: ${reason}`);
}
