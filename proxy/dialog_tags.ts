/**
 * Marks the dialogs that this proxy stayed in: Record-Route carries a tag (`did`) over the Call-ID, and only a request
 * whose Route brings it back is believed to be inside one. Else a made-up To tag and a Route with our address would lead
 * anybody past authentication, and through the proxy to anywhere.
 */
import { encodeText } from "../mod.ts";
import { isTag, KeyedTag, TAG_DIGITS, TAG_KEY_BYTES } from "./keyed_tag.ts";

/** Bytes of the key. */
export const DIALOG_KEY_BYTES = TAG_KEY_BYTES;

/** Makes and checks the tags of one key. 64 bits of a keyed hash: enough against guessing, not a proof of identity. */
export class DialogTags {
  readonly #tag: KeyedTag;
  readonly #digits = new Uint8Array(TAG_DIGITS);

  /** @param key 8 secret bytes; proxies that share it know each other's dialogs */
  constructor(key: Uint8Array) {
    if (key.length !== DIALOG_KEY_BYTES) throw new RangeError(`a dialog key has ${DIALOG_KEY_BYTES} bytes`);
    this.#tag = new KeyedTag(key);
  }

  /** Writes the tag of the dialog with the Call-ID buffer[start, end) at `offset`; the offset after its 16 digits. */
  write(buffer: Uint8Array, start: number, end: number, out: Uint8Array, offset: number): number {
    return this.#tag.write(buffer, start, end, out, offset);
  }

  /** Whether buffer[tagStart, tagEnd) is the tag of the dialog with the Call-ID buffer[start, end). */
  matches(buffer: Uint8Array, start: number, end: number, tagStart: number, tagEnd: number): boolean {
    if (tagEnd - tagStart !== TAG_DIGITS) return false;
    this.#tag.write(buffer, start, end, this.#digits, 0);
    return isTag(buffer, tagStart, this.#digits);
  }

  /** The tag of a dialog: 16 hexadecimal digits. */
  tag(callId: string): string {
    const bytes = encodeText(callId);
    this.#tag.write(bytes, 0, bytes.length, this.#digits, 0);
    return String.fromCharCode(...this.#digits);
  }
}
