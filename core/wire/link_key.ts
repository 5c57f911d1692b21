/** Pre-shared keys of DBclient links as an operator writes them. */
import { MIN_KEY_BYTES } from "./constants.ts";

/**
 * A key from the content of a key file or an environment variable: hexadecimal of at least 32 digits, or any text of
 * at least 16 bytes. White space around it does not count.
 *
 * @throws {SyntaxError} when it is too short; the text does not repeat it
 * @example
 * ```ts
 * import { parseLinkKey } from "../../mod.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(parseLinkKey("000102030405060708090a0b0c0d0e0f\n").length, 16);
 * assertEquals(parseLinkKey("correct horse battery staple").length, 28);
 * ```
 */
export function parseLinkKey(text: string): Uint8Array {
  const trimmed = text.trim();
  if (/^([0-9a-fA-F]{2}){16,}$/.test(trimmed)) {
    return Uint8Array.from(trimmed.match(/../g)!, (pair) => parseInt(pair, 16));
  }
  const bytes = new TextEncoder().encode(trimmed);
  if (bytes.length < MIN_KEY_BYTES) {
    throw new SyntaxError(
      `the key has ${bytes.length} bytes; it takes at least ${MIN_KEY_BYTES} (or ${
        2 * MIN_KEY_BYTES
      } hexadecimal digits)`,
    );
  }
  return bytes;
}
