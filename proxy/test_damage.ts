/** For tests: messages with something wrong in them. */
import type { Random } from "../mod.ts";

const encoder = new TextEncoder();
const PIECES = [
  "\r\n",
  "\n ",
  '"',
  ",",
  ";",
  "=",
  "<",
  ">",
  "\0",
  "%0d",
  "\u00e9",
  "PC realm=",
  "Via: SIP/2.0/UDP x;branch=z9hG4bK",
  "Route: <sip:192.0.2.1;lr>",
  "Proxy-Authorization: ",
  "9999999999",
  "SIP/2.0",
  "sips:",
  "tag=",
  "Content-Length: 5\r\n",
];

/** A message with a few bytes taken out, put in, changed or doubled. */
export function damaged(text: string, random: Random): Uint8Array {
  let bytes = encoder.encode(text);
  for (let edits = 1 + random.below(4); edits > 0; edits--) {
    const at = random.below(bytes.length + 1);
    const piece = encoder.encode(PIECES[random.below(PIECES.length)]);
    const length = random.below(12);
    const cut = bytes.slice(at, at + length);
    const parts = [
      [bytes.slice(0, at), bytes.slice(at + length)],
      [bytes.slice(0, at), piece, bytes.slice(at)],
      [bytes.slice(0, at), random.bytes(1 + random.below(4)), bytes.slice(at + 1)],
      [bytes.slice(0, at), cut, cut, bytes.slice(at + length)],
    ][random.below(4)];
    const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    parts.reduce((offset, part) => (joined.set(part, offset), offset + part.length), 0);
    bytes = joined;
    if (bytes.length === 0) break;
  }
  return bytes;
}
