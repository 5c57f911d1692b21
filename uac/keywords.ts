/** The [keywords] of messages, under SIPp's names. `[user]`, `[domain]` and `[local_tag]` are this project's own. */
import {
  type Address,
  type ByteWriter,
  formatHost,
  HeaderId,
  headerIdOf,
  nearest,
  type SipMessage,
  toHex,
  writeHexWord,
} from "../mod.ts";
import type { InjectionFiles } from "./injection.ts";
import {
  valueNumber,
  valueText,
  type VariableHolder,
  type VariableRef,
  type Variables,
} from "./variables.ts";

/** What is the same in all messages of a run. */
export interface RunFacts {
  /** `-s`: the user part that is called. */
  readonly service: string;
  /** Absent for a called side: each caller has its own. */
  readonly remoteHost?: string;
  readonly remoteIp?: string;
  readonly remotePort?: number;
  readonly localIp: string;
  /** Absent where each call has a socket of its own. */
  readonly localPort?: number;
  /** "UDP" or "TCP". */
  readonly transport: string;
  /** `[pid]`: any number that tells runs apart. */
  readonly pid: number;
  /** `[domain]`: the domain of From. */
  readonly domain: string;
  readonly mediaIp?: string;
  readonly mediaPort?: number;
  /** Further keywords with their values (`-key`). */
  readonly keys?: Readonly<Record<string, string>>;
  /** What every branch begins with after the magic cookie: 8 characters that tell runs apart. */
  readonly branchPrefix?: string;
  readonly dynamicStart?: number;
  readonly dynamicMax?: number;
  readonly dynamicStep?: number;
}

/** What differs from message to message: a call, as its messages see it. */
export interface MessageContext extends VariableHolder {
  readonly callId: Text;
  /** 1, 2, … */
  readonly callNumber: number;
  readonly cseq: number;
  /** Eight hexadecimal digits: the tag of this side. */
  readonly localTag: number;
  /** The tag of the far end; empty while it is not known. */
  readonly peerTag: Text;
  /** Where messages go, and where they come from. */
  readonly remote: Address;
  readonly local: Address;
  /** Value of Route; empty without one. */
  readonly routes: Text;
  /** Contact of the far end; empty while it is not known. */
  readonly nextUrl: Text;
  /** The line of each injection file. */
  readonly lines: readonly number[];
  readonly userId: number;
  /** Its circuit, for `-tdmmap`; "" without one. */
  readonly circuit: string;
  /** Bytes of the body; set by renderTemplate. */
  bodyLength: number;
  /** How often the step with this number was sent before. */
  visits(step: number): number;
  /** The message received last. */
  readonly received: SipMessage | undefined;
  /** Where it came from. */
  readonly receivedFrom: Address;
  /** Writes who calls. */
  writeUser(out: ByteWriter): void;
  /**
   * Writes the header lines that authenticate the request in `out`, without the last line end, or nothing.
   * Without a name or password: those of the call.
   */
  authenticate(out: ByteWriter, username: string | undefined, password: string | undefined): void;
  /** The INVITE's step whose branch an ACK to a failure, or a CANCEL, has; -1: its own. */
  readonly sameBranch: number;
}

/** What keywords need besides. */
export interface KeywordHost {
  readonly facts: RunFacts;
  readonly variables: Variables;
  readonly files: InjectionFiles;
  /** ms since 1970. */
  wallClock(): number;
  /** ms since the start. */
  clockTick(): number;
  users(): number;
  dynamicId(): number;
  /** @throws {Error} one line */
  readFile(name: string): Uint8Array;
}

/** Bytes of a text that changes. */
export class Text {
  bytes: Uint8Array;
  length = 0;

