/** Sockets that one thread opens and others use: descriptors belong to the process. Batched I/O only. */
import { lookup } from "node:dns/promises";
import { type Address, formatAddress } from "../sip/address.ts";
import { batchedIoProblem, reasonOf } from "./batched_datagram_io.ts";
import { closeDescriptors, LibcSocket } from "./batched_libc_io.ts";
import { parseIpAddress } from "./ip_address.ts";
import { hostOf, portOf } from "./sockaddr.ts";

export { batchedIoProblem, closeDescriptors };

/** A socket that is bound, and that nobody reads yet. */
export interface BoundSocket {
  /** For {@linkcode AdoptedSockets}, in any thread of this process. */
  readonly descriptor: number;
  /** Where it is bound. */
  readonly local: Address;
  /** Gives it back; when no other thread uses it any more. */
  close(): void;
}

/**
 * Binds sockets to one port, which was free before: the system spreads the datagrams over them by their source
 * (SO_REUSEPORT). One alone is bound as usual, so that nobody shares its port.
 *
 * @param port 0: any free port
 * @throws {Error} (rejects) with one line: the port is in use, or the address is none of this machine's
 */
export async function bindDatagramSockets(host: string, port: number, count: number): Promise<BoundSocket[]> {
  const sockets: LibcSocket[] = [];
  try {
    const problem = batchedIoProblem();
    if (problem !== undefined) throw new Error(problem);
    const ip = parseIpAddress(host) ?? parseIpAddress((await lookup(host)).address)!;
    // The first without sharing: with it, a second program of the same user would be let in unnoticed.
    const first = new LibcSocket(ip, port, false);
    sockets.push(first);
    if (count > 1) first.share();
    const given = portOf(first.sockaddr, 0);
    while (sockets.length < count) sockets.push(new LibcSocket(ip, given, true));
  } catch (error) {
    for (const socket of sockets) socket.close();
    throw new Error(`udp:${formatAddress({ host, port })}: ${reasonOf(error)}`, { cause: error });
  }
  return sockets.map((socket) => ({
    descriptor: socket.descriptor,
    local: { host: hostOf(socket.sockaddr, 0), port: portOf(socket.sockaddr, 0) },
    close: () => socket.close(),
  }));
}
