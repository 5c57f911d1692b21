/** From rows to credentials, without I/O: docs/PROTOCOL.md §3 and §8. */
import {
  type ChainAlgorithm,
  decoySecret,
  deriveCredential,
  ha1Algorithm,
  type HashBackend,
  type Identity,
  type Random,
  type WireIssueResult,
} from "../mod.ts";
import { hasControlCharacters } from "./names.ts";
import { type HashColumn, type Subscriber, usableHash } from "./subscriber.ts";

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

  /**
   * One credential for each user.
   *
   * @param rows by position, as the store gave them for {@linkcode columnOf} the algorithm
   * @param serial the revocation serial that was read before the rows
   */
  issue(
    algorithm: ChainAlgorithm,
    users: readonly Identity[],
    rows: readonly (Subscriber | undefined)[],
    serial: number,
  ): IssuedBatch {
    const { hashes, n, ttl, random } = this.#options;
    const hash = hashes.get(algorithm);
    const column = columnOf(algorithm);
    const nonces = random.bytes(users.length * NONCE_BYTES);
    let decoys = 0;
    let withoutHash = 0;
    let credentials = 0;
    const results = users.map((user, i): WireIssueResult => {
      if (hasControlCharacters(user.username) || hasControlCharacters(user.realm)) {
        return { status: "error", code: "invalid_name" };
      }
      const { secret, decoy } = this.secretOf(user, rows[i], column);
      credentials++;
      if (decoy) {
        decoys++;
        if (rows[i] !== undefined) withoutHash++;
      }
      const nonce = nonces.slice(i * NONCE_BYTES, (i + 1) * NONCE_BYTES);
      const { anchor, key } = deriveCredential(hash, secret, user, nonce, n);
      return { status: "ok", credential: { nonce, n, anchor, key, ttl, serial } };
    });
    return { results, credentials, decoys, withoutHash };
  }
}
