/** Contacts as rows of the `location` table of OpenSIPS (usrloc, version 1013) and back. */
import { type Address, formatAddress, parseNameAddr, parseUri, type Transport, uriParam } from "../../mod.ts";
import type { Binding, LocationChange } from "../location.ts";
import { aorKey, MAX_AOR_USER, splitAor } from "./aor.ts";

/** One row; columns that are not named here keep their defaults. */
export interface LocationRow {
  readonly username: string;
  readonly domain: string;
  readonly contact: string;
  /** `sip:host:port`, where the phone was seen */
  readonly received: string | null;
  /** Path values, separated by commas */
  readonly path: string | null;
  /** s since 1970 */
  readonly expires: number;
  readonly q: number;
  readonly callid: string;
  readonly cseq: number;
  readonly user_agent: string;
  /** Contact parameters */
  readonly attr: string | null;
}

/** The columns of {@linkcode LocationRow}. */
export const LOCATION_COLUMNS = [
  "username",
  "domain",
  "contact",
  "received",
  "path",
  "expires",
  "q",
  "callid",
  "cseq",
  "user_agent",
  "attr",
] as const satisfies readonly (keyof LocationRow)[];

/** How the proxy's clock relates to that of the table. */
export interface Clocks {
  /** ms since 1970 */
  readonly wall: number;
  /** ms on the proxy's clock, at the same moment */
  readonly now: number;
}

/** All that is known of one user now: what stands in the table goes. */
export interface UserRows {
  readonly username: string;
  readonly domain: string;
  readonly rows: readonly LocationRow[];
}

const MAX_CSEQ = 2 ** 31 - 1;
const MAX_TEXT = 8192;
// deno-lint-ignore no-control-regex
const CONTROLS = /[\x00-\x1f\x7f]/;

/** The rows of a change. */
export function rowsOf({ aor, bindings }: LocationChange, { wall, now }: Clocks): UserRows {
  const [username, domain] = splitAor(aor);
  const rows = bindings.map((binding): LocationRow => ({
    username,
    domain,
    contact: binding.uri,
    received: binding.received === undefined ? null : receivedText(binding.received),
    path: binding.path.length === 0 ? null : binding.path.join(","),
    expires: Math.floor((binding.expires - now + wall) / 1000),
    q: binding.q,
    callid: binding.callId,
    cseq: binding.cseq,
    user_agent: binding.userAgent,
    attr: binding.params === "" ? null : binding.params,
  }));
  return { username, domain, rows };
}

function receivedText(address: Address): string {
  const { transport = "udp" } = address;
  return `sip:${formatAddress(address)}${transport === "udp" ? "" : `;transport=${transport}`}`;
}

/**
 * Reads a row; whoever may write the table is not trusted to know SIP.
 *
 * @param domains served domains in lower case
 * @returns undefined when it is over, of no served domain, or malformed: the reason is `row.contact`'s business alone
 */
export function readRow(
  row: LocationRow,
  domains: ReadonlySet<string>,
  { wall, now }: Clocks,
): { readonly aor: string; readonly binding: Binding } | undefined {
  const { username, domain, contact, callid, cseq, user_agent } = row;
  const texts = [
    username,
    domain,
    contact,
    callid,
    user_agent,
    row.received ?? "",
    row.path ?? "",
    row.attr ?? "",
  ];
  if (texts.some((text) => typeof text !== "string" || text.length > MAX_TEXT || CONTROLS.test(text))) {
    return undefined;
  }
  if (username === "" || username.length > MAX_AOR_USER || !domains.has(domain.toLowerCase())) {
    return undefined;
  }
  const uri = parseUri(contact);
  if (uri?.scheme !== "sip" && uri?.scheme !== "sips") return undefined;
  const q = Math.round(row.q * 1000) / 1000;
  if (!(q >= 0 && q <= 1) || !Number.isInteger(cseq) || cseq < 0 || cseq > MAX_CSEQ) return undefined;
  const left = row.expires * 1000 - wall;
  if (!Number.isFinite(left) || left <= 0) return undefined;
  const received = readReceived(row.received);
  const path = readPath(row.path);
  const params = readParams(row.attr);
  if (received === null || path === undefined || params === undefined) return undefined;
  const binding = { uri: contact, q, expires: now + left, callId: callid, cseq, path, received };
  return { aor: aorKey(username, domain), binding: { ...binding, userAgent: user_agent, params } };
}

/** null when it is malformed. */
function readReceived(text: string | null): Address | undefined | null {
  if (text === null || text === "") return undefined;
  const uri = parseUri(text);
  if (uri === undefined || uri.host === "") return null;
  const transport = uriParam(uri, "transport")?.toLowerCase() ?? "udp";
  if (transport !== "udp" && transport !== "tcp" && transport !== "tls") return null;
  const address = { host: uri.host, port: uri.port ?? 5060 };
  return transport === "udp" ? address : { ...address, transport: transport as Transport };
}

/** undefined when it is malformed. */
function readPath(text: string | null): string[] | undefined {
  if (text === null || text === "") return [];
  const values = text.match(/(?:[^,<"]|<[^>]*>|"(?:[^"\\]|\\.)*")+/g)?.map((value) => value.trim()) ?? [];
  return values.every((value) => parseNameAddr(value) !== undefined) ? values : undefined;
}

/** undefined when it is malformed. */
function readParams(text: string | null): string | undefined {
  if (text === null) return "";
  return /^(?:;[^\s;="]+(?:=(?:"(?:[^"\\]|\\.)*"|[^\s;",]*))?)*$/.test(text) ? text : undefined;
}
