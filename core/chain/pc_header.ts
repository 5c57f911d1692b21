/**
 * The header values of the PC scheme: challenge (docs/PROTOCOL.md §4), answer (§5) and confirmation (§7), parsed
 * from and written to the text after the header name. Parsed fields are values: quotes and quoted-pairs are gone,
 * hexadecimal is in lower case, numbers are numbers.
 */
import { CHAIN_ALGORITHMS, type ChainAlgorithm } from "../hash/chain_hash.ts";
import { fromHex, toHex } from "../hash/hex.ts";
import { AuthFault, AuthFields, type MalformedAuth, parseFields } from "../sip/auth_fields.ts";
import { type AuthHeader, authParam, quote } from "../sip/auth_params.ts";
import { MAX_CHAIN, MIN_CHAIN, NONCE_BYTES, OPAQUE_BYTES, PC_SCHEME } from "./constants.ts";
import { DIGEST_BYTES, PcAnswerView, SEQ_NONE } from "./pc_answer_view.ts";

/** A `PC` answer: Proxy-Authorization or Authorization. */
export interface PcAnswer {
  readonly username: string;
  readonly realm: string;
  readonly algorithm: ChainAlgorithm;
  /** hex(N). */
  readonly nonce: string;
  /** 16 hexadecimal digits. */
  readonly opaque: string;
  /** j, or undefined for `seq=none`. */
  readonly seq: number | undefined;
  /** h_j; absent exactly with `seq=none`. */
  readonly token: Uint8Array | undefined;
  readonly uri: string;
  readonly response: Uint8Array;
  readonly qop: "auth-int" | undefined;
}

/** A `PC` challenge: Proxy-Authenticate or WWW-Authenticate. Guided when `guide` is there. */
export interface PcChallenge {
  readonly realm: string;
  readonly algorithm: ChainAlgorithm;
  readonly nonce: string;
  readonly chain: number;
  readonly opaque: string;
  readonly qop?: "auth-int";
  readonly stale?: boolean;
  /** `seq` = i - 1 with its `auth`, which an agent checks before it believes it. */
  readonly guide?: { readonly seq: number; readonly auth: Uint8Array };
}

/** A `PC` confirmation: Proxy-Authentication-Info or Authentication-Info. */
export interface PcInfo {
  readonly realm: string;
  readonly nonce: string;
  readonly seq: number;
  readonly rspauth: Uint8Array;
  readonly next?: { readonly nonce: string; readonly chain: number };
}

const DECIMAL = /^(0|[1-9][0-9]{0,4})$/;

/** The parameters of one PC value. */
class Fields extends AuthFields {
  override text(name: string): string {
    const value = super.text(name);
    // deno-lint-ignore no-control-regex
    if (/[\x00-\x1f\x7f]/.test(value)) throw new AuthFault(name, "has a control character");
    return value;
  }

  hex(name: string, bytes: number): string {
    const value = this.text(name);
    if (value.length !== bytes * 2) throw new AuthFault(name, `is not ${bytes * 2} hexadecimal digits`);
    if (!/^[0-9a-fA-F]+$/.test(value)) throw new AuthFault(name, "is not hexadecimal");
    return value.toLowerCase();
  }

  number(name: string, min: number, max: number): number {
    const value = this.text(name);
    if (!DECIMAL.test(value)) throw new AuthFault(name, "is not a canonical decimal number");
    const number = Number(value);
    if (number < min || number > max) throw new AuthFault(name, `is not within ${min} … ${max}`);
    return number;
  }

  algorithm(): ChainAlgorithm {
    const value = this.text("algorithm");
    const found = CHAIN_ALGORITHMS.find((name) => name === value);
    if (found === undefined) throw new AuthFault("algorithm", "is unknown");
    return found;
  }
}

/** Synchronous and never left in the middle, so that one serves all. */
const view = new PcAnswerView();

/**
 * Reads a `PC` answer, docs/PROTOCOL.md §5 and §6 step 1. The caller compares `uri` with the Request-URI.
 *
 * @param header credentials of the scheme `PC`; the caller has looked at the scheme and the realm
 * @param offeredQop the qop that this proxy offers: an answer must repeat it, and may have no other
 * @returns the answer, or the field at fault
 * @example
 * ```ts
 * import { isMalformed, parsePcAnswer } from "../../mod.ts";
 * import { parseAuth } from "../sip/auth_params.ts";
 * import { assert, assertEquals } from "@std/assert";
 *
 * const value = `PC username="alice", realm="example.com", algorithm=MD5, nonce="${"AB".repeat(16)}", ` +
 *   `opaque="${"cd".repeat(8)}", seq=none, uri="sip:bob@example.com", response="${"00".repeat(16)}"`;
 * const answer = parsePcAnswer(parseAuth(value));
 * assert(!isMalformed(answer));
 * assertEquals([answer.username, answer.nonce, answer.seq], ["alice", "ab".repeat(16), undefined]);
 *
 * const broken = parsePcAnswer(parseAuth(value.replace("seq=none", "seq=09")));
 * assertEquals(broken, { field: "seq", problem: "is not a canonical decimal number" });
 * ```
 */
