/** From rows to credentials, without I/O: docs/PROTOCOL.md §3 and §8. */
import {
  type ChainAlgorithm,
  decoySecret,
  decoySecrets,
  deriveCredentialsInSteps,
  ha1Algorithm,
  type HashBackend,
  type Identity,
  type KeyHolder,
  type Random,
  type WireIssueResult,
} from "../mod.ts";
import { hasControlCharacters } from "./names.ts";
import { type HashColumn, type Subscriber, usableHash } from "./subscriber.ts";
import { type Steps, toEnd } from "./time_slices.ts";

/** What an {@linkcode Issuer} needs. */
export interface IssuerOptions {
  readonly hashes: HashBackend;
  /** Chain length, 1 … 65535. */
  readonly n: number;
  /** Time to live in seconds. */
  readonly ttl: number;
  /** For decoys; kept across restarts (docs/PROTOCOL.md §8). At least 16 bytes. */
  readonly secret: Uint8Array;
  readonly random: Random;
}

/** Results of one batch, by position, and what to count. */
export interface IssuedBatch {
  readonly results: WireIssueResult[];
  readonly credentials: number;
  readonly decoys: number;
  readonly withoutHash: number;
}

const NONCE_BYTES = 16;
/** Links of one step: about a millisecond with vector lanes, a few without. */
const STEP_LINKS = 2048;
/** Users whose decoys are made in one step. */
const STEP_USERS = 128;

/** The column of the subscriber table that holds S for an algorithm (docs/PROTOCOL.md §2). */
export function columnOf(algorithm: ChainAlgorithm): HashColumn {
  return ha1Algorithm(algorithm) === "MD5" ? "ha1" : "ha1_sha256";
}

/**
 * Issues credentials. A user that does not exist, and one whose row holds no usable hash, gets a decoy by the same
 * path: S_d is worked out for every user, used or not, so that the work does not tell them apart. Only names that no
 * table can hold are refused, whether or not anything like them exists.
 */
export class Issuer {
  readonly #options: IssuerOptions;

  constructor(options: IssuerOptions) {
    this.#options = options;
  }

  /** S of the user, or S_d: what docs/PROTOCOL.md §8 derives from the issuer secret. */
  secretOf(
    user: Identity,
    row: Subscriber | undefined,
    column: HashColumn,
  ): { secret: string; decoy: boolean } {
    const { hashes, secret } = this.#options;
    const decoy = decoySecret(hashes.get("SHA-256"), secret, user);
    const hash = usableHash(row, column);
    return hash === undefined ? { secret: decoy, decoy: true } : { secret: hash, decoy: false };
  }

  /** {@linkcode issueInSteps} at once. */
  issue(
    algorithm: ChainAlgorithm,
    users: readonly Identity[],
    rows: readonly (Subscriber | undefined)[],
    serial: number | readonly number[],
  ): IssuedBatch {
    return toEnd(this.issueInSteps(algorithm, users, rows, serial));
  }

  /**
   * One credential for each user, many chains side by side. However many users and however long their chains, no step
   * takes more than a few milliseconds.
   *
   * @param rows by position, as the store gave them for {@linkcode columnOf} the algorithm
   * @param serial the revocation serial that was read before the rows, or one for each of them
   */
  *issueInSteps(
    algorithm: ChainAlgorithm,
    users: readonly Identity[],
    rows: readonly (Subscriber | undefined)[],
    serial: number | readonly number[],
  ): Steps<IssuedBatch> {
    const { hashes, n, ttl, random, secret } = this.#options;
    const column = columnOf(algorithm);
    const results: WireIssueResult[] = [];
    const holders: KeyHolder[] = [];
    const positions: number[] = [];
    let decoys = 0;
    let withoutHash = 0;
    for (let first = 0; first < users.length; first += STEP_USERS) {
      if (first > 0) yield;
      const some = users.slice(first, first + STEP_USERS);
      const decoyOf = decoySecrets(hashes.many("SHA-256"), secret, some);
      for (const [i, user] of some.entries()) {
        const row = rows[first + i];
        if (hasControlCharacters(user.username) || hasControlCharacters(user.realm)) {
          results[first + i] = { status: "error", code: "invalid_name" };
          continue;
        }
        const hash = usableHash(row, column);
        if (hash === undefined) {
          decoys++;
          if (row !== undefined) withoutHash++;
        }
        positions.push(first + i);
        holders.push({ ...user, secret: hash ?? decoyOf[i] });
      }
    }
    const nonces = random.bytes(holders.length * NONCE_BYTES);
    const derived = yield* deriveCredentialsInSteps(hashes.many(algorithm), holders, nonces, n, STEP_LINKS);
    for (const [i, { nonce, anchor, key }] of derived.entries()) {
      const position = positions[i];
      const known = typeof serial === "number" ? serial : serial[position];
      results[position] = { status: "ok", credential: { nonce, n, anchor, key, ttl, serial: known } };
    }
    return { results, credentials: derived.length, decoys, withoutHash };
  }
}
