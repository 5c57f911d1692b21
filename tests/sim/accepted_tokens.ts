/** What every run of every proxy has accepted: the first property of docs/PROTOCOL.md §1, G6, is checked here. */

/** One accepted token. */
export interface AcceptedToken {
  /** The run of the proxy: what one `opaque` stands for. */
  readonly run: string;
  readonly username: string;
  /** hex(N). */
  readonly nonce: string;
  readonly seq: number;
  /** The transaction: branch, Call-ID, CSeq. */
  readonly transaction: string;
}

/** The record of a simulation. */
export class AcceptedTokens {
  readonly all: AcceptedToken[] = [];
  readonly #seen = new Map<string, AcceptedToken>();

  /**
   * Notes a token.
   *
   * @returns what is wrong when it was accepted before: a transaction asks once, since the transaction layer answers what
   * is sent again
   */
  note(token: AcceptedToken): string | undefined {
    const key = `${token.run} ${token.nonce} ${token.seq}`;
    const before = this.#seen.get(key);
    this.#seen.set(key, token);
    this.all.push(token);
    return before === undefined
      ? undefined
      : `token ${token.seq} of ${token.username}, N ${token.nonce}, was accepted in ${before.transaction} and in ` +
        token.transaction;
  }
}
