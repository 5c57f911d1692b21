/** The command line: SIPp's names where SIPp has the option. */
import {
  type FlagTable,
  formatAddress,
  parseFlags,
  parseHostPort,
  RUNTIME_FLAGS,
  UsageError,
} from "../mod.ts";
import { SCENARIOS } from "./builtin.ts";

/** All flags. */
export const FLAGS = {
  sn: {
    type: "choice",
    choices: Object.keys(SCENARIOS),
    default: "uac",
    help: "Built-in scenario: uac places calls, uas is called",
  },
  r: { type: "number", default: 10, min: 0.001, max: 1_000_000, unit: "calls per -rp", help: "Call rate" },
  rp: {
    type: "integer",
    default: 1000,
    min: 1,
    max: 86_400_000,
    unit: "ms",
    help: "Period of the call rate",
  },
  m: { type: "integer", default: 0, min: 0, unit: "calls", help: "Calls in all, then the end; 0: no end" },
  l: {
    type: "integer",
    default: 20_000,
    min: 0,
    unit: "calls",
    help: "Calls open at once; more wait, and their waiting counts as latency; 0: no limit",
  },
  d: {
    type: "integer",
    default: 0,
    min: 0,
    max: 86_400_000,
    unit: "ms",
    help: "Length of the scenario's pause",
  },
  i: { type: "text", value: "ADDRESS", help: "Local IP address; without it one that reaches the remote" },
  p: {
    type: "integer",
    min: 0,
    max: 65535,
    help: "Local port; without it any as caller, 5060 as called side",
  },
  t: { type: "choice", choices: ["u1"], default: "u1", help: "Transport: u1 is UDP with one socket" },
  s: { type: "text", value: "USER", default: "service", help: "User part that is called" },
  realm: {
    type: "text",
    value: "DOMAIN",
    help: "Domain of From, and the realm that is answered; without it the remote host",
  },
  au: { type: "text", value: "USER", help: "User name of the caller" },
  ap: { type: "text", value: "PASSWORD", secret: true, help: "The caller's password" },
  users: { type: "text", value: "PATTERN", help: "User names with a number, such as user%06d" },
  password: {
    type: "text",
    value: "PATTERN",
    secret: true,
    help: "Their passwords, with the same number if there is a %d",
  },
  from: { type: "integer", default: 1, min: 0, help: "First number of --users" },
  count: {
    type: "integer",
    default: 1000,
    min: 1,
    max: 100_000_000,
    unit: "users",
    help: "Users of --users",
  },
  inf: {
    type: "text",
    value: "FILE",
    help: "Injection file: SEQUENTIAL or RANDOM, then user;password lines; users are taken in turn",
  },
  auth: {
    type: "choice",
    choices: ["pc", "digest", "any"],
    default: "any",
    help: "Challenges answered; any: PC where it is offered or was verified before, else Digest",
  },
  preemptive: { type: "boolean", default: true, help: "Send PC tokens before they are asked for" },
  bye: {
    type: "boolean",
    help:
      "Send them with every BYE too; without it only after a BYE was challenged. Challenges are answered always",
  },
  recv_timeout: {
    type: "integer",
    min: 0,
    max: 86_400_000,
    unit: "ms",
    help:
      "Longest wait for an expected message, 0: for ever; without it 60000 as caller, 3600000 as called side",
  },
  timeout: {
    type: "number",
    default: 0,
    min: 0,
    unit: "s",
    help: "End of the run: no new calls, open ones are given 5 s; 0: none",
  },
  trace_err: { type: "boolean", help: "Say each failed call and unexpected message on standard error" },
  nostdin: { type: "boolean", help: "Accepted for SIPp's sake: standard input is never read" },
  quiet: { type: "boolean", help: "No progress line" },
  json: { type: "text", value: "FILE", help: "Write all figures to this file" },
  ...RUNTIME_FLAGS,
} as const satisfies FlagTable;

/** First line of `--help`. */
export const USAGE = "Usage: deno task uac [flags] REMOTE[:PORT]      places calls (-sn uac)\n" +
  "       deno task uac [flags] -sn uas             is called";
/** Last lines of `--help`. */
export const NOTES =
  "Exit code: 0 every call succeeded, 1 a call failed or the run could not start, 2 the command line is wrong.\n" +
  "SIGINT and SIGTERM end the run with its summary; a second one ends it at once.";

/** A command line that makes sense. */
export interface Command {
  readonly values: ReturnType<typeof parseFlags<typeof FLAGS>>["values"];
  /** undefined for a called side. */
  readonly remote: { readonly host: string; readonly port: number } | undefined;
}

/**
 * Reads the command line.
 *
 * @returns undefined if the help was asked for
 * @throws {UsageError} one line
 */
export function parseCommand(
  args: readonly string[],
  env: (name: string) => string | undefined,
): Command | undefined {
  const { values, positional, given, help } = parseFlags(FLAGS, args, env);
  if (help) return undefined;
  const server = SCENARIOS[values.sn].role === "server";
  if (positional.length > 1) {
    throw new UsageError(`${JSON.stringify(positional[1])}: one remote address is allowed, HOST[:PORT]`);
  }
  const remote = positional.length === 0 ? undefined : parseHostPort(positional[0]);
  if (!server && positional.length === 0) throw new UsageError("whom to call is missing: HOST[:PORT]");
  if (positional.length === 1 && (remote === undefined || remote.port === 0)) {
    throw new UsageError(`${JSON.stringify(positional[0])} is not allowed as remote; it takes HOST[:PORT]`);
  }
  const sources = ["au", "users", "inf"].filter((name) => given.has(name));
  if (sources.length > 1) {
    throw new UsageError(`--${sources[0]} and --${sources[1]}: only one of them is allowed`);
  }
  for (const name of ["from", "count", "password"]) {
    if (given.has(name) && !given.has("users")) {
      throw new UsageError(`--${name} is only allowed with --users`);
    }
  }
  if (given.has("ap") && !given.has("au")) throw new UsageError("--ap is only allowed with --au");
  if (values.i !== undefined && !/^[0-9.]+$|:/.test(values.i)) {
    throw new UsageError(`-i: ${JSON.stringify(values.i)} is not allowed; it takes an IP address`);
  }
  return { values, remote };
}

/** An address as the programs write it: `udp:127.0.0.1:5060`. */
export function formatTransport(address: { readonly host: string; readonly port: number }): string {
  return `udp:${formatAddress(address)}`;
}
