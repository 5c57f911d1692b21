/**
 * Frames of the DBclient protocol and their bytes, for both ends (docs/PROTOCOL.md §9). A frame is u32 length of the
 * rest, u8 type, u32 request id, payload. Every frame has one spelling: encoding what was decoded gives the same bytes.
 */
import { NONCE_BYTES } from "../chain/constants.ts";
import type { Identity } from "../chain/derive.ts";
import type { ChainAlgorithm } from "../hash/chain_hash.ts";
import { ByteReader, ByteWriter, WireError } from "./bytes.ts";
import {
  ALGORITHM_BYTE,
  ALGORITHM_SIZE,
  ERROR_CODE,
  type ErrorName,
  FRAME_TYPE,
  type FrameName,
  HANDSHAKE_RANDOM_BYTES,
  ISSUE_ERROR,
  type IssueErrorName,
  MAX_FRAME_LENGTH,
  MAX_ITEMS,
  MAX_PROOFS,
  PROOF_BYTES,
  PROTOCOL_VERSION,
  TEXT_LIMIT,
  VERIFY_STATUS,
  type VerifyStatus,
} from "./constants.ts";

/** A credential as ISSUED carries it: what it is for stands in the ISSUE frame that it answers. */
export interface WireCredential {
  /** N, 16 bytes. */
  readonly nonce: Uint8Array;
  /** Chain length, 1 … 65535. */
  readonly n: number;
  /** h_n, as long as the algorithm's digest. */
  readonly anchor: Uint8Array;
  /** K, as long as the algorithm's digest. */
  readonly key: Uint8Array;
  /** Time to live in seconds, from receipt. */
  readonly ttl: number;
  /** The revocation serial that was read before the user's row. */
  readonly serial: number;
}

/** One position of an ISSUED frame. */
export type WireIssueResult =
  | { readonly status: "ok"; readonly credential: WireCredential }
  | { readonly status: "error"; readonly code: IssueErrorName };

/** A Digest answer to be checked, as it stood in the request; "" where a parameter was absent (RFC 7616 §3.4). */
export interface DigestAnswer extends Identity {
  readonly nonce: string;
  readonly uri: string;
  readonly method: string;
  readonly qop: string;
  readonly nc: string;
  readonly cnonce: string;
  readonly algorithm: string;
  /** H(entity body) in hexadecimal, for qop=auth-int; else "". */
  readonly bodyHash: string;
  readonly response: string;
}

export interface HelloFrame {
  readonly type: "HELLO";
  readonly id: number;
  readonly proxy: string;
  readonly random: Uint8Array;
  readonly serial: number;
}
export interface WelcomeFrame {
  readonly type: "WELCOME";
  readonly id: number;
  readonly random: Uint8Array;
  /** DBclient's chain length. */
  readonly n: number;
  /** Lifetime of its credentials in seconds. */
  readonly ttl: number;
  /** Its revocation serial. */
  readonly serial: number;
  /** One proof for each key that DBclient accepts for this proxy's name; none without a key. */
  readonly proofs: readonly Uint8Array[];
}
export interface AuthFrame {
  readonly type: "AUTH";
  readonly id: number;
  /** One proof, or none without a key. */
  readonly proofs: readonly Uint8Array[];
}
export interface ReadyFrame {
  readonly type: "READY";
  readonly id: number;
  readonly serial: number;
  /** Users revoked since the serial in HELLO, or "all": drop every credential. */
  readonly revoked: readonly Identity[] | "all";
}
export interface IssueFrame {
  readonly type: "ISSUE";
  readonly id: number;
  readonly algorithm: ChainAlgorithm;
  readonly users: readonly Identity[];
}
export interface IssuedFrame {
  readonly type: "ISSUED";
  readonly id: number;
  readonly algorithm: ChainAlgorithm;
  readonly results: readonly WireIssueResult[];
}
export interface VerifyFrame {
  readonly type: "VERIFY";
  readonly id: number;
  readonly answers: readonly DigestAnswer[];
}
export interface VerifiedFrame {
  readonly type: "VERIFIED";
  readonly id: number;
  readonly statuses: readonly VerifyStatus[];
}
export interface RevokedFrame {
  readonly type: "REVOKED";
  readonly id: number;
  readonly serial: number;
  /** An empty realm stands for every realm; no users: everything up to the serial was told. */
  readonly users: readonly Identity[];
}
export interface PingFrame {
  readonly type: "PING" | "PONG";
  readonly id: number;
}
export interface ErrorFrame {
  readonly type: "ERROR";
  readonly id: number;
  readonly code: ErrorName;
  readonly text: string;
}
/** Any frame. `id` is the request id, 0 where a frame belongs to no request. */
export type Frame =
  | HelloFrame
  | WelcomeFrame
  | AuthFrame
  | ReadyFrame
  | IssueFrame
  | IssuedFrame
  | VerifyFrame
  | VerifiedFrame
  | RevokedFrame
  | PingFrame
  | ErrorFrame;

