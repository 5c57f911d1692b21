/**
 * For tests: what a proxy received and sent, as a capture file that Wireshark's programs read. Written where the environment
 * variable PROXYCHAIN_CAPTURE names a file that {@linkcode beginCapture} began; else nothing is.
 */

/** Wireshark's "upper PDU": each packet names its protocol, and needs no lower layers. */
const LINKTYPE_UPPER_PDU = 252;
const SNAP_BYTES = 1 << 18;
const PCAP_MAGIC = 0xa1b2c3d4;
/** Tags of an upper PDU (wsutil/exported_pdu_tlvs.h): name of the dissector, source address. */
const TAG_DISSECTOR = 12;
const TAG_IPV4_SOURCE = 20;

/** What stands as the source of what the proxy sent, and of what it received. */
export const SENT: readonly number[] = [192, 0, 2, 1];
export const RECEIVED: readonly number[] = [192, 0, 2, 2];

// Who runs a harness without the right to ask does not record.
const asked = { name: "env", variable: "PROXYCHAIN_CAPTURE" } as const;
const path = Deno.permissions.querySync(asked).state === "granted"
  ? Deno.env.get("PROXYCHAIN_CAPTURE")
  : undefined;
const file = path === undefined ? undefined : Deno.openSync(path, { append: true });

/** Begins a capture file. */
export async function beginCapture(path: string): Promise<void> {
  const header = new DataView(new ArrayBuffer(24));
  header.setUint32(0, PCAP_MAGIC);
  header.setUint16(4, 2);
  header.setUint16(6, 4);
  header.setUint32(16, SNAP_BYTES);
  header.setUint32(20, LINKTYPE_UPPER_PDU);
  await Deno.writeFile(path, new Uint8Array(header.buffer));
}

/** Adds a message, when messages are recorded. */
export function record(message: Uint8Array, source: readonly number[]): void {
  file?.writeSync(capturedPacket(message, source));
}

/** A message as a packet of a capture file. */
export function capturedPacket(message: Uint8Array, source: readonly number[]): Uint8Array<ArrayBuffer> {
  const name = new TextEncoder().encode("sip\0");
  const tagBytes = 4 + name.length + 4 + source.length + 4;
  const packet = new Uint8Array(16 + tagBytes + message.length);
  const view = new DataView(packet.buffer);
  view.setUint32(8, tagBytes + message.length);
  view.setUint32(12, tagBytes + message.length);
  view.setUint16(16, TAG_DISSECTOR);
  view.setUint16(18, name.length);
  packet.set(name, 20);
  view.setUint16(24, TAG_IPV4_SOURCE);
  view.setUint16(26, source.length);
  packet.set(source, 28);
  packet.set(message, 16 + tagBytes);
  return packet;
}
