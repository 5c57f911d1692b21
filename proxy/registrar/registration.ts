/** Reads what a REGISTER asks for: RFC 3261 §10.3 steps 2, 6 and 7, RFC 3327 §5.3. */
import {
  type Address,
  HeaderId,
  isReliable,
  NameAddrView,
  parseUri,
  sameAddress,
  type SipMessage,
  type SipUri,
} from "../../mod.ts";
import type { NewContact, Registration } from "../location.ts";
import type { ReplyParts } from "../route.ts";

/** What an operator sets; names of OpenSIPS's registrar. */
export interface RegistrarOptions {
  /** s; a contact that names no time, or none that can be read */
  readonly defaultExpires: number;
  /** s; less is refused with 423 */
  readonly minExpires: number;
  /** s; more is shortened to it */
  readonly maxExpires: number;
  /** Contacts of one address-of-record at most. */
  readonly maxContacts: number;
  /** Bytes of a Contact URI with its parameters, and of all Path values together, at most. */
  readonly maxContactSize: number;
  /** Whether To must be the user who was authenticated. */
  readonly checkTo: boolean;
  /** What happens to Path of an agent that does not say that it supports it: kept silently, kept and shown, or refused (420). */
  readonly pathMode: 0 | 1 | 2;
}

/** What stands in a REGISTER, beside whose it is. */
export type RegistrationRequest = Omit<Registration, "aor">;

/** RFC 3261 §10.2.1.1: the time of a contact whose time cannot be read. */
const UNREADABLE_EXPIRES = 3600;
/** RFC 3261 §10.3 step 7: only less than an hour may be called too brief. */
const NEVER_TOO_BRIEF = 3600;
/** Contacts in one request, as a multiple of those that a user may have: old ones go, new ones come. */
const CONTACTS_IN_REQUEST = 2;
/** Most characters of a name that is kept; what the tables of OpenSIPS have room for. */
const MAX_TEXT = 255;
const STAR = 0x2a;
const LESS = 0x3c;

