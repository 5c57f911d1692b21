/**
 * The header lines of PC challenges (docs/PROTOCOL.md §4) and confirmations (§7) as bytes: what is the same in all of
 * them is prepared once per realm. `writePcChallenge` and `writePcInfo` give the same text.
 */
import { type ByteWriter, CHAIN_ALGORITHMS, PC_SCHEME, quote } from "../mod.ts";
import type { AcceptedToken } from "./accepted_token.ts";
import { type AuthKind, PROXY_AUTH, WWW_AUTH } from "./auth_kind.ts";

const encoder = new TextEncoder();
const KINDS = [PROXY_AUTH, WWW_AUTH];
const QUOTE = encoder.encode('"');
const CHAIN = encoder.encode('", chain=');
const STALE = encoder.encode(", stale=true");
const SEQ = encoder.encode(", seq=");
const AUTH = encoder.encode(', auth="');
const INFO_SEQ = encoder.encode('", seq=');
const RSPAUTH = encoder.encode(', rspauth="');
const NEXT = encoder.encode('", nextnonce="');

/** A served realm as the authenticator needs it. */
export class PcRealm {
  /** UTF-8. */
  readonly bytes: Uint8Array;
  /** From the name of the header to the quote before N, by kind and algorithm. */
  readonly #challenges: readonly (readonly Uint8Array[])[];
  readonly #infos: readonly Uint8Array[];

  /** @throws TypeError when the realm holds a control character */
  constructor(readonly number: number, readonly text: string) {
    this.bytes = encoder.encode(text);
    const realm = `${PC_SCHEME} realm=${quote(text)}`;
    this.#challenges = KINDS.map(({ challenge }) =>
      CHAIN_ALGORITHMS.map((algorithm) =>
        encoder.encode(`${challenge}: ${realm}, algorithm=${algorithm}, nonce="`)
      )
    );
    this.#infos = KINDS.map(({ info }) => encoder.encode(`${info}: ${realm}, nonce="`));
  }

  /** The beginning of a challenge. @param algorithm its number in CHAIN_ALGORITHMS */
  challenge(kind: AuthKind, algorithm: number): Uint8Array {
    return this.#challenges[kind === WWW_AUTH ? 1 : 0][algorithm];
  }

  /** The beginning of a confirmation. */
  info(kind: AuthKind): Uint8Array {
    return this.#infos[kind === WWW_AUTH ? 1 : 0];
  }
}

/** What a challenge offers. */
export interface OfferedCredential {
  /** Number of the algorithm in CHAIN_ALGORITHMS. */
  readonly algorithmNumber: number;
  readonly state: { readonly nonce: Uint8Array; readonly n: number; readonly index: number };
}

/** Writes the lines of one run of a proxy. */
export class PcLines {
  /** From the comma before `opaque` to what it offers of qop. */
  readonly #opaque: Uint8Array;

  /** @param opaque 16 hexadecimal digits in lower case */
  constructor(opaque: string, qop: "auth-int" | undefined) {
    this.#opaque = encoder.encode(`, opaque="${opaque}"${qop === undefined ? "" : `, qop="${qop}"`}`);
  }

  /**
   * A challenge with its line end.
   *
   * @param auth of a guided challenge, else undefined
   */
  writeChallenge(
    out: ByteWriter,
    kind: AuthKind,
    realm: PcRealm,
    offer: OfferedCredential,
    stale: boolean,
    auth: Uint8Array | undefined,
  ): void {
    const { nonce, n, index } = offer.state;
    out.bytes(realm.challenge(kind, offer.algorithmNumber)).hex(nonce).bytes(CHAIN).number(n);
    out.bytes(this.#opaque);
    if (stale) out.bytes(STALE);
    if (auth !== undefined) out.bytes(SEQ).number(index - 1).bytes(AUTH).hex(auth).bytes(QUOTE);
    out.crlf();
  }

  /** The confirmation of a token whose rspauth is in place of its key, without the line end. */
  writeInfo(out: ByteWriter, realm: PcRealm, token: AcceptedToken): void {
    const { kind, nonce, seq, digest, nextNonce, nextChain } = token;
    out.bytes(realm.info(kind)).hex(nonce).bytes(INFO_SEQ).number(seq).bytes(RSPAUTH).hex(digest);
    if (nextChain > 0) out.bytes(NEXT).hex(nextNonce).bytes(CHAIN).number(nextChain);
    else out.bytes(QUOTE);
  }
}
