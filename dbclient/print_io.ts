/** Standard output. */

/**
 * Writes lines in large pieces: 100,000 of them one by one would take longer than the query behind them. When whoever
 * reads has had enough (`| head -1`), the rest is neither made nor written.
 */
export function print(lines: Iterable<string>): void {
  const encoder = new TextEncoder();
  const write = (text: string) => {
    const bytes = encoder.encode(text);
    for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
  };
  let text = "";
  try {
    for (const line of lines) {
      text += line + "\n";
      if (text.length > 1 << 16) {
        write(text);
        text = "";
      }
    }
    write(text);
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}
