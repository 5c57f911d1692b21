/** What the verification of a request's PC answers found, kept until the request is answered. */
import { NONCE_BYTES, type Verdict } from "../mod.ts";
import { AcceptedToken } from "./accepted_token.ts";
import { nameText } from "./cache/names.ts";
import { MAX_USERNAME_BYTES } from "./subscriber.ts";

/** A verdict and what belongs to it; reusable. It owns its bytes: nothing of it refers to the message. */
export class PcResult {
  verdict: Verdict = "no_credentials";
  /** For `malformed`: the reason, naming the field. */
  reason: string | undefined;
  /** With `ok`. */
  readonly accepted: AcceptedToken = new AcceptedToken();
  /** Whom a challenge is for: name[0, nameLength), UTF-8, the user name of the answer. -1 when there was no answer that counts. */
  readonly name: Uint8Array = new Uint8Array(MAX_USERNAME_BYTES);
  nameLength = -1;
  /** N of the live credential that the answer named, where {@linkcode hasNonce}. */
  readonly nonce: Uint8Array = new Uint8Array(NONCE_BYTES);
  hasNonce = false;

  /** Begins anew. */
  clear(): void {
    this.verdict = "no_credentials";
    this.reason = undefined;
    this.nameLength = -1;
    this.hasNonce = false;
  }

  /** Sets a verdict without more; for the callers of {@linkcode PcAuthenticator.authorize} to return. */
  be(verdict: Verdict, reason?: string): Verdict {
    this.reason = reason;
    return this.verdict = verdict;
  }

  /** Notes whom a challenge is for: buffer[start, end), UTF-8 of at most 256 bytes. */
  setName(buffer: Uint8Array, start: number, end: number): void {
    const length = this.nameLength = Math.min(end - start, MAX_USERNAME_BYTES);
    for (let i = 0; i < length; i++) this.name[i] = buffer[start + i];
  }

  /** Notes the credential that the answer named. */
  setNonce(nonce: Uint8Array): void {
    this.hasNonce = true;
    for (let i = 0; i < NONCE_BYTES; i++) this.nonce[i] = nonce[i];
  }

  /** The user name of the answer as text; undefined when there was no answer that counts. */
  get username(): string | undefined {
    return this.nameLength < 0 ? undefined : nameText(this.name, this.nameLength);
  }
}
