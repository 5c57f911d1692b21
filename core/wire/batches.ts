/** Any number of users or Digest answers in frames of the DBclient protocol (docs/PROTOCOL.md §9). */
import type { Identity } from "../chain/derive.ts";
import { utf8Length } from "./bytes.ts";
import { MAX_ITEMS, MAX_REQUEST_LENGTH, TEXT_LIMIT, type TextField } from "./constants.ts";
import { DIGEST_ANSWER_FIELDS, type DigestAnswer } from "./frame.ts";

/** Bytes of a frame around its items, and some to spare. */
const FRAME_ROOM = 64;
const IDENTITY_FIELDS = [["username", "username"], ["realm", "realm"]] as const;

/** Items in frames. One with a text that is too long for the protocol is in none of them. */
export interface Batches<T> {
  /** What goes into one frame each: at most 1000 items and 512 KiB. */
  readonly parts: readonly (readonly T[])[];
  /** Puts the results of all parts, one after the other, to the positions of their items; `missing` to the rest. */
  spread<R>(results: readonly R[], missing: R): R[];
}

/** Bytes of texts with their length fields; undefined when one is too long. */
function textBytes<T>(
  item: T,
  fields: readonly (readonly [property: keyof T, field: TextField])[],
): number | undefined {
  let size = 0;
  for (const [property, field] of fields) {
    const length = utf8Length(item[property] as string);
    if (length > TEXT_LIMIT[field]) return undefined;
    size += 2 + length;
  }
  return size;
}

function inFrames<T>(items: readonly T[], sizeOf: (item: T) => number | undefined): Batches<T> {
  const fits: boolean[] = [];
  const parts: T[][] = [];
  let part: T[] = [];
  let bytes = Infinity;
  for (const item of items) {
    const size = sizeOf(item);
    fits.push(size !== undefined);
    if (size === undefined) continue;
    if (part.length === MAX_ITEMS || bytes + size > MAX_REQUEST_LENGTH - FRAME_ROOM) {
      parts.push(part = []);
      bytes = 0;
    }
    part.push(item);
    bytes += size;
  }
  return {
    parts,
    spread(results, missing) {
      let next = 0;
      return fits.map((fit) => fit ? results[next++] : missing);
    },
  };
}

/** Users for ISSUE frames. */
export function issueBatches(users: readonly Identity[]): Batches<Identity> {
  return inFrames(users, (user) => textBytes(user, IDENTITY_FIELDS));
}

/** Answers for VERIFY frames. */
export function verifyBatches(answers: readonly DigestAnswer[]): Batches<DigestAnswer> {
  return inFrames(answers, (answer) => textBytes(answer, DIGEST_ANSWER_FIELDS));
}
