/** The program as its users start it, for tests. */
import { assertEquals } from "@std/assert";

const ROOT = new URL("..", import.meta.url).pathname;
/** `dbclient` with arguments. */
export function command(
  args: string[],
  options: { stdin?: "piped" | "null"; env?: Record<string, string> } = {},
): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "-P=dbclient", "dbclient/main.ts", ...args],
    cwd: ROOT,
    stdin: options.stdin ?? "null",
    stdout: "piped",
    stderr: "piped",
    env: { NO_COLOR: "1", ...options.env },
  });
}

/** What it has said. */
export interface Result {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs it to its end. */
export async function run(args: string[], stdin?: string, env: Record<string, string> = {}): Promise<Result> {
  const child = command(args, { stdin: stdin === undefined ? "null" : "piped", env }).spawn();
  if (stdin !== undefined) {
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(stdin));
    await writer.close();
  }
  const { code, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
}

/** A directory for one test. */
export async function withDirectory(test: (directory: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "dbclient_" });
  try {
    await test(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** One line, and nothing else. */
export const oneLine = (text: string): void => assertEquals(text.trimEnd().split("\n").length, 1, text);
