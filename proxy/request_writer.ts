/** Writes requests as they are sent on: RFC 3261 §16.6, by slices of the bytes that came. */
import {
  addReceivedRport,
  type Address,
  decrementMaxForwards,
  encodeText,
  HeaderId,
  isReliable,
  parseUri,
  Patch,
  popRoute,
  pushRecordRoute,
  pushVia,
  setRequestUri,
  type SipMessage,
  uriParam,
} from "../mod.ts";
import { BRANCH_LENGTH, type BranchIds } from "./branch_ids.ts";
import type { DialogTags } from "./dialog_tags.ts";
import type { HeaderEdits } from "./header_edits.ts";
import { removeAnswers } from "./header_filter.ts";
import { TAG_DIGITS } from "./keyed_tag.ts";
import type { LocalNames } from "./local_names.ts";
import type { NextRoute } from "./own_route.ts";

/** Longest message that is written: what a UDP datagram holds over IPv4. */
export const MAX_MESSAGE = 65_507;
/** RFC 5393 §5.3.3: the Max-Breadth of a request that came without. */
export const DEFAULT_MAX_BREADTH = 60;
const MAX_BREADTH_LINE = encodeText(`Max-Breadth: ${DEFAULT_MAX_BREADTH}\r\n`);
const GREATER = 0x3e;
const SIPS = encodeText("sips");

/** How a route wants its request forwarded. */
export interface Forwarding {
  /** So many Route values at the top are this proxy's own, and go. */
  readonly ownRoutes: number;
  readonly recordRoute: boolean;
  readonly consumeDigest: boolean;
  /** {@linkcode BranchIds.routing} of the request as it came. */
  readonly routing: number;
  readonly edits: HeaderEdits | undefined;
}

/** One way that a request goes. */
export interface Hop {
  /** The Request-URI that it gets; undefined: it keeps its own. */
  readonly uri: string | undefined;
  /** Route values put in front (RFC 3327). */
  readonly path: readonly string[];
  /** The Max-Breadth that it gets (RFC 5393 §5). */
  readonly breadth: number;
}

/** What {@linkcode RequestWriter.write} returns when the request cannot be sent on: the status that says so, negative. */
export type WriteFault = -483 | -513;

const NO_PATH: readonly string[] = [];

/** The Max-Breadth of a request; the default when it has none, -1 when it is no number. */
export function breadthOf(message: SipMessage): number {
  const i = message.first(HeaderId.MAX_BREADTH);
  if (i < 0) return DEFAULT_MAX_BREADTH;
  const text = message.text(message.valueStart(i), message.valueEnd(i));
  return /^\d{1,9}$/.test(text) ? Number(text) : -1;
}

/** Writes forwarded requests into one buffer. */
export class RequestWriter {
  /** What was written last. */
  readonly bytes: Uint8Array = new Uint8Array(MAX_MESSAGE + 1);
  /** The bytes that hold its branch, and where. */
  branch: Uint8Array = this.bytes;
  branchStart = 0;
  branchEnd = 0;
  readonly #patch = new Patch();
  /** `SIP/2.0/UDP host:port;branch=…` and `<sip:host:port;lr;did=` by the host:port that a target sees. */
  readonly #vias = new Map<string, LineStart>();
  readonly #statelessVias = new Map<string, LineStart>();
  readonly #recordRoutes = new Map<string, LineStart>();
  /** The same for requests to sips URIs. */
  readonly #secureRecordRoutes = new Map<string, LineStart>();

  constructor(
    private readonly names: LocalNames,
    private readonly tags: DialogTags,
    private readonly branches: BranchIds,
    private readonly realms: ReadonlySet<string>,
  ) {}

  /**
   * Writes a request for its next hop into {@linkcode bytes}.
   *
   * @param next its Route after this proxy's own values, as `how` says
   * @param hop undefined for `target` with the Request-URI that came
   * @param stateless gives it the branch of RFC 3261 §16.11
   * @returns its length, or a fault
   */
  write(
    message: SipMessage,
    from: Address,
    how: Forwarding,
    next: NextRoute,
    target: Address,
    hop: Hop | undefined,
    stateless: boolean,
  ): number | WriteFault {
    const patch = this.#patch.begin(message);
    removeAnswers(patch, this.realms, how.consumeDigest);
    this.#route(patch, how.ownRoutes, next, hop);
    if (decrementMaxForwards(patch) < 0) return -483;
    if (message.method !== "ACK" && message.method !== "CANCEL") this.#breadth(patch, hop);
    if (how.recordRoute) this.#recordRoute(patch, from, target, next, hop);
    addReceivedRport(patch, from);
    this.#via(patch, target, how.routing, stateless);
    if (how.edits !== undefined) how.edits.apply(patch);
    if (message.contentLength < 0 && isReliable(target)) {
      // RFC 3261 §16.6 step 9, §18.3: over a stream nothing else says where the message ends.
      patch.insert(message.headersEnd, `Content-Length: ${message.bodyEnd - message.bodyStart}\r\n`);
    }
    return patch.length > MAX_MESSAGE ? -513 : patch.apply(this.bytes, 0);
  }

