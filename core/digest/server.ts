/**
 * The challenging side of Digest for one realm: challenges, the checks that need no password, and the count of uses.
 * The check that needs HA1 lies between {@linkcode DigestServer.examine} and {@linkcode DigestServer.accept}, because
 * it is made elsewhere (docs/PROTOCOL.md §9, VERIFY) and takes time.
 */
import { isMalformed } from "../sip/auth_fields.ts";
import { type AuthHeader, authParam } from "../sip/auth_params.ts";
import type { Random } from "../random.ts";
import type { DigestAlgorithm } from "./algorithms.ts";
import {
  type DigestAuthorization,
  isDigest,
  parseDigestAnswer,
  writeDigestChallenge,
} from "./digest_header.ts";
import type { DigestNonces } from "./nonce.ts";
import type { NonceUses } from "./nonce_uses.ts";
import type { DigestQop } from "./response.ts";

/** What {@linkcode DigestServer} is made of. */
export interface DigestServerOptions {
  readonly realm: string;
  /** Those offered, one challenge each in this order: the preferred first (RFC 8760 §2.3). Default: MD5 alone. */
  readonly algorithms?: readonly DigestAlgorithm[];
  /** Those accepted; "none" accepts answers of the old form too, and alone offers no qop. Default: auth. */
  readonly qops?: readonly (DigestQop | "none")[];
  readonly nonces: DigestNonces;
  readonly uses: NonceUses;
  /** Whether two URIs that differ in spelling are the same (RFC 3261 §19.1.4). Default: they are not. */
  readonly sameUri?: (uri: string, requestUri: string) => boolean;
}

/**
 * What {@linkcode DigestServer.examine} finds. With "check" the answer is in order and its `response` has yet to be
 * checked against HA1; with the others the verdict stands.
 */
export type DigestFinding =
  | { readonly verdict: "check"; readonly answer: DigestAuthorization }
  | { readonly verdict: "no_credentials" }
  | { readonly verdict: "malformed"; readonly field: string; readonly problem: string }
  | { readonly verdict: "stale" | "bad_nonce" | "replayed"; readonly answer: DigestAuthorization };

/**
 * The server of one realm.
 *
 * @example
 * ```ts
 * import { seededRandom } from "../../mod.ts";
 * import { answerDigest, digestHa1, DigestHasher, digestMatches, DigestNonces, DigestServer } from "../../mod.ts";
 * import { loadHashBackend, NonceUses, parseAuth, parseDigestChallenge, selectDigest } from "../../mod.ts";
 * import { assert, assertEquals } from "@std/assert";
 *
 * const { backend } = await loadHashBackend();
 * const hasher = new DigestHasher(backend);
 * const random = seededRandom(1); // a program takes a real source
 * const nonces = new DigestNonces({ hash: backend.get("SHA-256"), key: random.bytes(32), realm: "example.com" });
 * const uses = new NonceUses({ lifetimeMs: nonces.lifetimeMs });
 * const server = new DigestServer({ realm: "example.com", nonces, uses });
 *
 * // The server challenges, the client answers.
 * const challenge = selectDigest(server.challenges(1000, random).map((text) => parseDigestChallenge(parseAuth(text))));
 * assert(challenge);
 * const request = { method: "INVITE", uri: "sip:bob@example.com" };
 * const header = answerDigest(hasher, challenge, { username: "alice", password: "secret" }, request, "5f3a", 1);
 *
 * // The server examines the answer, has its response checked, and marks the use.
 * const finding = server.examine([parseAuth(header)], request.uri, 1100);
 * assert(finding.verdict === "check");
 * const { answer } = finding;
 * const ha1 = digestHa1(hasher, "MD5", "alice", "example.com", "secret");
 * assert(digestMatches(hasher, ha1, { ...answer, ...answer.protection, method: request.method }, answer.response));
 * assertEquals(server.accept(answer, 1120), "ok");
 * assertEquals(server.examine([parseAuth(header)], request.uri, 1200).verdict, "replayed");
 * ```
 */
