/** From the rows of a query to subscribers by position, without I/O: what all stores have in common. */
import { type DigestAlgorithm, digestHa1, DigestHasher, type HashBackend, type Identity } from "../mod.ts";
import {
  byPosition,
  byUsername,
  type HashColumn,
  type NewSubscriber,
  type Subscriber,
} from "./subscriber.ts";
import type { SubscriberTable } from "./subscriber_table.ts";

/** The Digest algorithm of each column's hash (RFC 8760). */
const ALGORITHMS: Readonly<Record<HashColumn, DigestAlgorithm>> = {
  ha1: "MD5",
  ha1_sha256: "SHA-256",
  ha1_sha512t256: "SHA-512-256",
};

/** Hashes of a password, for every column, and Kamailio's ha1b. */
export function passwordHashes(
  hasher: DigestHasher,
  { username, realm }: Identity,
  password: string,
): Pick<NewSubscriber, "hashes"> & { readonly ha1b: string } {
  const hash = (algorithm: DigestAlgorithm) => digestHa1(hasher, algorithm, username, realm, password);
  return {
    hashes: { ha1: hash("MD5"), ha1_sha256: hash("SHA-256"), ha1_sha512t256: hash("SHA-512-256") },
    ha1b: digestHa1(hasher, "MD5", `${username}@${realm}`, realm, password),
  };
}

/** Matches rows with the users asked; calculates HA1 where the table holds plain passwords. */
export class FoundSubscribers {
  readonly #hasher: DigestHasher | undefined;

  /** @param hashes needed for a table with `calculateHa1` */
  constructor(private readonly table: SubscriberTable, hashes: HashBackend | undefined) {
    if (!table.calculateHa1) return;
    if (hashes === undefined) throw new TypeError("calculate_ha1 needs a hash backend");
    this.#hasher = new DigestHasher(hashes);
  }

  /**
   * @param rows with the password as their hash where HA1 is calculated, and any realm where it is not compared
   * @returns by position of the users; undefined for unknown ones
   */
  find(
    users: readonly Identity[],
    rows: readonly Subscriber[],
    column: HashColumn,
  ): (Subscriber | undefined)[] {
    const found = this.table.useDomain ? byPosition(users, rows) : byUsername(users, rows);
    const hasher = this.#hasher;
    if (hasher === undefined) return found;
    return found.map((row, i) => {
      // Unknown users cost the same work as known ones (docs/PROTOCOL.md §8).
      const { username, realm } = users[i];
      const hash = digestHa1(hasher, ALGORITHMS[column], username, realm, row?.hash ?? "");
      return row === undefined ? undefined : { ...row, hash: row.hash === "" ? "" : hash };
    });
  }
}
