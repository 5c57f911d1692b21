/** Copying slices, the one thing that forwarding a message costs. */

/** Up to this many bytes, more than any header line that a proxy inserts, a loop: as quick as a view and a call, and no garbage. */
const SHORT = 128;

/**
 * Copies from[start, end) to out[offset, …); the offset after it. Within one and the same array (a receive and send
 * arena) nothing is allocated; between arrays a short-lived view is, for long slices only.
 */
export function copyBytes(
  from: Uint8Array,
  start: number,
  end: number,
  out: Uint8Array,
  offset: number,
): number {
  const length = end - start;
  if (length <= SHORT) {
    for (let i = 0; i < length; i++) out[offset + i] = from[start + i];
  } else if (from === out) {
    out.copyWithin(offset, start, end);
  } else {
    out.set(from.subarray(start, end), offset);
  }
  return offset + length;
}
