/** Ports that are free at this moment, for programs that cannot choose one themselves. */
import { HOST } from "../../programs_io.ts";

function portOf(listener: Deno.Listener | Deno.DatagramConn): number {
  const { port } = listener.addr as Deno.NetAddr;
  listener.close();
  return port;
}

export const freeTcpPort = (): number => portOf(Deno.listen({ hostname: HOST, port: 0 }));

export const freeUdpPort = (): number =>
  portOf(Deno.listenDatagram({ hostname: HOST, port: 0, transport: "udp" }));