function invert<T extends string>(table: Readonly<Record<T, number>>): ReadonlyMap<number, T> {
  return new Map((Object.entries(table) as [T, number][]).map(([name, value]) => [value, name]));
}
const TYPE_NAME = invert<FrameName>(FRAME_TYPE);
const ALGORITHM_NAME = invert<ChainAlgorithm>(ALGORITHM_BYTE);
const ERROR_NAME = invert<ErrorName>(ERROR_CODE);
const ISSUE_ERROR_NAME = invert<IssueErrorName>(ISSUE_ERROR);
const VERIFY_STATUS_NAME = invert<VerifyStatus>(VERIFY_STATUS);
const STATUS_OK = 0;
const STATUS_ERROR = 1;

function writeCount(out: ByteWriter, length: number, min: number, max: number, field: string): void {
  if (length < min || length > max) throw new RangeError(`${field} must be ${min} … ${max}, not ${length}`);
  out.u16(length, field);
}

function writeUsers(out: ByteWriter, users: readonly Identity[], min: number): void {
  writeCount(out, users.length, min, MAX_ITEMS, "count");
  for (const { username, realm } of users) {
    out.text(username, "username");
    out.text(realm, "realm");
  }
}

function readUsers(from: ByteReader, min: number): Identity[] {
  const count = from.count("count", min, MAX_ITEMS);
  const users: Identity[] = [];
  for (let i = 0; i < count; i++) {
    users.push({ username: from.text("username"), realm: from.text("realm") });
  }
  return users;
}

function writeProofs(out: ByteWriter, proofs: readonly Uint8Array[], max: number): void {
  if (proofs.length > max) throw new RangeError(`at most ${max} proofs, not ${proofs.length}`);
  out.u8(proofs.length, "proof count");
  for (const proof of proofs) out.fixed(proof, PROOF_BYTES, "proof");
}

function readProofs(from: ByteReader, max: number): Uint8Array[] {
  const count = from.u8("proof count");
  if (count > max) {
    throw new WireError("overlong_field", "proof count", `is ${count}; at most ${max} are allowed`);
  }
  const proofs: Uint8Array[] = [];
  for (let i = 0; i < count; i++) proofs.push(from.fixed(PROOF_BYTES, "proof"));
  return proofs;
}

function writeVersion(out: ByteWriter): void {
  out.u8(PROTOCOL_VERSION, "protocol version");
}

function readVersion(from: ByteReader): void {
  const version = from.u8("protocol version");
  if (version !== PROTOCOL_VERSION) {
    throw new WireError(
      "unsupported_version",
      "protocol version",
      `is ${version}; this end speaks ${PROTOCOL_VERSION}`,
    );
  }
}

function readChainLength(from: ByteReader): number {
  const n = from.u16("n");
  if (n === 0) throw new WireError("bad_value", "n", "is 0; at least 1 is needed");
  return n;
}

const ANSWER_FIELDS = [
  ["username", "username"],
  ["realm", "realm"],
  ["nonce", "nonce"],
  ["uri", "uri"],
  ["method", "method"],
  ["qop", "qop"],
  ["nc", "nc"],
  ["cnonce", "cnonce"],
  ["algorithm", "algorithm"],
  ["bodyHash", "body hash"],
  ["response", "response"],
] as const;