export class DigestServer {
  readonly realm: string;
  readonly #algorithms: readonly DigestAlgorithm[];
  readonly #qops: readonly DigestQop[];
  readonly #withoutQop: boolean;
  readonly #nonces: DigestNonces;
  readonly #uses: NonceUses;
  readonly #sameUri: (uri: string, requestUri: string) => boolean;

  constructor(options: DigestServerOptions) {
    const qops = options.qops ?? ["auth"];
    this.realm = options.realm;
    this.#algorithms = options.algorithms ?? ["MD5"];
    this.#qops = qops.filter((qop) => qop !== "none");
    this.#withoutQop = qops.includes("none");
    this.#nonces = options.nonces;
    this.#uses = options.uses;
    this.#sameUri = options.sameUri ?? (() => false);
  }

  /**
   * The values of the Proxy-Authenticate or WWW-Authenticate header lines of one response.
   *
   * @param stale the `stale` of the verdict's row in `DIGEST_VERDICTS`
   */
  challenges(now: number, random: Random, stale = false): string[] {
    const nonce = this.#nonces.make(now, random);
    return this.#algorithms.map((algorithm) =>
      writeDigestChallenge({ realm: this.realm, nonce, algorithm, qops: this.#qops, stale })
    );
  }

  /**
   * Everything that can be said of a request's answer without a password. Changes nothing.
   *
   * Other schemes and Digest answers for other realms are another server's. Of several for our realm the first that
   * is in order counts (RFC 8760 §2.4 has the client send one); if none is, the first complaint.
   *
   * @param headers the Proxy-Authorization or Authorization values of the request
   * @param requestUri as it stands in the request
   */
  examine(headers: readonly AuthHeader[], requestUri: string, now: number): DigestFinding {
    let complaint: DigestFinding | undefined;
    for (const header of headers) {
      if (!isDigest(header)) continue;
      const realm = authParam(header, "realm");
      if (realm !== undefined && realm !== this.realm) continue;
      const answer = parseDigestAnswer(header);
      const fault = isMalformed(answer) ? answer : this.#unasked(answer, requestUri);
      if (fault !== undefined) complaint ??= { verdict: "malformed", ...fault };
      else if (!isMalformed(answer)) return this.#weigh(answer, now);
    }
    return complaint ?? { verdict: "no_credentials" };
  }

  /**
   * Marks the use of an answer whose response has proved right.
   *
   * @returns the final verdict: between {@linkcode examine} and now the nonce may have grown too old, or another
   * request may have made the same use of it
   */
  accept(answer: DigestAuthorization, now: number): "ok" | "stale" | "bad_nonce" | "replayed" {
    const finding = this.#weigh(answer, now);
    if (finding.verdict !== "check") return finding.verdict;
    const { nonce, protection } = answer;
    const marked = this.#uses.use(nonce, this.#nonces.issuedAt(nonce), protection?.count, now);
    return marked ? "ok" : "replayed";
  }

  #unasked(answer: DigestAuthorization, requestUri: string): { field: string; problem: string } | undefined {
    if (answer.userhash) return { field: "userhash", problem: "was not offered" };
    if (!this.#algorithms.includes(answer.algorithm)) {
      return { field: "algorithm", problem: "was not offered" };
    }
    const qop = answer.protection?.qop;
    if (qop === undefined && !this.#withoutQop) return { field: "qop", problem: "is missing" };
    if (qop !== undefined && !this.#qops.includes(qop)) return { field: "qop", problem: "was not offered" };
    // RFC 7616 §3.4.6: otherwise an answer to one request would serve for another.
    if (answer.uri !== requestUri && !this.#sameUri(answer.uri, requestUri)) {
      return { field: "uri", problem: "is not the Request-URI" };
    }
    return undefined;
  }

  #weigh(
    answer: DigestAuthorization,
    now: number,
  ): Extract<DigestFinding, { verdict: "check" | "stale" | "bad_nonce" | "replayed" }> {
    const { nonce, protection } = answer;
    const status = this.#nonces.check(nonce, now);
    if (status !== "ok") return { verdict: status === "stale" ? "stale" : "bad_nonce", answer };
    const fresh = this.#uses.isFresh(nonce, this.#nonces.issuedAt(nonce), protection?.count);
    return { verdict: fresh ? "check" : "replayed", answer };
  }
}