export function parsePcAnswer(header: AuthHeader, offeredQop?: "auth-int"): PcAnswer | MalformedAuth {
  view.take(header);
  if (!view.check(offeredQop)) return view.fault;
  return {
    username: authParam(header, "username")!,
    realm: authParam(header, "realm")!,
    algorithm: CHAIN_ALGORITHMS[view.algorithm],
    nonce: toHex(view.nonce),
    opaque: toHex(view.opaque),
    seq: view.seq === SEQ_NONE ? undefined : view.seq,
    token: view.token?.slice(),
    uri: authParam(header, "uri")!,
    response: view.response.slice(),
    qop: offeredQop,
  };
}

const CHALLENGE_FIELDS = new Set([
  "realm",
  "algorithm",
  "nonce",
  "chain",
  "opaque",
  "qop",
  "stale",
  "seq",
  "auth",
]);

/**
 * Reads a `PC` challenge, docs/PROTOCOL.md §4. `seq` without `auth`, or the other way round, is no guide: an agent
 * believes the one only with the other, so both are ignored.
 */
export function parsePcChallenge(header: AuthHeader): PcChallenge | MalformedAuth {
  return parseFields(() => {
    const fields = new Fields(header, CHALLENGE_FIELDS);
    const algorithm = fields.algorithm();
    const chain = fields.number("chain", MIN_CHAIN, MAX_CHAIN);
    const offersInt = fields.has("qop") &&
      fields.text("qop").split(",").some((qop) => qop.trim() === "auth-int");
    return {
      realm: fields.text("realm"),
      algorithm,
      nonce: fields.hex("nonce", NONCE_BYTES),
      chain,
      opaque: fields.hex("opaque", OPAQUE_BYTES),
      ...(offersInt ? { qop: "auth-int" as const } : {}),
      ...(fields.has("stale") ? { stale: fields.text("stale").toLowerCase() === "true" } : {}),
      ...(fields.has("seq") && fields.has("auth")
        ? {
          guide: {
            seq: fields.number("seq", 0, chain - 1),
            auth: fromHex(fields.hex("auth", DIGEST_BYTES[algorithm])),
          },
        }
        : {}),
    };
  });
}

const INFO_FIELDS = new Set(["realm", "nonce", "seq", "rspauth", "nextnonce", "chain"]);

/** Reads a `PC` confirmation, docs/PROTOCOL.md §7. The caller knows the algorithm by the nonce. */
export function parsePcInfo(header: AuthHeader): PcInfo | MalformedAuth {
  return parseFields(() => {
    const fields = new Fields(header, INFO_FIELDS);
    const rspauth = fields.text("rspauth").length / 2;
    if (!Object.values(DIGEST_BYTES).includes(rspauth)) throw new AuthFault("rspauth", "has a wrong length");
    const announces = fields.has("nextnonce") || fields.has("chain");
    return {
      realm: fields.text("realm"),
      nonce: fields.hex("nonce", NONCE_BYTES),
      seq: fields.number("seq", 0, MAX_CHAIN - 1),
      rspauth: fromHex(fields.hex("rspauth", rspauth)),
      ...(announces
        ? {
          next: {
            nonce: fields.hex("nextnonce", NONCE_BYTES),
            chain: fields.number("chain", MIN_CHAIN, MAX_CHAIN),
          },
        }
        : {}),
    };
  });
}

/** Writes an answer as docs/PROTOCOL.md §5 shows it, without the header name. */
export function writePcAnswer(answer: PcAnswer): string {
  const seq = answer.token === undefined ? "seq=none" : `seq=${answer.seq}, token="${toHex(answer.token)}"`;
  const qop = answer.qop === undefined ? "" : `, qop=${answer.qop}`;
  return `${PC_SCHEME} username=${quote(answer.username)}, realm=${quote(answer.realm)}, ` +
    `algorithm=${answer.algorithm}, nonce="${answer.nonce}", opaque="${answer.opaque}", ${seq}, ` +
    `uri=${quote(answer.uri)}, response="${toHex(answer.response)}"${qop}`;
}

/** Writes a challenge as docs/PROTOCOL.md §4 shows it, without the header name. */
export function writePcChallenge(challenge: PcChallenge): string {
  const { guide } = challenge;
  const seq = guide === undefined ? "" : `, seq=${guide.seq}, auth="${toHex(guide.auth)}"`;
  const qop = challenge.qop === undefined ? "" : `, qop="${challenge.qop}"`;
  const stale = challenge.stale ? ", stale=true" : "";
  return `${PC_SCHEME} realm=${quote(challenge.realm)}, algorithm=${challenge.algorithm}, ` +
    `nonce="${challenge.nonce}", chain=${challenge.chain}, opaque="${challenge.opaque}"${qop}${stale}${seq}`;
}

/** Writes a confirmation as docs/PROTOCOL.md §7 shows it, without the header name. */
export function writePcInfo(info: PcInfo): string {
  const next = info.next === undefined ? "" : `, nextnonce="${info.next.nonce}", chain=${info.next.chain}`;
  return `${PC_SCHEME} realm=${quote(info.realm)}, nonce="${info.nonce}", seq=${info.seq}, ` +
    `rspauth="${toHex(info.rspauth)}"${next}`;
}