/** Bytes of UTF-8 and the length before it for one user in an ISSUE frame at most; to split large requests. */
export const MAX_USER_BYTES = 4 + TEXT_LIMIT.username + TEXT_LIMIT.realm;
/** The texts of an answer that are limited, with the name of their limit, in wire order. */
export const DIGEST_ANSWER_FIELDS: readonly (readonly [keyof DigestAnswer, keyof typeof TEXT_LIMIT])[] =
  ANSWER_FIELDS;

function writePayload(out: ByteWriter, frame: Frame): void {
  switch (frame.type) {
    case "HELLO":
      writeVersion(out);
      out.text(frame.proxy, "proxy name");
      out.fixed(frame.random, HANDSHAKE_RANDOM_BYTES, "random");
      out.u64(frame.serial, "serial");
      return;
    case "WELCOME":
      writeVersion(out);
      out.fixed(frame.random, HANDSHAKE_RANDOM_BYTES, "random");
      out.u16(frame.n, "n");
      out.u32(frame.ttl, "ttl");
      out.u64(frame.serial, "serial");
      writeProofs(out, frame.proofs, MAX_PROOFS);
      return;
    case "AUTH":
      writeProofs(out, frame.proofs, 1);
      return;
    case "READY":
      out.u64(frame.serial, "serial");
      out.u8(frame.revoked === "all" ? 1 : 0, "flush");
      if (frame.revoked !== "all") writeUsers(out, frame.revoked, 0);
      return;
    case "ISSUE":
      out.u8(ALGORITHM_BYTE[frame.algorithm], "algorithm");
      writeUsers(out, frame.users, 1);
      return;
    case "ISSUED": {
      const size = ALGORITHM_SIZE[frame.algorithm];
      out.u8(ALGORITHM_BYTE[frame.algorithm], "algorithm");
      writeCount(out, frame.results.length, 1, MAX_ITEMS, "count");
      for (const result of frame.results) {
        if (result.status === "error") {
          out.u8(STATUS_ERROR, "status");
          out.u16(ISSUE_ERROR[result.code], "error code");
          continue;
        }
        const { nonce, n, anchor, key, ttl, serial } = result.credential;
        out.u8(STATUS_OK, "status");
        out.fixed(nonce, NONCE_BYTES, "nonce");
        out.u16(n, "n");
        out.fixed(anchor, size, "anchor");
        out.fixed(key, size, "key");
        out.u32(ttl, "ttl");
        out.u64(serial, "serial");
      }
      return;
    }
    case "VERIFY":
      writeCount(out, frame.answers.length, 1, MAX_ITEMS, "count");
      for (const answer of frame.answers) {
        for (const [property, field] of ANSWER_FIELDS) out.text(answer[property], field);
      }
      return;
    case "VERIFIED":
      writeCount(out, frame.statuses.length, 1, MAX_ITEMS, "count");
      for (const status of frame.statuses) out.u8(VERIFY_STATUS[status], "status");
      return;
    case "REVOKED":
      out.u64(frame.serial, "serial");
      writeUsers(out, frame.users, 0);
      return;
    case "ERROR":
      out.u16(ERROR_CODE[frame.code], "error code");
      out.text(frame.text, "text");
      return;
    case "PING":
    case "PONG":
      return;
  }
}

