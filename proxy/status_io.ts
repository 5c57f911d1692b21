/** `proxy status`: asks a running proxy over the port of its metrics, and prints what it says. */
import { type FlagTable, formatAddress, formatHelp, metricsAddress, parseFlags, UsageError } from "../mod.ts";
import { Fatal } from "./fatal.ts";
import { type ProxyStatus, statusText } from "./status.ts";

const STATUS_FLAGS = {
  metrics: {
    type: "text",
    value: "ADDRESS:PORT",
    default: "127.0.0.1:9761",
    help: "where the proxy was told to serve its metrics (--metrics); it answers on its own machine only",
  },
  format: {
    type: "choice",
    choices: ["text", "json"],
    default: "text",
    help: "a table for people, or the whole answer as JSON",
  },
} as const satisfies FlagTable;

const USAGE = `usage: deno task proxy status [flags]

Prints what a running proxy has: users cached, tokens left, transactions, contacts, DBclients and targets.`;

/** How long an answer is waited for, ms. */
const PATIENCE_MS = 5000;
const WILDCARDS: Readonly<Record<string, string>> = { "0.0.0.0": "127.0.0.1", "::": "::1" };

async function ask(where: string): Promise<ProxyStatus> {
  const hint = `is there a proxy with --metrics ${where}?`;
  let response: Response;
  let text: string;
  try {
    response = await fetch(`http://${where}/status`, {
      redirect: "error",
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    text = await response.text();
  } catch (error) {
    const late = (error as Error).name === "TimeoutError";
    throw new Fatal(`${where} ${late ? "does not answer in time" : "cannot be asked"}: ${hint}`);
  }
  if (response.status === 403) throw new Fatal(`${where} tells its status on its own machine only`);
  try {
    const status = JSON.parse(text);
    if (response.ok && Array.isArray(status?.state?.workers)) return status;
  } catch {
    // Said below.
  }
  throw new Fatal(`${where} is no proxy of this kind (HTTP ${response.status} at /status): ${hint}`);
}

/**
 * Runs the command.
 *
 * @throws {UsageError} one line
 * @throws {Fatal} (rejects) with one line when no proxy answers
 */
export async function statusCommand(args: readonly string[]): Promise<void> {
  const { values, positional, help } = parseFlags(STATUS_FLAGS, args, () => undefined);
  if (help) return console.log(formatHelp(USAGE, STATUS_FLAGS));
  if (positional.length > 0) {
    throw new UsageError(`status: unexpected argument ${JSON.stringify(positional[0])}`);
  }
  const { host, port } = metricsAddress(values.metrics)!;
  const status = await ask(formatAddress({ host: WILDCARDS[host] ?? host, port }));
  console.log(values.format === "json" ? JSON.stringify(status) : statusText(status));
}
