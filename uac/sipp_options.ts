/** SIPp's command line where it differs from that of the other programs: options with two values, times with units. */
import { UsageError } from "../mod.ts";

/** SIPp's options that this program has not, with the reason. */
export const ABSENT: Readonly<Record<string, string>> = {
  "3pcc": "3PCC is not supported",
  master: "3PCC is not supported",
  slave: "3PCC is not supported",
  slave_cfg: "3PCC is not supported",
  rtp_echo: "media is not supported",
  mb: "media is not supported",
  rtp_payload: "media is not supported",
  rtp_threadtasks: "media is not supported",
  rtp_buffsize: "media is not supported",
  min_rtp_port: "media is not supported",
  max_rtp_port: "media is not supported",
  audiotolerance: "media is not supported",
  videotolerance: "media is not supported",
  rtpcheck_debug: "media is not supported",
  srtpcheck_debug: "media is not supported",
  plugin: "there are no plugins",
  tls_cert: "TLS is not supported",
  tls_key: "TLS is not supported",
  tls_ca: "TLS is not supported",
  tls_crl: "TLS is not supported",
  tls_version: "TLS is not supported",
  multihome: "SCTP is not supported",
  heartbeat: "SCTP is not supported",
  assocmaxret: "SCTP is not supported",
  pathmaxret: "SCTP is not supported",
  pmtu: "SCTP is not supported",
  gracefulclose: "SCTP is not supported",
  bg: "a process is put into the background by the shell or by systemd",
  send_timeout: "a datagram is sent or lost at once",
  reconnect_close: "calls of a lost connection fail by their timeouts",
  reconnect_sleep: "a lost connection is opened again when it is needed",
  max_reconnect: "a lost connection is opened again when it is needed",
  rtcheck: "retransmissions are found by CSeq and branch",
  deadcall_wait: "ended calls are remembered for 32 to 64 s",
  sendbuffer_warn: "a datagram that cannot be sent is counted as dropped",
  skip_rlimit: "limits of the system are left alone",
  periodic_rtd: "the report does not count by period",
  callid_slash_ign: "what stands before /// in a Call-ID is always passed over",
  trace_calldebug: "-trace_err says each failed call, --ladder shows one",
  calldebug_file: "-trace_err says each failed call, --ladder shows one",
  calldebug_overwrite: "-trace_err says each failed call, --ladder shows one",
  message_overwrite: "files of an earlier run are written over",
  shortmessage_overwrite: "files of an earlier run are written over",
  log_overwrite: "files of an earlier run are written over",
  screen_overwrite: "files of an earlier run are written over",
  error_overwrite: "files of an earlier run are written over",
  ringbuffer_files: "trace files are not rotated",
  ringbuffer_size: "trace files are not rotated",
  max_log_size: "trace files are not rotated",
  rfc3339: "times are written as SIPp writes them by default",
};

/** Options whose value is a time, with their unit in ms. */
const TIMES: Readonly<Record<string, number>> = {
  d: 1,
  rp: 1,
  recv_timeout: 1,
  timeout: 1000,
  T2: 1,
  sleep: 1000,
  f: 1000,
  fd: 1000,
  rate_interval: 1000,
  find_max_time: 1000,
};
const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** A time as SIPp takes it, "10", "10s", "1:30" or "0:01:30", in its option's unit. undefined: it is none. */
function readTime(text: string, unit: number): number | undefined {
  const plain = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text);
  if (plain !== null) return Number(plain[1]) * UNITS[plain[2]] / unit;
  const clock = /^(?:(\d+):)?(\d+):(\d+(?:\.\d+)?)$/.exec(text);
  if (clock === null) return undefined;
  return ((Number(clock[1] ?? 0) * 60 + Number(clock[2])) * 60 + Number(clock[3])) * 1000 / unit;
}

/** What stands on the command line besides what the table of flags reads. */
export interface SippArguments {
  /** What is left for the table. */
  readonly rest: readonly string[];
  readonly files: readonly string[];
  /** `-infindex` */
  readonly indices: readonly { readonly file: string; readonly field: number }[];
  readonly keys: Readonly<Record<string, string>>;
  readonly set: Readonly<Record<string, string>>;
  readonly dynamic: { readonly start?: number; readonly max?: number; readonly step?: number };
}

const nameOf = (argument: string) => /^--?([A-Za-z3][\w-]*)$/.exec(argument)?.[1].replaceAll("-", "_");

/**
 * Takes SIPp's particular options out of a command line.
 *
 * @throws {UsageError} one line
 */
export function readSippArguments(args: readonly string[]): SippArguments {
  const rest: string[] = [];
  const files: string[] = [];
  const indices: { file: string; field: number }[] = [];
  const keys: Record<string, string> = {};
  const set: Record<string, string> = {};
  const dynamic: { start?: number; max?: number; step?: number } = {};
  for (let i = 0; i < args.length; i++) {
    const argument = args[i];
    const equals = argument.startsWith("-") ? argument.indexOf("=") : -1;
    const name = nameOf(equals < 0 ? argument : argument.slice(0, equals));
    const label = equals < 0 ? argument : argument.slice(0, equals);
    const value = () => {
      if (equals >= 0) return argument.slice(equals + 1);
      if (i + 1 >= args.length) throw new UsageError(`${label} needs a value`);
      return args[++i];
    };
    const two = (what: string): [string, string] => {
      if (i + 2 >= args.length) throw new UsageError(`${label} needs two values: ${what}`);
      i += 2;
      return [args[i - 1], args[i]];
    };
    const number = (text: string) => {
      if (!/^\d+$/.test(text)) {
        throw new UsageError(`${label}: ${JSON.stringify(text)} is not a whole number`);
      }
      return Number(text);
    };
    if (name === undefined) rest.push(argument);
    else if (name === "inf") files.push(value());
    else if (name === "infindex") {
      const [file, field] = two("FILE FIELD");
      indices.push({ file, field: number(field) });
    } else if (name === "key" || name === "set") {
      const [key, text] = two(name === "key" ? "KEYWORD VALUE" : "VARIABLE VALUE");
      (name === "key" ? keys : set)[key] = text;
    } else if (name === "dynamicStart") dynamic.start = number(value());
    else if (name === "dynamicMax") dynamic.max = number(value());
    else if (name === "dynamicStep") dynamic.step = number(value());
    else if (Object.hasOwn(ABSENT, name)) {
      throw new UsageError(`${label}: SIPp has this option, and this program has not: ${ABSENT[name]}`);
    } else if (Object.hasOwn(TIMES, name)) {
      const text = value();
      const time = readTime(text, TIMES[name]);
      rest.push(label, time === undefined ? text : String(time));
    } else rest.push(argument);
  }
  return { rest, files, indices, keys, set, dynamic };
}

/** `-tdmmap {0-3}{99}{5-8}{1-31}`: the circuits. undefined: it is no map. */
export function readCircuits(text: string): string[] | undefined {
  const match = /^\{(\d+)(?:-(\d+))?\}\{(\d+)(?:-(\d+))?\}\{(\d+)(?:-(\d+))?\}\{(\d+)(?:-(\d+))?\}$/.exec(
    text,
  );
  if (match === null) return undefined;
  const ranges = [1, 3, 5, 7].map((at) => {
    const from = Number(match[at]);
    const to = Number(match[at + 1] ?? from);
    return Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => from + i);
  });
  if (ranges.reduce((count, { length }) => count * length, 1) > 1_000_000) return undefined;
  const [a, b, c, d] = ranges;
  return a.flatMap((w) => b.flatMap((x) => c.flatMap((y) => d.map((z) => `${w}.${x}.${y}/${z}`))));
}
