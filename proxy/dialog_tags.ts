/**
 * Marks the dialogs that this proxy stayed in: Record-Route carries a tag (`did`) over the Call-ID, and only a request
 * whose Route brings it back is believed to be inside one. Else a made-up To tag and a Route with our address would lead
 * anybody past authentication, and through the proxy to anywhere.
 */
import { KeyedHash } from "../mod.ts";

/** Bytes of the key. */
export const DIALOG_KEY_BYTES = 16;

const encoder = new TextEncoder();

/** Makes and checks the tags of one key. 64 bits of a keyed hash: enough against guessing, not a proof of identity. */
export class DialogTags {
  readonly #halves: readonly KeyedHash[];
  #scratch = new Uint8Array(256);

  /** @param key 16 secret bytes; proxies that share it know each other's dialogs */
  constructor(key: Uint8Array) {
    if (key.length !== DIALOG_KEY_BYTES) throw new RangeError(`a dialog key has ${DIALOG_KEY_BYTES} bytes`);
    this.#halves = [new KeyedHash(key.subarray(0, 8)), new KeyedHash(key.subarray(8))];
  }

  /** The tag of a dialog: 16 hexadecimal digits. */
  tag(callId: string): string {
    if (callId.length * 3 > this.#scratch.length) this.#scratch = new Uint8Array(callId.length * 3);
    const { written } = encoder.encodeInto(callId, this.#scratch);
    let text = "";
    for (const half of this.#halves) {
      text += (half.hash(this.#scratch, 0, written) >>> 0).toString(16).padStart(8, "0");
    }
    return text;
  }
}
