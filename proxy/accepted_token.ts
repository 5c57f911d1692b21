/** What is remembered of an accepted token until the final responses are sent: the confirmation is made from it. */
import { CHAIN_ALGORITHMS, NONCE_BYTES } from "../mod.ts";
import { type AuthKind, PROXY_AUTH, WWW_AUTH } from "./auth_kind.ts";
import { NO_USER } from "./cache/layout.ts";

const LONGEST_DIGEST = 32;
const NONCE_WORDS = NONCE_BYTES / 4;
const KEY_WORDS = LONGEST_DIGEST / 4;

/** Words of a saved token. */
const Word = {
  /** Bit 0: WWW-Authenticate family; bits 1 and 2: algorithm; bit 3: confirmed; from bit 8: realm. */
  FLAGS: 0,
  /** seq, and in the upper half the length of the next chain, 0 when none is announced. */
  SEQ: 1,
  PLACE: 2,
  TAG: 3,
  NONCE: 4,
  KEY: 4 + NONCE_WORDS,
  NEXT: 4 + NONCE_WORDS + KEY_WORDS,
  COUNT: 4 + 2 * NONCE_WORDS + KEY_WORDS,
} as const;
const Flag = { WWW: 1, ALGORITHM: 1, CONFIRMED: 8, REALM: 8 } as const;

/**
 * An accepted token as plain numbers and bytes; reusable, and storable in {@linkcode AcceptedToken.WORDS} words of a
 * column that belongs to the same thread. Holds K until it is confirmed: not to be written anywhere else.
 */
export class AcceptedToken {
  /** How many words {@linkcode save} takes. */
  static readonly WORDS: number = Word.COUNT;

  kind: AuthKind = PROXY_AUTH;
  /** The realm by its number at the authenticator that accepted the token. */
  realm = 0;
  /** Number in CHAIN_ALGORITHMS. */
  algorithm = 0;
  seq = 0;
  /** Of the user in the cache when the token was accepted; a user may move or be forgotten. */
  place: number = NO_USER;
  /** Tells the credential that the token is of from all others of the cache. */
  tag = 0;
  /** N of that credential. */
  readonly nonce: Uint8Array = new Uint8Array(NONCE_BYTES);
  /** Its K, and after the first confirmation the rspauth; as many bytes as the algorithm has count. */
  readonly key: Uint8Array = new Uint8Array(LONGEST_DIGEST);
  /** Whether a confirmation was written: those that follow say the same. */
  confirmed = false;
  /** N of the credential that the confirmation announces. */
  readonly nextNonce: Uint8Array = new Uint8Array(NONCE_BYTES);
  /** Length of its chain; 0 when none is announced. */
  nextChain = 0;
  readonly #nonce = new Int32Array(this.nonce.buffer);
  readonly #key = new Int32Array(this.key.buffer);
  readonly #next = new Int32Array(this.nextNonce.buffer);
  readonly #keys = CHAIN_ALGORITHMS.map((_, i) => new Uint8Array(this.key.buffer, 0, [16, 20, 32][i]));

  /** {@linkcode key} as exactly as many bytes as the algorithm has. */
  get digest(): Uint8Array {
    return this.#keys[this.algorithm];
  }

  /** Writes the token to words[at, at + WORDS). */
  save(words: Int32Array, at: number): void {
    words[at + Word.FLAGS] = (this.kind === WWW_AUTH ? Flag.WWW : 0) | (this.algorithm << Flag.ALGORITHM) |
      (this.confirmed ? Flag.CONFIRMED : 0) | (this.realm << Flag.REALM);
    words[at + Word.SEQ] = this.seq | (this.nextChain << 16);
    words[at + Word.PLACE] = this.place;
    words[at + Word.TAG] = this.tag;
    for (let i = 0; i < NONCE_WORDS; i++) {
      words[at + Word.NONCE + i] = this.#nonce[i];
      words[at + Word.NEXT + i] = this.#next[i];
    }
    for (let i = 0; i < KEY_WORDS; i++) words[at + Word.KEY + i] = this.#key[i];
  }

  /** Reads a token that was saved. */
  load(words: Int32Array, at: number): void {
    const flags = words[at + Word.FLAGS];
    this.kind = (flags & Flag.WWW) === 0 ? PROXY_AUTH : WWW_AUTH;
    this.algorithm = (flags >>> Flag.ALGORITHM) & 3;
    this.confirmed = (flags & Flag.CONFIRMED) !== 0;
    this.realm = flags >>> Flag.REALM;
    this.seq = words[at + Word.SEQ] & 0xffff;
    this.nextChain = words[at + Word.SEQ] >>> 16;
    this.place = words[at + Word.PLACE];
    this.tag = words[at + Word.TAG];
    for (let i = 0; i < NONCE_WORDS; i++) {
      this.#nonce[i] = words[at + Word.NONCE + i];
      this.#next[i] = words[at + Word.NEXT + i];
    }
    for (let i = 0; i < KEY_WORDS; i++) this.#key[i] = words[at + Word.KEY + i];
  }

  /** A copy of its own. */
  clone(): AcceptedToken {
    const words = new Int32Array(AcceptedToken.WORDS);
    const copy = new AcceptedToken();
    this.save(words, 0);
    copy.load(words, 0);
    return copy;
  }
}