  /** RFC 3261 §16.4, §16.6 steps 2 and 6: own Route values go; a strict router gets its URI as the Request-URI. */
  #route(patch: Patch, own: number, next: NextRoute, hop: Hop | undefined): void {
    const path = hop?.path ?? NO_PATH;
    if (path.length === 0 && !next.strict) {
      if (own === 1) popRoute(patch);
      else if (own > 1) removeFirst(patch, own);
      if (hop?.uri !== undefined) setRequestUri(patch, hop.uri);
      return;
    }
    const { message } = patch;
    const values = [...message.values(HeaderId.ROUTE)].slice(own).map(([start, end]) =>
      message.text(start, end)
    );
    const all = [...path, ...values];
    const uri = /<([^>]*)>/.exec(all[0])?.[1] ?? all[0];
    const parsed = parseUri(uri);
    if (parsed !== undefined && uriParam(parsed, "lr") === undefined) {
      all.push(`<${hop?.uri ?? message.requestUri}>`);
      all.shift();
      setRequestUri(patch, uri);
    } else if (hop?.uri !== undefined) setRequestUri(patch, hop.uri);
    const first = message.first(HeaderId.ROUTE);
    const at = first >= 0 ? message.lineStart(first) : message.lineEnd(message.first(HeaderId.VIA));
    patch.removeHeader(HeaderId.ROUTE);
    for (const value of all) patch.insertLine(at, "Route", value);
  }

  #breadth(patch: Patch, hop: Hop | undefined): void {
    const { message } = patch;
    const i = message.first(HeaderId.MAX_BREADTH);
    if (i < 0) {
      const at = message.lineEnd(message.first(HeaderId.VIA));
      if (hop === undefined || hop.breadth === DEFAULT_MAX_BREADTH) patch.insert(at, MAX_BREADTH_LINE);
      else patch.insertLine(at, "Max-Breadth", String(hop.breadth));
    } else if (hop !== undefined) {
      patch.replaceNumber(message.valueStart(i), message.valueEnd(i), hop.breadth);
    }
  }

  /** RFC 3261 §16.6 step 4; twice where the request leaves by another way than it came (RFC 5658). */
  #recordRoute(patch: Patch, from: Address, target: Address, next: NextRoute, hop: Hop | undefined): void {
    const out = this.names.facing(target);
    const came = this.names.facing(from);
    const secure = isSips(patch.message, next, hop);
    this.#pushRecordRoute(patch, out, secure);
    // Both lines stand at one place, in the order in which they are given: the outer one is on top.
    if (came !== out) this.#pushRecordRoute(patch, came, secure);
  }

  #pushRecordRoute(patch: Patch, face: string, secure: boolean): void {
    const lines = secure ? this.#secureRecordRoutes : this.#recordRoutes;
    let line = lines.get(face);
    if (line === undefined) {
      // Nobody reaches another listener than one of TLS by a sips URI.
      const scheme = secure && face.endsWith(";transport=tls") ? "sips" : "sip";
      line = new LineStart(`<${scheme}:${face};lr;did=`, TAG_DIGITS + 1);
      lines.set(face, line);
    }
    const { message } = patch;
    const callId = message.first(HeaderId.CALL_ID);
    const start = message.valueStart(callId);
    let at = this.tags.write(message.buffer, start, message.valueEnd(callId), line.bytes, line.length);
    line.bytes[at++] = GREATER;
    pushRecordRoute(patch, line.bytes, 0, at);
  }

  #via(patch: Patch, target: Address, routing: number, stateless: boolean): void {
    const face = this.names.viaFacing(target);
    const vias = stateless ? this.#statelessVias : this.#vias;
    let line = vias.get(face);
    if (line === undefined) {
      const start = stateless ? this.branches.statelessStart : this.branches.uniqueStart;
      line = new LineStart(`${face};branch=${start}`, BRANCH_LENGTH);
      vias.set(face, line);
    }
    const { bytes } = line;
    const end = stateless
      ? this.branches.writeStateless(patch.message, bytes, line.length, routing)
      : this.branches.writeUnique(bytes, line.length, routing);
    this.branch = bytes;
    this.branchStart = end - BRANCH_LENGTH;
    this.branchEnd = end;
    pushVia(patch, bytes, 0, end);
  }
}

function removeFirst(patch: Patch, count: number): void {
  const values = patch.message.values(HeaderId.ROUTE);
  for (let i = 0; i < count && values.advance(); i++) patch.removeValue(values.header, values.start);
}

/** Whether a request is for a sips URI, or its next Route value is one (RFC 3261 §16.6 step 4). */
function isSips({ buffer, requestUriStart }: SipMessage, next: NextRoute, hop: Hop | undefined): boolean {
  if (next.readable && startsWithSips(buffer, next.uriStart)) return true;
  const uri = hop?.uri;
  return uri === undefined ? startsWithSips(buffer, requestUriStart) : /^sips:/i.test(uri);
}

function startsWithSips(buffer: Uint8Array, at: number): boolean {
  for (let i = 0; i < SIPS.length; i++) if ((buffer[at + i] | 0x20) !== SIPS[i]) return false;
  return true;
}

/** The unchanging start of a header value, with room for what follows. */
class LineStart {
  readonly bytes: Uint8Array;
  readonly length: number;

  constructor(text: string, room: number) {
    const start = encodeText(text);
    this.length = start.length;
    this.bytes = new Uint8Array(start.length + room);
    this.bytes.set(start);
  }
}
