/** The command line: SIPp's names where SIPp has the option. */
import {
  type FlagTable,
  formatAddress,
  parseFlags,
  parseHostPort,
  RUNTIME_FLAGS,
  UsageError,
} from "../mod.ts";
import { BUILTIN } from "./builtin.ts";
import { readCircuits, readSippArguments, type SippArguments } from "./sipp_options.ts";

/** All flags but those of sipp_options.ts. */
export const FLAGS = {
  sf: { type: "text", value: "FILE", help: "Scenario, in SIPp's XML" },
  sn: { type: "choice", choices: Object.keys(BUILTIN), default: "uac", help: "Built-in scenario" },
  sd: { type: "choice", choices: Object.keys(BUILTIN), help: "Print a built-in scenario" },
  oocsf: { type: "text", value: "FILE", help: "Scenario for requests that belong to no call" },
  oocsn: { type: "choice", choices: Object.keys(BUILTIN), help: "The same, built in" },
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
  users: {
    type: "integer",
    min: 1,
    max: 1_000_000,
    unit: "users",
    help: "Instead of a rate: so many users, each with one call after the other",
  },
  d: {
    type: "integer",
    default: 0,
    min: 0,
    max: 86_400_000,
    unit: "ms",
    help: "Length of pauses without one",
  },
  i: { type: "text", value: "ADDRESS", help: "Local IP address; without it one that reaches the remote" },
  p: {
    type: "integer",
    min: 0,
    max: 65535,
    help: "Local port; without it any as caller, 5060 as called side",
  },
  t: {
    type: "choice",
    choices: ["u1", "un", "ui", "t1", "tn", "l1", "ln", "s1", "sn", "c1", "cn"],
    default: "u1",
    help:
      "Transport: UDP or TCP with one socket (u1, t1), one per call (un, tn), one per address of -ip_field (ui)",
  },
  max_socket: {
    type: "integer",
    default: 50_000,
    min: 1,
    max: 1_000_000,
    unit: "sockets",
    help: "With un and tn: more calls wait for a socket",
  },
  ip_field: { type: "integer", default: 0, min: 0, help: "With ui: the field with the local address" },
  rsa: { type: "text", value: "HOST[:PORT]", help: "Everything is sent there, whatever the messages say" },
  s: { type: "text", value: "USER", default: "service", help: "User part that is called: [service]" },
  realm: {
    type: "list",
    value: "DOMAIN",
    help: "Realms that are answered, the first as domain of From; without it any realm of the remote",
  },
  au: {
    type: "text",
    value: "USER",
    help: "User name for [authentication]; without it that of the line, or -s",
  },
  ap: { type: "text", value: "PASSWORD", secret: true, help: "Its password" },
  auth_uri: { type: "text", value: "URI", help: "URI that is signed; without it the Request-URI" },
  user_pattern: { type: "text", value: "PATTERN", help: "Callers with a number, such as user%06d: [field0]" },
  password: {
    type: "text",
    value: "PATTERN",
    secret: true,
    help: "Their passwords, with the same number if there is a %d: [field1]",
  },
  from: { type: "integer", default: 1, min: 0, help: "First number of --user_pattern" },
  count: {
    type: "integer",
    default: 1000,
    min: 1,
    max: 100_000_000,
    unit: "users",
    help: "Users of --user_pattern",
  },
  auth: {
    type: "choice",
    choices: ["pc", "digest", "any"],
    default: "any",
    help: "Challenges answered; any: PC where it is offered or was verified before, else Digest",
  },
  pc_only: { type: "boolean", help: "Digest is never answered: the same as --auth pc" },
  preemptive: { type: "boolean", default: true, help: "Send PC tokens before they are asked for" },
  bye: {
    type: "boolean",
    help:
      "Send them with every BYE too; without it only after a BYE was challenged. Challenges are answered always",
  },
  chain_state: {
    type: "text",
    value: "FILE",
    help: "Keep there which tokens were sent, for the next run; only its owner may read it",
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
  timeout_error: { type: "boolean", help: "Exit code 255 when -timeout has ended the run" },
  sleep: { type: "number", default: 0, min: 0, unit: "s", help: "Wait before the start" },
  nr: { type: "boolean", help: "Send nothing again over UDP" },
  max_retrans: { type: "integer", min: 0, help: "Retransmissions of a message; without it for 32 s" },
  max_invite_retrans: { type: "integer", min: 0, help: "The same of INVITE" },
  max_non_invite_retrans: { type: "integer", min: 0, help: "The same of others" },
  T2: { type: "integer", default: 4000, min: 1, unit: "ms", help: "Longest interval of retransmissions" },
  lost: { type: "number", default: 0, min: 0, max: 100, unit: "%", help: "Messages that get lost by will" },
  aa: { type: "boolean", help: "Answer INFO, NOTIFY, OPTIONS and UPDATE with 200" },
  nd: { type: "boolean", help: "Do nothing that the scenario does not say" },
  default_behaviors: {
    type: "list",
    value: "NAME",
    default: ["all"],
    help: "all, none, bye, abortunexp, pingreply; -NAME without it",
  },
  pause_msg_ign: { type: "boolean", help: "Pass over what comes during a pause" },
  base_cseq: { type: "integer", default: 1, min: 0, help: "First [cseq]" },
  cid_str: { type: "text", value: "PATTERN", help: "Call-IDs: %u call number, %p process, %s address" },
  tdmmap: { type: "text", value: "MAP", help: "Circuits, such as {0-3}{99}{5-8}{1-31}" },
  mi: { type: "text", value: "ADDRESS", help: "[media_ip]; without it the local address" },
  mp: { type: "integer", default: 6000, min: 0, max: 65535, help: "[media_port]" },
  file_dir: { type: "list", value: "DIR", help: "Folders that [file name=] may read; without it none" },
  allow_exec: {
    type: "boolean",
    help: "<exec command> may run programs: needs deno run --allow-run as well",
  },
  trace_err: { type: "boolean", help: "Say each failed call and unexpected message on standard error" },
  error_file: { type: "text", value: "FILE", help: "Say it in this file instead" },
  trace_stat: { type: "boolean", help: "Write SIPp's statistics file, SCENARIO_PID_.csv, a line every -fd" },
  stf: { type: "text", value: "FILE", help: "Its name" },
  fd: { type: "number", default: 60, min: 0.1, max: 86_400, unit: "s", help: "Period of the files" },
  stat_delimiter: { type: "text", value: "TEXT", default: ";", help: "What separates columns" },
  trace_counts: { type: "boolean", help: "What each step has done, a line every -fd" },
  trace_error_codes: { type: "boolean", help: "The statuses of unexpected responses, a line every -fd" },
  trace_msg: {
    type: "boolean",
    help: "All messages as they are, credentials too; only its owner may read the file",
  },
  message_file: { type: "text", value: "FILE", help: "Its name" },
  trace_shortmsg: { type: "boolean", help: "A line for each message" },
  shortmessage_file: { type: "text", value: "FILE", help: "Its name" },
  trace_rtt: { type: "boolean", help: "Every response time" },
  rtt_freq: { type: "integer", default: 200, min: 1, max: 1_000_000, help: "So many are written together" },
  trace_logs: { type: "boolean", help: "<log> goes to a file instead of standard error" },
  log_file: { type: "text", value: "FILE", help: "Its name" },
  trace_screen: { type: "boolean", help: "The screens at the end, and by key s" },
  screen_file: { type: "text", value: "FILE", help: "Its name" },
  f: {
    type: "number",
    default: 1,
    min: 0.1,
    max: 3600,
    unit: "s",
    help: "Period of the screens or the progress line",
  },
  rate_scale: {
    type: "number",
    default: 1,
    min: 0.001,
    max: 100_000,
    help: "What the keys + - * / change the rate by",
  },
  rate_increase: {
    type: "number",
    default: 0,
    min: 0,
    max: 1_000_000,
    help: "The rate grows by this every -rate_interval",
  },
  rate_max: { type: "number", min: 0.001, max: 1_000_000, help: "Rate at which -rate_increase ends the run" },
  no_rate_quit: { type: "boolean", help: "There it goes on at this rate instead" },
  rate_interval: { type: "number", min: 0.1, max: 86_400, unit: "s", help: "Without it -fd" },
  cp: { type: "integer", min: 1, max: 65535, help: "UDP port that takes keys, and cset rate N" },
  ci: {
    type: "text",
    value: "ADDRESS",
    default: "127.0.0.1",
    help: "Its address: everyone who reaches it controls the run",
  },
  buff_size: { type: "integer", min: 0, unit: "bytes", help: "Accepted for SIPp's sake: buffers are 4 MiB" },
  bind_local: { type: "boolean", help: "Accepted for SIPp's sake: sockets are bound to the local address" },
  nostdin: { type: "boolean", help: "Read no keys" },
  v: { type: "boolean", help: "Print the version" },
  workers: {
    type: "integer",
    default: 1,
    min: 1,
    max: 64,
    unit: "threads",
    help: "So many threads place the calls, each with its share of rate, users and lines of -inf",
  },
  find_max: {
    type: "boolean",
    help: "Search the highest rate, from -r on, at which less than 1 % of the calls fail",
  },
  find_max_time: {
    type: "number",
    default: 5,
    min: 0.1,
    max: 3600,
    unit: "s",
    help: "How long it tries a rate",
  },
  quiet: { type: "boolean", help: "Neither screens nor progress line" },
  ladder: {
    type: "boolean",
    help: "Show one call as a ladder at the end: the first, or the first that failed",
  },
  report: { type: "text", value: "FILE.html", help: "Write a page with figures and charts" },
  csv: { type: "text", value: "FILE", help: "Write what came in each second" },
  json: { type: "text", value: "FILE", help: "Write all figures to this file" },
  ...RUNTIME_FLAGS,
  io_wait: { ...RUNTIME_FLAGS.io_wait, default: 2 },
} as const satisfies FlagTable;

/** First line of `--help`. */
export const USAGE = "Usage: deno task uac [flags] REMOTE[:PORT]      places calls (-sn uac)\n" +
  "       deno task uac [flags] -sn uas             is called\n" +
  "       deno task uac lint FILE…                  checks scenarios";
/** Last lines of `--help`. */
export const NOTES = "SIPp's flags with two values, and those that may stand several times:\n" +
  "  -inf FILE            Injection file: SEQUENTIAL, RANDOM or USER, then lines of fields between semicolons\n" +
  "  -infindex FILE FIELD Make lines findable by a field, for <lookup>\n" +
  "  -key KEYWORD VALUE   A keyword of your own\n" +
  "  -set VARIABLE VALUE  A global variable\n" +
  "  -dynamicStart, -dynamicMax, -dynamicStep N      [dynamic_id]\n" +
  "Times take a unit: 500ms, 10s, 5m, 1:30:00.\n\n" +
  "Exit code: 0 every call succeeded, 1 a call failed, 97 the run was ended by -timeout or by its scenario\n" +
  "before a call succeeded, 254 the port could not be had, 255 another error.\n" +
  "SIGINT and SIGTERM end the run with its summary; a second one ends it at once.";

/** A command line that makes sense. */
export interface Command extends Omit<SippArguments, "rest"> {
  readonly values: ReturnType<typeof parseFlags<typeof FLAGS>>["values"];
  readonly given: ReadonlySet<string>;
  readonly remote: { readonly host: string; readonly port: number } | undefined;
  readonly sendTo: { readonly host: string; readonly port: number } | undefined;
  readonly behaviors: { readonly bye: boolean; readonly abortUnexpected: boolean; readonly reply: boolean };
  readonly circuits: readonly string[] | undefined;
}

const UNSUPPORTED_TRANSPORTS: Readonly<Record<string, string>> = {
  l1: "TLS",
  ln: "TLS",
  s1: "SCTP",
  sn: "SCTP",
  c1: "compression",
  cn: "compression",
};

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
  const { rest, ...own } = readSippArguments(args);
  const { values, positional, given, help } = parseFlags(FLAGS, rest, env);
  if (help) return undefined;
  if (positional.length > 1) {
    throw new UsageError(`${JSON.stringify(positional[1])}: one remote address is allowed, HOST[:PORT]`);
  }
  const address = (label: string, text: string | undefined) => {
    if (text === undefined) return undefined;
    const parsed = parseHostPort(text);
    if (parsed !== undefined && parsed.port !== 0) return parsed;
    throw new UsageError(`${JSON.stringify(text)} is not allowed as ${label}; it takes HOST[:PORT]`);
  };
  const remote = address("remote", positional[0]);
  const sendTo = address("-rsa", values.rsa);
  const missing = UNSUPPORTED_TRANSPORTS[values.t];
  if (missing !== undefined) throw new UsageError(`-t ${values.t}: ${missing} is not supported`);
  if (given.has("sf") && given.has("sn")) throw new UsageError("-sf and -sn: only one of them is allowed");
  if (given.has("oocsf") && given.has("oocsn")) {
    throw new UsageError("-oocsf and -oocsn: only one of them is allowed");
  }
  if (given.has("user_pattern") && own.files.length > 0) {
    throw new UsageError("--user_pattern and -inf: only one of them is allowed");
  }
  for (const name of ["from", "count", "password"]) {
    if (given.has(name) && !given.has("user_pattern")) {
      throw new UsageError(`--${name} is only allowed with --user_pattern`);
    }
  }
  if (values.t === "ui" && own.files.length === 0) {
    throw new UsageError("-t ui needs an injection file: -inf FILE");
  }
  if (values.find_max && values.workers > 1) {
    throw new UsageError(
      "--find_max and --workers exclude each other: threads that have just begun are slow",
    );
  }
  if (values.find_max && values.users !== undefined) {
    throw new UsageError("--find_max and -users exclude each other: users have no rate");
  }
  if (given.has("find_max_time") && !values.find_max) {
    throw new UsageError("--find_max_time is only allowed with --find_max");
  }
  for (const name of ["rate_max", "rate_interval", "no_rate_quit"]) {
    if (given.has(name) && values.rate_increase === 0) {
      throw new UsageError(`-${name} is only allowed with -rate_increase`);
    }
  }
  for (
    const [name, needed] of [
      ["stf", "trace_stat"],
      ["message_file", "trace_msg"],
      ["shortmessage_file", "trace_shortmsg"],
      ["log_file", "trace_logs"],
      ["screen_file", "trace_screen"],
      ["error_file", "trace_err"],
      ["rtt_freq", "trace_rtt"],
      ["ci", "cp"],
    ]
  ) {
    if (given.has(name) && !given.has(needed)) {
      throw new UsageError(`-${name} is only allowed with -${needed}`);
    }
  }
  for (
    const name of ["ladder", "trace_msg", "trace_shortmsg", "trace_rtt", "trace_logs", "error_file"] as const
  ) {
    if (given.has(name) && values.workers > 1) {
      throw new UsageError(`-${name} needs all messages in one thread: it is not allowed with --workers`);
    }
  }
  for (const name of ["csv", "report", "ladder"] as const) {
    if (given.has(name) && values.find_max) {
      throw new UsageError(`--${name} and --find_max exclude each other`);
    }
  }
  if (values.timeout_error && values.timeout === 0) throw new UsageError("-timeout_error needs -timeout");
  if (values.pc_only && values.auth === "digest") {
    throw new UsageError("--pc_only and --auth digest exclude each other");
  }
  for (const name of ["i", "mi"] as const) {
    const ip = values[name];
    if (ip !== undefined && !/^[0-9.]+$|:/.test(ip)) {
      throw new UsageError(`-${name}: ${JSON.stringify(ip)} is not allowed; it takes an IP address`);
    }
  }
  const circuits = values.tdmmap === undefined ? undefined : readCircuits(values.tdmmap);
  if (values.tdmmap !== undefined && circuits === undefined) {
    throw new UsageError(
      `-tdmmap: ${JSON.stringify(values.tdmmap)} is not allowed; it takes {a-b}{a-b}{a-b}{a-b}`,
    );
  }
  return { ...own, values, given, remote, sendTo, circuits, behaviors: behaviors(values) };
}

function behaviors({ nd, default_behaviors: names }: Command["values"]): Command["behaviors"] {
  const on = { bye: !nd, abortUnexpected: !nd, reply: !nd };
  for (const item of nd ? [] : names) {
    const value = !item.startsWith("-");
    const name = value ? item : item.slice(1);
    if (name === "all" || name === "none") {
      on.bye = on.abortUnexpected = on.reply = value === (name === "all");
    } else if (name === "bye") on.bye = value;
    else if (name === "abortunexp") on.abortUnexpected = value;
    else if (name === "pingreply") on.reply = value;
    else {
      throw new UsageError(
        `-default_behaviors: ${JSON.stringify(item)} is not allowed; ` +
          "it takes all, none, bye, abortunexp, pingreply, each with - before it to leave it out",
      );
    }
  }
  return on;
}

/** An address as the programs write it: `udp:127.0.0.1:5060`. */
export function formatTransport(
  address: { readonly host: string; readonly port: number },
  tcp = false,
): string {
  return `${tcp ? "tcp" : "udp"}:${formatAddress(address)}`;
}