const SUPPORTED_OPTIONS: ReadonlySet<string> = new Set(["path"]);
const QVALUE = /^(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)$/;
// deno-lint-ignore no-control-regex
const CONTROLS = /[\x00-\x1f\x7f]+/g;
const PARAM = /;\s*([^\s;="]+)(?:\s*=\s*("(?:[^"\\]|\\[\s\S])*"|[^\s;"]*))?\s*/g;

function bad(reason: string): ReplyParts {
  return { status: 400, reason: `Bad Request (${reason})` };
}

function isSip(uri: SipUri | undefined): boolean {
  return uri?.scheme === "sip" || uri?.scheme === "sips";
}

/** The values of a header as text, folds made one space. */
function texts(message: SipMessage, id: HeaderId): string[] {
  // A CR or LF that ends no line is let through by the scanner.
  return [...message.values(id)].map(([start, end]) => message.text(start, end).replace(CONTROLS, " "));
}

/**
 * Reads a REGISTER.
 *
 * @param source where it came from
 * @returns what it asks for, or how it is refused
 */
export function readRegistration(
  message: SipMessage,
  source: Address,
  options: RegistrarOptions,
): RegistrationRequest | ReplyParts {
  const unsupported = texts(message, HeaderId.REQUIRE).filter((tag) =>
    !SUPPORTED_OPTIONS.has(tag.toLowerCase())
  );
  if (unsupported.length > 0) return { status: 420, headers: [`Unsupported: ${unsupported.join(", ")}`] };
  const contacts = readContacts(message, options);
  if ("status" in contacts) return contacts;
  const path = readPath(message, options);
  if ("status" in path) return path;
  const { callId } = message;
  if (callId.length > MAX_TEXT) return bad("Call-ID is too long");
  if (callId.search(CONTROLS) >= 0) return bad("Call-ID has a control character");
  return {
    callId,
    cseq: message.cseqNumber,
    contacts: contacts.all ? "*" : contacts.contacts,
    path,
    received: path.length === 0 ? receivedOf(message, source) : undefined,
    userAgent: (message.value(HeaderId.USER_AGENT) ?? "").replace(CONTROLS, " ").slice(0, MAX_TEXT),
  };
}

type Contacts = { readonly all: boolean; readonly contacts: readonly NewContact[] };

function readContacts(message: SipMessage, options: RegistrarOptions): Contacts | ReplyParts {
  const general = headerExpires(message, options);
  const view = new NameAddrView();
  const contacts: NewContact[] = [];
  let all = false;
  let count = 0;
  for (const [start, end] of message.values(HeaderId.CONTACT)) {
    if (++count > CONTACTS_IN_REQUEST * options.maxContacts) return tooManyContacts();
    if (end === start + 1 && message.buffer[start] === STAR) {
      all = true;
      continue;
    }
    if (!view.parse(message.buffer, start, end) || view.end !== end) return bad("Contact is malformed");
    const contact = readContact(message, view, general, options);
    if ("status" in contact) return contact;
    contacts.push(contact);
  }
  if (!all) return { all, contacts };
  if (count > 1) return bad("Contact: * stands beside others");
  const zero = message.first(HeaderId.EXPIRES) >= 0 && /^0+$/.test(message.value(HeaderId.EXPIRES)!);
  return zero ? { all, contacts } : bad("Contact: * needs Expires: 0");
}

/** Refused as more than the user may have. */
export function tooManyContacts(): ReplyParts {
  return { status: 403, reason: "Forbidden (too many contacts)" };
}

function readContact(
  message: SipMessage,
  view: NameAddrView,
  general: number,
  options: RegistrarOptions,
): NewContact | ReplyParts {
  const uri = view.uriText;
  // What follows a "?" could be headers of the URI or no part of it (RFC 3261 §20.10, RFC 4475 §3.1.2.13).
  const bare = message.buffer[view.uriStart - 1] !== LESS;
  if (bare && uri.includes("?")) return bad("Contact needs <> around its URI");
  const parsed = parseUri(uri);
  if (parsed === undefined) return bad("Contact has no readable URI");
  if (!isSip(parsed)) return bad("Contact is no SIP URI");
  let seconds = general;
  let q = 1;
  let params = "";
  for (
    const [, name, value] of message.text(view.paramsStart, view.end).replace(CONTROLS, " ")
      .matchAll(PARAM)
  ) {
    switch (name.toLowerCase()) {
      case "expires":
        seconds = readSeconds(value ?? "") ?? UNREADABLE_EXPIRES;
        break;
      case "q":
        if (!QVALUE.test(value ?? "")) return bad("q of Contact is malformed");
        q = Number(value);
        break;
      default:
        params += value === undefined ? `;${name}` : `;${name}=${value}`;
    }
  }
  if (uri.length + params.length > options.maxContactSize) return bad("Contact is too long");
  const { minExpires, maxExpires } = options;
  if (seconds > 0 && seconds < minExpires && seconds < NEVER_TOO_BRIEF) {
    return { status: 423, headers: [`Min-Expires: ${minExpires}`] };
  }
  return { uri, q, params, seconds: Math.min(seconds, maxExpires) };
}

/** What a contact without a time of its own gets, s. */
function headerExpires(message: SipMessage, options: RegistrarOptions): number {
  const value = message.value(HeaderId.EXPIRES);
  return value === undefined ? options.defaultExpires : readSeconds(value) ?? options.defaultExpires;
}

/** delta-seconds; undefined when it is none. */
function readSeconds(text: string): number | undefined {
  return /^[0-9]+$/.test(text) ? Math.min(Number(text), 2 ** 32 - 1) : undefined;
}

function readPath(message: SipMessage, options: RegistrarOptions): readonly string[] | ReplyParts {
  if (message.first(HeaderId.PATH) < 0) return [];
  const values = texts(message, HeaderId.PATH);
  if (options.pathMode === 2 && !supportsPath(message)) {
    return { status: 420, headers: ["Unsupported: path", ...values.map((value) => `Path: ${value}`)] };
  }
  const view = new NameAddrView();
  let size = 0;
  for (const [start, end] of message.values(HeaderId.PATH)) {
    const readable = view.parse(message.buffer, start, end) && view.end === end;
    if (!readable || !isSip(view.uri())) return bad("Path is malformed");
    size += end - start;
  }
  return size > options.maxContactSize ? bad("Path is too long") : values;
}

/** Whether the sender understands Path (RFC 3327 §5.1). */
export function supportsPath(message: SipMessage): boolean {
  return texts(message, HeaderId.SUPPORTED).some((tag) => tag.toLowerCase() === "path");
}

/**
 * Where a phone is reached that does not know its own address: the source, when its only Via says otherwise (RFC 3261
 * §18.2.1, RFC 3581), or its connection. With more Vias than one the source is a proxy.
 */
function receivedOf(message: SipMessage, source: Address): Address | undefined {
  const via = message.topVia();
  if (via === undefined || message.secondVia() !== undefined) return undefined;
  if (isReliable(source)) return copyOf(source);
  const isThere = via.rportNameEnd >= 0
    ? sameAddress({ host: via.host, port: via.port }, source)
    : via.host.toLowerCase() === source.host.toLowerCase();
  return isThere ? undefined : copyOf(source);
}

/** An address without what else its object has. */
function copyOf({ host, port, transport, flow }: Address): Address {
  return {
    host,
    port,
    ...(transport === undefined ? {} : { transport }),
    ...(flow === undefined || flow === 0 ? {} : { flow }),
  };
}
