/** Passwords and keys from files and from the terminal. */
import { UsageError } from "../mod.ts";

/** The first line of a file, without its line end. */
export function readSecretFile(flag: string, path: string): string {
  let text: string;
  try {
    text = Deno.readTextFileSync(path);
  } catch (error) {
    throw new UsageError(`${flag}: cannot read ${path}: ${error instanceof Error ? error.message : error}`);
  }
  const line = text.split(/\r?\n/, 1)[0];
  if (line === "") throw new UsageError(`${flag}: ${path} is empty`);
  return line;
}

/** Reads one line from standard input; on a terminal it asks first, and what is typed does not show. */
export function askPassword(question: string): string {
  const terminal = Deno.stdin.isTerminal();
  const bytes: number[] = [];
  const buffer = new Uint8Array(1);
  const write = (text: string) => Deno.stderr.writeSync(new TextEncoder().encode(text));
  if (terminal) {
    write(question);
    Deno.stdin.setRaw(true);
  }
  try {
    while (Deno.stdin.readSync(buffer) === 1) {
      const [byte] = buffer;
      if (byte === 0x0a || byte === 0x0d) break;
      if (terminal && byte === 0x03) throw new UsageError("interrupted");
      if (terminal && (byte === 0x7f || byte === 0x08)) {
        // One character back: its last byte, and before it the bytes that continue a character of UTF-8.
        while ((bytes.pop()! & 0xc0) === 0x80);
      } else bytes.push(byte);
    }
  } finally {
    if (terminal) {
      Deno.stdin.setRaw(false);
      write("\n");
    }
  }
  return new TextDecoder().decode(Uint8Array.from(bytes));
}
