/** Standard output. */

function write(text: string): void {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
}

/** Whoever reads has had enough, as in `| head -1`: that is no fault. */
function unlessUnread(error: unknown): void {
  if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
}

/** Writes lines. */
export function print(lines: readonly string[]): void {
  try {
    write(lines.join("\n") + "\n");
  } catch (error) {
    unlessUnread(error);
  }
}

/**
 * Writes lines as they come, in large pieces: 100,000 of them one by one would take longer than the query behind them.
 * When whoever reads has had enough, the rest is neither made nor written.
 */
export async function printAll(lines: AsyncIterable<string>): Promise<void> {
  let text = "";
  try {
    for await (const line of lines) {
      text += line + "\n";
      if (text.length > 1 << 16) {
        write(text);
        text = "";
      }
    }
    write(text);
  } catch (error) {
    unlessUnread(error);
  }
}
