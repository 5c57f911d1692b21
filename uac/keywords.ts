/** The [keywords] of message templates, under SIPp's names. `[user]` and `[domain]` are this project's own. */
import {
  type Address,
  type ByteWriter,
  formatHost,
  HeaderId,
  headerIdOf,
  nearest,
  type SipMessage,
} from "../mod.ts";

/** What is the same in all messages of a run. */
export interface TemplateConstants {
  /** `-s`: the user part that is called. */
  readonly service: string;
  /** undefined for a called side: each caller has its own. */
  readonly remoteIp: string | undefined;
  readonly remotePort: number | undefined;
  readonly localIp: string;
  readonly localPort: number;
  /** "UDP". */
  readonly transport: string;
  /** `[pid]`: any number that tells runs apart. */
  readonly pid: number;
  /** `[domain]`: the domain of From. */
  readonly domain: string;
  /** Further keywords with their values (SIPp's `-key`). */
  readonly keys: Readonly<Record<string, string>>;
}

/** What differs from message to message: a call, as its templates see it. */
export interface MessageContext {
  readonly callId: string;
  /** 1, 2, … */
  readonly callNumber: number;
  readonly cseq: number;
  readonly branch: string;
  /** The tag of this side; random. */
  readonly localTag: string;
  /** The tag of the far end; "" while it is not known. */
  readonly peerTag: string;
  /** Where messages go. */
  readonly remote: Address;
  /** Value of Route; "" without one. */
  readonly routes: string;
  /** Contact of the far end; "" while it is not known. */
  readonly nextUrl: string;
  /** Who calls. */
  readonly username: string;
  /** `[field0]` …: the line of the injection file, or user name and password. */
  field(index: number): string;
  /** Bytes of the body; set by renderTemplate. */
  bodyLength: number;
  /** The message received last. */
  readonly received: SipMessage | undefined;
  /** Where it came from. */
  readonly receivedFrom: Address;
  /** Writes the header lines that authenticate the request in `out`, without the last line end, or nothing. */
  authenticate(out: ByteWriter): void;
}

/** Writes the value of a keyword. */
export type KeywordWriter = (out: ByteWriter, context: MessageContext) => void;

/** A keyword whose value differs from call to call. `vanishes`: a line with nothing else is dropped when it is empty. */
interface Keyword {
  readonly write: KeywordWriter;
  readonly vanishes?: boolean;
}

const CONSTANTS: Readonly<Record<string, (constants: TemplateConstants) => string | undefined>> = {
  service: ({ service }) => service,
  remote_ip: ({ remoteIp }) => remoteIp === undefined ? undefined : formatHost(remoteIp),
  remote_host: ({ remoteIp }) => remoteIp === undefined ? undefined : formatHost(remoteIp),
  remote_port: ({ remotePort }) => remotePort?.toString(),
  local_ip: ({ localIp }) => formatHost(localIp),
  local_ip_type: ({ localIp }) => localIp.includes(":") ? "6" : "4",
  local_port: ({ localPort }) => String(localPort),
  server_ip: ({ localIp }) => formatHost(localIp),
  media_ip: ({ localIp }) => localIp,
  media_ip_type: ({ localIp }) => localIp.includes(":") ? "6" : "4",
  transport: ({ transport }) => transport,
  pid: ({ pid }) => String(pid),
  domain: ({ domain }) => domain,
};

/** SIPp's default for -mp. */
const MEDIA_PORT = 6000;

const WRITERS: Readonly<Record<string, Keyword>> = {
  remote_ip: { write: (out, { remote }) => void out.text(formatHost(remote.host)) },
  remote_host: { write: (out, { remote }) => void out.text(formatHost(remote.host)) },
  remote_port: { write: (out, { remote }) => void out.number(remote.port) },
  call_id: { write: (out, { callId }) => void out.text(callId) },
  branch: { write: (out, { branch }) => void out.text(branch) },
  local_tag: { write: (out, { localTag }) => void out.text(localTag) },
  peer_tag_param: { write: (out, { peerTag }) => void (peerTag !== "" && out.text(";tag=").text(peerTag)) },
  user: { write: (out, { username }) => void out.text(username) },
  next_url: { write: (out, { nextUrl }) => void out.text(nextUrl) },
  routes: {
    vanishes: true,
    write: (out, { routes }) => void (routes !== "" && out.text("Route: ").text(routes)),
  },
  authentication: { vanishes: true, write: (out, context) => context.authenticate(out) },
};

/** Keywords that are numbers and take an offset: `[cseq+1]`. */
const NUMBERS: Readonly<Record<string, (context: MessageContext) => number>> = {
  call_number: ({ callNumber }) => callNumber,
  cseq: ({ cseq }) => cseq,
  len: ({ bodyLength }) => bodyLength,
  media_port: () => MEDIA_PORT,
  auto_media_port: () => MEDIA_PORT,
};

/**
 * Finds the meaning of [text].
 *
 * @param bodyLength where it is the same in every call
 * @returns its value where that is the same in every message, else its writer
 * @throws {SyntaxError} if there is no such keyword
 */
export function findKeyword(
  text: string,
  constants: TemplateConstants,
  bodyLength: number | undefined,
): string | Keyword {
  const [, name, sign = "+", digits = "0"] = /^(.*?)(?:([+-])(\d+))?$/.exec(text)!;
  const number = NUMBERS[name];
  if (number !== undefined) {
    const offset = sign === "-" ? -Number(digits) : Number(digits);
    if (name.endsWith("media_port")) return String(MEDIA_PORT + offset);
    if (name === "len" && bodyLength !== undefined) return String(bodyLength + offset);
    return { write: (out, context) => void out.number(number(context) + offset) };
  }
  const constant = constants.keys[text] ?? CONSTANTS[text]?.(constants);
  if (constant !== undefined) return constant;
  const writer = WRITERS[text];
  if (writer !== undefined) return writer;
  const field = /^field(\d+)$/.exec(text);
  if (field !== null) {
    const index = Number(field[1]);
    return { write: (out, context) => void out.text(context.field(index)) };
  }
  const last = /^last_(.+):$/.exec(text);
  if (last !== null) return { write: lastHeader(last[1]), vanishes: true };
  const known = [...Object.keys(CONSTANTS), ...Object.keys(WRITERS), ...Object.keys(NUMBERS), "field0"];
  const like = nearest(text, known);
  throw new SyntaxError(`unknown keyword [${text}]${like === undefined ? "" : `: did you mean [${like}]?`}`);
}

/** `[last_Via:]`: all lines of a header of the last received message, as they came, joined by line ends. */
function lastHeader(name: string): KeywordWriter {
  const id = headerIdOf(name);
  if (id === HeaderId.VIA) return lastVia;
  const wanted = name.toLowerCase();
  return (out, { received }) => {
    if (received === undefined) return;
    let written = false;
    for (let i = received.first(id); i >= 0; i = received.next(i)) {
      if (
        id === HeaderId.OTHER &&
        received.text(received.nameStart(i), received.nameEnd(i)).toLowerCase() !== wanted
      ) continue;
      if (written) out.crlf();
      out.bytes(received.buffer, received.lineStart(i), received.valueEnd(i));
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
    if (via === undefined || via.receivedStart >= 0 || (!asks && via.host === receivedFrom.host)) {
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
