/** The file that keeps which tokens of the users' chains were sent, from one run to the next. */
import { type ChainStates } from "./authenticator.ts";

const VERSION = 1;
/** Permission bits that are for others than the owner. */
const OTHERS = 0o077;

/**
 * Reads it.
 *
 * @returns nothing where there is no file yet
 * @throws {Error} one line: others may read it, or it is damaged
 */
export function readChainStates(file: string): ChainStates {
  let text: string;
  try {
    const { mode } = Deno.statSync(file);
    if (mode !== null && (mode & OTHERS) !== 0) {
      throw new Error(`${file}: others may read it; chmod 600 makes it yours alone`);
    }
    text = Deno.readTextFileSync(file);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return {};
    throw error;
  }
  try {
    const { version, users } = JSON.parse(text);
    if (version === VERSION && typeof users === "object" && users !== null) return users;
  } catch {
    // Damaged: see below.
  }
  throw new Error(`${file}: it is no file of chain states of this version; remove it to begin anew`);
}

/** Writes it under another name first, so that it is whole at every moment. */
export function writeChainStates(file: string, users: ChainStates): void {
  const temporary = `${file}.${Deno.pid}.tmp`;
  Deno.writeTextFileSync(temporary, JSON.stringify({ version: VERSION, users }), {
    mode: 0o600,
    createNew: true,
  });
  Deno.renameSync(temporary, file);
}
