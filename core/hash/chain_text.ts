/** What the HMACs of docs/PROTOCOL.md §3 are made over. */

/** Begins the text of h_0. */
export const SEED_LABEL = "PC1 seed";
/** Begins the text of K. */
export const KEY_LABEL = "PC1 key";

const encoder = new TextEncoder();

/** label || N || u32(n), docs/PROTOCOL.md §3. */
export function labelled(label: string, nonce: Uint8Array, n: number): Uint8Array {
  const out = new Uint8Array(label.length + nonce.length + 4);
  encoder.encodeInto(label, out);
  out.set(nonce, label.length);
  new DataView(out.buffer).setUint32(label.length + nonce.length, n);
  return out;
}