  constructor(capacity = 64) {
    this.bytes = new Uint8Array(capacity);
  }
  clear(): void {
    this.length = 0;
  }
  set(from: Uint8Array, start: number, end: number): void {
    const length = end - start;
    if (length > this.bytes.length) this.bytes = new Uint8Array(2 * length);
    const { bytes } = this;
    for (let i = 0; i < length; i++) bytes[i] = from[start + i];
    this.length = length;
  }
  setText(text: string): void {
    const bytes = encoder.encode(text);
    this.set(bytes, 0, bytes.length);
  }
  toString(): string {
    return decoder.decode(this.bytes.subarray(0, this.length));
  }
}

const hexDigits = new Uint8Array(8);
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Writes the value of a keyword. */
export type KeywordWriter = (out: ByteWriter, context: MessageContext) => void;

/** A keyword whose value differs from message to message. */
export interface Keyword {
  readonly write: KeywordWriter;
  /** A line with nothing else vanishes when it is empty. */
  readonly vanishes?: boolean;
  /** When it is empty, the rest of its line vanishes too. */
  readonly takesLine?: boolean;
}

/** Where a keyword stands. */
export interface KeywordScope {
  readonly host: KeywordHost;
  /** The number of its step. */
  readonly step: number;
  /** Bytes of the body, where they are the same in every message. */
  readonly bodyLength?: number;
  /** Compiles a text with keywords in it. */
  compile(text: string): (context: MessageContext) => string;
  /** Writes a text with keywords in it, such as a field of an injection file. */
  expand(out: ByteWriter, text: string, context: MessageContext): void;
}

const CONSTANTS: Readonly<Record<string, (facts: RunFacts) => string | undefined>> = {
  service: ({ service }) => service,
  remote_ip: ({ remoteIp }) => remoteIp === undefined ? undefined : formatHost(remoteIp),
  remote_host: ({ remoteHost, remoteIp }) =>
    remoteHost ?? (remoteIp === undefined ? undefined : formatHost(remoteIp)),
  local_ip: ({ localIp }) => formatHost(localIp),
  local_ip_type: ({ localIp }) => localIp.includes(":") ? "6" : "4",
  server_ip: ({ localIp }) => formatHost(localIp),
  media_ip: ({ mediaIp, localIp }) => mediaIp ?? localIp,
  media_ip_type: ({ mediaIp, localIp }) => (mediaIp ?? localIp).includes(":") ? "6" : "4",
  transport: ({ transport }) => transport,
  pid: ({ pid }) => String(pid),
  domain: ({ domain }) => domain,
  sipp_version: () => "3.6.1",
};

/** SIPp's default for -mp, and the step of [auto_media_port]. */
const MEDIA_PORT = 6000;
const AUTO_MEDIA_STEP = 4;
const AUTO_MEDIA_PORTS = 10_000;

const two = (number: number, digits = 2) => String(number).padStart(digits, "0");

