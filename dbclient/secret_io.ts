/** The issuer secret of docs/PROTOCOL.md §8 in a file of its own. */
import { firstLine } from "../mod.ts";
import { StoreError } from "./subscriber.ts";

const MIN_BYTES = 16;

/**
 * Reads the secret, hexadecimal; a file that does not exist is made with `fresh`, readable by its owner alone.
 *
 * @throws {StoreError} when it cannot be read or made, is too short, or others may read it
 */
export function issuerSecretFile(path: string, fresh: Uint8Array): Uint8Array {
  const hex = Array.from(fresh, (byte) => byte.toString(16).padStart(2, "0")).join("");
  try {
    Deno.writeTextFileSync(path, hex + "\n", { createNew: true, mode: 0o600 });
    return fresh;
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) {
      throw new StoreError(`cannot make ${path}: ${firstLine(error)}`);
    }
  }
  let text: string;
  let mode: number | null;
  try {
    text = Deno.readTextFileSync(path).trim();
    mode = Deno.statSync(path).mode;
  } catch (error) {
    throw new StoreError(`cannot read ${path}: ${firstLine(error)}`);
  }
  if (mode !== null && (mode & 0o077) !== 0) {
    throw new StoreError(`${path} may be read by others; it takes chmod 600`);
  }
  if (!/^([0-9a-f]{2})+$/i.test(text) || text.length < 2 * MIN_BYTES) {
    throw new StoreError(
      `${path} holds no issuer secret: it takes ${2 * MIN_BYTES} hexadecimal digits or more`,
    );
  }
  return Uint8Array.from(text.match(/../g)!, (pair) => parseInt(pair, 16));
}
