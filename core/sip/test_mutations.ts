/** Messages that are nearly right, for tests that compare or must not fail. */
import type { Random } from "../random.ts";
import { SipMessage } from "./message.ts";
import { INVITE, RESPONSE, TORTURE } from "./test_messages.ts";

/** Messages as they are, good and bad. */
export const SEEDS: readonly Uint8Array<ArrayBuffer>[] = [
  INVITE,
  RESPONSE,
  ...TORTURE.map(({ bytes }) => bytes),
];
const message = new SipMessage();
/** Those without a problem. */
export const GOOD: readonly Uint8Array<ArrayBuffer>[] = SEEDS.filter((bytes) =>
  message.parse(bytes, 0, bytes.length) === undefined
);
/** Bytes that mean something to the parser come more often than chance would have it. */
const SPECIAL = new TextEncoder().encode('\r\n\r\n \t:;,<>"\\@=/[]()0\x00\x7f\xff');

/** One of them with a few places changed. */
export function mutate(random: Random): Uint8Array<ArrayBuffer> {
  const from = random.below(4) === 0 ? SEEDS : GOOD;
  return mutated(from[random.below(from.length)], random);
}

/** A message with one to three places changed. */
export function mutated(original: Uint8Array, random: Random): Uint8Array<ArrayBuffer> {
  let bytes = original.slice();
  for (let n = random.below(3); n >= 0; n--) {
    const at = random.below(bytes.length + 1);
    const length = random.below(random.below(2) ? 4 : 60);
    const other = SEEDS[random.below(SEEDS.length)];
    const from = random.below(other.length);
    const insert = [
      () => new Uint8Array(0),
      () => random.bytes(length),
      () => Uint8Array.from({ length: 1 + (length & 3) }, () => SPECIAL[random.below(SPECIAL.length)]),
      () => other.subarray(from, from + length),
    ][random.below(4)]();
    const skip = random.below(2) ? length : insert.length;
    const joined = new Uint8Array(bytes.length + insert.length);
    joined.set(bytes.subarray(0, at));
    joined.set(insert, at);
    const rest = bytes.subarray(Math.min(at + skip, bytes.length));
    joined.set(rest, at + insert.length);
    bytes = joined.slice(0, at + insert.length + rest.length);
  }
  return bytes;
}