/** A time as SIPp's logs have it. */
export function timestamp(ms: number): string {
  const date = new Date(ms);
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ` +
    `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${
      two(date.getMilliseconds(), 3)
    }000`;
}

const WRITERS: Readonly<Record<string, Keyword & { write(out: ByteWriter, c: MessageContext): void }>> = {
  remote_ip: { write: (out, { remote }) => void out.text(formatHost(remote.host)) },
  remote_host: { write: (out, { remote }) => void out.text(formatHost(remote.host)) },
  call_id: { write: (out, { callId }) => void out.bytes(callId.bytes, 0, callId.length) },
  local_tag: {
    write: (out, { localTag }) => {
      writeHexWord(localTag, hexDigits, 0);
      out.bytes(hexDigits);
    },
  },
  peer_tag_param: {
    write: (out, { peerTag }) => {
      if (peerTag.length > 0) out.text(";tag=").bytes(peerTag.bytes, 0, peerTag.length);
    },
  },
  user: { write: (out, context) => context.writeUser(out) },
  userid: { write: (out, { userId }) => void out.number(userId) },
  tdmmap: { write: (out, { circuit }) => void out.text(circuit) },
  next_url: { write: (out, { nextUrl }) => void out.bytes(nextUrl.bytes, 0, nextUrl.length) },
  routes: {
    vanishes: true,
    write: (out, { routes }) => {
      if (routes.length > 0) out.text("Route: ").bytes(routes.bytes, 0, routes.length);
    },
  },
  last_message: {
    write: (out, { received }) => {
      if (received !== undefined) out.bytes(received.buffer, received.start, received.bodyEnd);
    },
  },
  last_cseq_number: {
    write: (out, { received }) => void (received !== undefined && out.number(received.cseqNumber)),
  },
  last_Request_URI: {
    write: (out, { received }) => {
      if (received !== undefined && received.to.uriEnd > 0) {
        out.bytes(received.buffer, received.to.uriStart, received.to.uriEnd);
      }
    },
  },
};

/** Keywords that are numbers and take an offset: `[cseq+1]`. */
const NUMBERS: Readonly<
  Record<string, (scope: KeywordScope) => number | ((context: MessageContext) => number)>
> = {
  call_number: () => ({ callNumber }) => callNumber,
  cseq: () => ({ cseq }) => cseq,
  len: ({ bodyLength }) => bodyLength ?? ((context) => context.bodyLength),
  msg_index: ({ step }) => step,
  remote_port: ({ host }) => host.facts.remotePort ?? (({ remote }) => remote.port),
  local_port: ({ host }) => host.facts.localPort ?? (({ local }) => local.port),
  media_port: ({ host }) => host.facts.mediaPort ?? MEDIA_PORT,
  auto_media_port: ({ host }) => ({ callNumber }) =>
    (host.facts.mediaPort ?? MEDIA_PORT) + AUTO_MEDIA_STEP * (callNumber - 1) % AUTO_MEDIA_PORTS,
  clock_tick: ({ host }) => () => host.clockTick(),
  users: ({ host }) => () => host.users(),
  dynamic_id: ({ host }) => () => host.dynamicId(),
};

/** Keywords with a form of their own. */
const FORMS = ["branch", "authentication", "field0", "fill", "file", "date", "timestamp", "last_From:"];
/** SIPp's keywords for media and 3PCC. */
const UNSUPPORTED: Readonly<Record<string, string>> = {
  rtpstream_audio_port: "media is not supported",
  rtpstream_video_port: "media is not supported",
};

/** `name="value"` or `name=value` pairs; values may hold keywords. */
export function readParameters(text: string): Record<string, string> {
  const found: Record<string, string> = {};
  const pattern = /\s*([A-Za-z_]+)\s*=\s*(?:"([^"]*)"|((?:\[[^\]]*\]|[^\s[\]])*))/gy;
  for (let match = pattern.exec(text); match !== null; match = pattern.exec(text)) {
    found[match[1]] = match[2] ?? match[3];
  }
  return found;
}

/**
 * Finds the meaning of [text].
 *
 * @returns its value where that is the same in every message, else its writer
 * @throws {SyntaxError} if there is no such keyword
 */
export function findKeyword(text: string, scope: KeywordScope): string | Keyword {
  const { host } = scope;
  const key = host.facts.keys?.[text];
  if (key !== undefined) return key;
  const [, name, sign = "+", digits = "0"] = /^(.*?)(?:([+-])(\d+))?$/s.exec(text)!;
  const offset = sign === "-" ? -Number(digits) : Number(digits);
  const number = Object.hasOwn(NUMBERS, name) ? NUMBERS[name](scope) : undefined;
  if (typeof number === "number") return String(number + offset);
  if (number !== undefined) return { write: (out, context) => void out.number(number(context) + offset) };
  if (name === "branch") return branch(scope, offset, digits !== "0");
  const constant = Object.hasOwn(CONSTANTS, text) ? CONSTANTS[text](host.facts) : undefined;
  if (constant !== undefined) return constant;
  if (Object.hasOwn(WRITERS, text)) return WRITERS[text];
  if (text.startsWith("$")) return variable(host.variables, text.slice(1));
  const last = /^last_(.+?)(:?)$/.exec(text);
  if (last !== null) return { write: lastHeader(last[1], last[2] === ""), vanishes: true, takesLine: true };
  const [, word, rest] = /^(\S*)\s*(.*)$/s.exec(text)!;
  const field = /^field(\d+)$/.exec(word);
  if (field !== null) return injected(Number(field[1]), readParameters(rest), scope);
  switch (word) {
    case "authentication":
      return authentication(rest, scope);
    case "fill":
      return fill(readParameters(rest), host.variables);
    case "file":
      return file(readParameters(rest), scope);
    case "date":
      return { write: (out) => void out.text(new Date(host.wallClock()).toUTCString()) };
    case "timestamp":
      return { write: (out) => void out.text(timestamp(host.wallClock())) };
  }
  if (Object.hasOwn(UNSUPPORTED, name)) throw new SyntaxError(`keyword [${text}]: ${UNSUPPORTED[name]}`);
  if (/^(crypto|ueaescm)/.test(name)) throw new SyntaxError(`keyword [${text}]: media is not supported`);
  const known = [
    ...Object.keys(host.facts.keys ?? {}),
    ...Object.keys(CONSTANTS),
    ...Object.keys(WRITERS),
    ...Object.keys(NUMBERS),
    ...FORMS,
  ];
  const like = nearest(word, known);
  throw new SyntaxError(`unknown keyword [${text}]${like === undefined ? "" : `: did you mean [${like}]?`}`);
}

/**
 * `[branch]`: magic cookie, run, call and step, as SIPp has it; a step that is sent again has a new one. `[branch-2]` is
 * that of two steps before. ACK to a failure and CANCEL belong to the transaction of their INVITE (RFC 3261 §17.1.1.3,
 * §9.1), so that theirs is the INVITE's unless an offset says otherwise.
 */
function branch({ host, step }: KeywordScope, offset: number, explicit: boolean): Keyword {
  const prefix = encoder.encode(`z9hG4bK-${host.facts.branchPrefix ?? toHex(new Uint8Array(4))}-`);
  return {
    write: (out, context) => {
      const own = explicit || context.sameBranch < 0 ? step + offset : context.sameBranch;
      out.bytes(prefix).number(context.callNumber).text("-").number(own);
      const visits = context.visits(own);
      if (visits > 0) out.text(".").number(visits);
    },
  };
}

function variable(variables: Variables, name: string): Keyword {
  const ref = variables.ref(name);
  return {
    vanishes: true,
    write: (out, context) => {
      const value = variables.get(context, ref);
      if (value !== undefined) out.text(valueText(value));
    },
  };
}

function injected(index: number, parameters: Record<string, string>, scope: KeywordScope): Keyword {
  const { files } = scope.host;
  const { file: name, line: lineText } = parameters;
  const place = name === undefined ? 0 : files.find(name);
  if (files.files.length === 0) throw new SyntaxError(`[field${index}] needs an injection file: -inf FILE`);
  if (place < 0) {
    const like = nearest(name!, files.names);
    throw new SyntaxError(
      `[field${index}]: there is no injection file ${name}${
        like === undefined ? "" : `: did you mean ${like}?`
      }`,
    );
  }
  const chosen = files.files[place];
  const lineOf = lineText === undefined ? undefined : scope.compile(lineText);
  return {
    vanishes: true,
    write: (out, context) => {
      const line = lineOf === undefined ? context.lines[place] : Math.trunc(Number(lineOf(context)));
      if (chosen.hasKeyword(line, index)) scope.expand(out, chosen.text(line, index), context);
      else chosen.write(out, line, index);
    },
  };
}

function authentication(rest: string, scope: KeywordScope): Keyword {
  const parameters = readParameters(rest);
  for (const name of Object.keys(parameters)) {
    if (name.startsWith("aka_")) throw new SyntaxError(`[authentication ${name}]: AKA is not supported`);
    if (name !== "username" && name !== "password") {
      throw new SyntaxError(`[authentication]: unknown parameter ${name}; it takes username and password`);
    }
  }
  const username = parameters.username === undefined ? undefined : scope.compile(parameters.username);
  const password = parameters.password === undefined ? undefined : scope.compile(parameters.password);
  return {
    vanishes: true,
    write: (out, context) => context.authenticate(out, username?.(context), password?.(context)),
  };
}

function fill({ variable: name, text = "X" }: Record<string, string>, variables: Variables): Keyword {
  if (name === undefined) throw new SyntaxError("[fill] needs variable=name");
  if (text === "") throw new SyntaxError("[fill] needs a text that is not empty");
  const ref: VariableRef = variables.ref(name);
  return {
    write: (out, context) => {
      const length = Math.min(MAX_FILL, Math.trunc(valueNumber(variables.get(context, ref))) || 0);
      if (length > 0) out.text(text.repeat(Math.ceil(length / text.length)).slice(0, length));
    },
  };
}
/** More than any message holds. */
const MAX_FILL = 65_535;

function file({ name }: Record<string, string>, scope: KeywordScope): Keyword {
  if (name === undefined) throw new SyntaxError("[file] needs name=FILE");
  const nameOf = scope.compile(name);
  if (!name.includes("[")) {
    try {
      scope.host.readFile(name);
    } catch (error) {
      throw new SyntaxError(`[file]: ${(error as Error).message}`);
    }
  }
  return { write: (out, context) => void out.bytes(scope.host.readFile(nameOf(context))) };
}

/** `[last_Via:]`: all lines of a header of the last received message, as they came; `[last_Via]`: its values alone. */
function lastHeader(name: string, valueOnly: boolean): KeywordWriter {
  const id = headerIdOf(name);
  if (id === HeaderId.VIA && !valueOnly) return lastVia;
  const wanted = name.toLowerCase();
  return (out, { received }) => {
    if (received === undefined) return;
    let written = false;
    for (let i = received.first(id); i >= 0; i = received.next(i)) {
      if (
        id === HeaderId.OTHER &&
        received.text(received.nameStart(i), received.nameEnd(i)).toLowerCase() !== wanted
      ) continue;
      if (written) valueOnly ? out.text(", ") : out.crlf();
      out.bytes(
        received.buffer,
        valueOnly ? received.valueStart(i) : received.lineStart(i),
        received.valueEnd(i),
      );
      written = true;
    }
  };
}

/** Via with what RFC 3261 §18.2.1 and RFC 3581 §4 have a server add to its first value. */
function lastVia(out: ByteWriter, { received, receivedFrom }: MessageContext): void {
  if (received === undefined) return;
  const first = received.first(HeaderId.VIA);
  for (let i = first; i >= 0; i = received.next(i)) {
    const { buffer } = received;
    const start = received.lineStart(i);
    const end = received.valueEnd(i);
    const via = i === first ? received.topVia() : undefined;
    if (i !== first) out.crlf();
    const asks = via !== undefined && via.rportNameEnd >= 0 && via.rport === "";
    if (via === undefined || via.receivedStart >= 0 || (!asks && isHost(buffer, via, receivedFrom.host))) {
      out.bytes(buffer, start, end);
      continue;
    }
    if (asks) {
      out.bytes(buffer, start, via.rportNameEnd).text("=").number(receivedFrom.port);
      out.bytes(buffer, Math.max(via.rportNameEnd, via.rportEnd), via.end);
    } else out.bytes(buffer, start, via.end);
    out.text(";received=").text(receivedFrom.host).bytes(buffer, via.end, end);
  }
}

function isHost(buffer: Uint8Array, via: { hostStart: number; hostEnd: number }, host: string): boolean {
  if (via.hostEnd - via.hostStart !== host.length) return false;
  for (let i = 0; i < host.length; i++) if (buffer[via.hostStart + i] !== host.charCodeAt(i)) return false;
  return true;
}