function readPayload(type: FrameName, id: number, from: ByteReader): Frame {
  switch (type) {
    case "HELLO":
      readVersion(from);
      return {
        type,
        id,
        proxy: from.text("proxy name"),
        random: from.fixed(HANDSHAKE_RANDOM_BYTES, "random"),
        serial: from.u64("serial"),
      };
    case "WELCOME":
      readVersion(from);
      return {
        type,
        id,
        random: from.fixed(HANDSHAKE_RANDOM_BYTES, "random"),
        n: readChainLength(from),
        ttl: from.u32("ttl"),
        serial: from.u64("serial"),
        proofs: readProofs(from, MAX_PROOFS),
      };
    case "AUTH":
      return { type, id, proofs: readProofs(from, 1) };
    case "READY": {
      const serial = from.u64("serial");
      const flush = from.u8("flush");
      if (flush > 1) throw new WireError("bad_value", "flush", `${flush} has no meaning`);
      return { type, id, serial, revoked: flush === 1 ? "all" : readUsers(from, 0) };
    }
    case "ISSUE":
      return {
        type,
        id,
        algorithm: from.oneOf(from.u8("algorithm"), ALGORITHM_NAME, "algorithm"),
        users: readUsers(from, 1),
      };
    case "ISSUED": {
      const algorithm = from.oneOf(from.u8("algorithm"), ALGORITHM_NAME, "algorithm");
      const size = ALGORITHM_SIZE[algorithm];
      const count = from.count("count", 1, MAX_ITEMS);
      const results: WireIssueResult[] = [];
      for (let i = 0; i < count; i++) {
        const status = from.u8("status");
        if (status === STATUS_OK) {
          const credential = {
            nonce: from.fixed(NONCE_BYTES, "nonce"),
            n: readChainLength(from),
            anchor: from.fixed(size, "anchor"),
            key: from.fixed(size, "key"),
            ttl: from.u32("ttl"),
            serial: from.u64("serial"),
          };
          results.push({ status: "ok", credential });
        } else if (status === STATUS_ERROR) {
          results.push({
            status: "error",
            code: from.oneOf(from.u16("error code"), ISSUE_ERROR_NAME, "error code"),
          });
        } else throw new WireError("bad_value", "status", `${status} has no meaning`);
      }
      return { type, id, algorithm, results };
    }
    case "VERIFY": {
      const count = from.count("count", 1, MAX_ITEMS);
      const answers: DigestAnswer[] = [];
      for (let i = 0; i < count; i++) {
        answers.push({
          username: from.text("username"),
          realm: from.text("realm"),
          nonce: from.text("nonce"),
          uri: from.text("uri"),
          method: from.text("method"),
          qop: from.text("qop"),
          nc: from.text("nc"),
          cnonce: from.text("cnonce"),
          algorithm: from.text("algorithm"),
          bodyHash: from.text("body hash"),
          response: from.text("response"),
        });
      }
      return { type, id, answers };
    }
    case "VERIFIED": {
      const count = from.count("count", 1, MAX_ITEMS);
      const statuses: VerifyStatus[] = [];
      for (let i = 0; i < count; i++) {
        statuses.push(from.oneOf(from.u8("status"), VERIFY_STATUS_NAME, "status"));
      }
      return { type, id, statuses };
    }
    case "REVOKED":
      return { type, id, serial: from.u64("serial"), users: readUsers(from, 0) };
    case "ERROR":
      return {
        type,
        id,
        code: from.oneOf(from.u16("error code"), ERROR_NAME, "error code"),
        text: from.text("text"),
      };
    case "PING":
    case "PONG":
      return { type, id };
  }
}

const writer = new ByteWriter();

/**
 * The bytes of a frame, length field included.
 *
 * @throws {RangeError} when a value does not fit its field, or the frame would be over 1 MiB
 * @example
 * ```ts
 * import { decodeFrame, encodeFrame } from "../../mod.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const bytes = encodeFrame({ type: "PING", id: 7 });
 * assertEquals([...bytes], [0, 0, 0, 5, 0x30, 0, 0, 0, 7]);
 * assertEquals(decodeFrame(bytes, 4, bytes.length), { type: "PING", id: 7 });
 * ```
 */
export function encodeFrame(frame: Frame): Uint8Array<ArrayBuffer> {
  writer.clear();
  writer.u32(0, "length");
  writer.u8(FRAME_TYPE[frame.type], "type");
  writer.u32(frame.id, "request id");
  writePayload(writer, frame);
  const length = writer.length - 4;
  if (length > MAX_FRAME_LENGTH) {
    throw new RangeError(`${frame.type}: ${length} bytes; at most ${MAX_FRAME_LENGTH} are allowed`);
  }
  writer.patchU32(0, length);
  return writer.take();
}

/**
 * Decodes one frame from `bytes[start … end)`, which begins with the type (the length field is not part of it).
 *
 * @throws {WireError} naming the code and the field; the frame holds no reference to `bytes`
 */
export function decodeFrame(bytes: Uint8Array, start: number, end: number): Frame {
  const from = new ByteReader(bytes, start, end);
  const byte = from.u8("type");
  const type = TYPE_NAME.get(byte);
  if (type === undefined) {
    throw new WireError("unknown_type", "type", `0x${byte.toString(16).padStart(2, "0")} is no frame type`);
  }
  const id = from.u32("request id");
  const frame = readPayload(type, id, from);
  from.finish(type);
  return frame;
}
