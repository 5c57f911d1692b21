/** Names in the memory of a cache: realms are kept once and numbered, user names stand with their users. */
import { KeyedHash } from "../../mod.ts";
import {
  type CacheMemory,
  Header,
  INLINE_NAME,
  MAX_NAME_BYTES,
  MAX_REALMS,
  NAME_REST,
  realmAt,
  User,
} from "./layout.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
/** A UTF-16 code unit becomes three bytes of UTF-8 at most. */
const SCRATCH = MAX_NAME_BYTES * 3;

/** bytes[0, length) of UTF-8, not shared, as text. */
export function nameText(bytes: Uint8Array, length: number): string {
  let text = "";
  for (let i = 0; i < length; i++) {
    if (bytes[i] > 127) return decoder.decode(bytes.subarray(0, length));
    text += String.fromCharCode(bytes[i]);
  }
  return text;
}

/** The name that is being looked for, and the names in memory. One per thread. */
export class Names {
  /** Keyed hash of the name in hand. */
  hash = 0;
  /** Number of its realm. */
  realm = -1;
  /** The name in hand is bytes[0, length); there is room for the realm's number behind it. */
  readonly bytes: Uint8Array = new Uint8Array(SCRATCH + 2);
  length = 0;
  readonly #keyed: KeyedHash;
  readonly #numbers = new Map<string, number>();
  readonly #realms: string[] = [];

  constructor(private readonly memory: CacheMemory) {
    this.#keyed = new KeyedHash(new Uint8Array(memory.buffer, Header.KEY * 4, 8).slice());
  }

  /** Takes a name in hand. False when no user can have it: it is too long, or nobody has this realm. */
  take(username: string, realm: string): boolean {
    const { bytes } = this;
    let { length } = username;
    if (length > MAX_NAME_BYTES) return false;
    for (let i = 0; i < length; i++) {
      const code = username.charCodeAt(i);
      if (code > 127) {
        length = encoder.encodeInto(username, bytes).written;
        break;
      }
      bytes[i] = code;
    }
    return this.#take(length, this.realmNumber(realm));
  }

  /** {@linkcode take} of the name in buffer[start, end), UTF-8. @param realm from {@linkcode realmNumber} */
  takeBytes(buffer: Uint8Array, start: number, end: number, realm: number): boolean {
    const length = end - start;
    if (length > MAX_NAME_BYTES) return false;
    const { bytes } = this;
    for (let i = 0; i < length; i++) bytes[i] = buffer[start + i];
    return this.#take(length, realm);
  }

  /** Takes the name of a user's record in hand. */
  takeFrom(user: number): void {
    const { userWords, userBytes, nameRests } = this.memory;
    const at = user * User.WORDS;
    const packed = userWords[at + User.NAME];
    const length = Math.min(packed & 0xffff, MAX_NAME_BYTES);
    const start = at * 4 + User.NAME_BYTE;
    const rest = user * NAME_REST - INLINE_NAME;
    for (let i = 0; i < length; i++) {
      this.bytes[i] = i < INLINE_NAME ? userBytes[start + i] : nameRests[rest + i];
    }
    this.#take(length, packed >>> 16);
  }

  #take(length: number, realm: number): boolean {
    if (realm < 0 || length > MAX_NAME_BYTES) return false;
    const { bytes } = this;
    this.realm = realm;
    this.length = length;
    bytes[length] = realm;
    bytes[length + 1] = realm >> 8;
    this.hash = this.#keyed.hash(bytes, 0, length + 2) | 0;
    return true;
  }

  /** The number of a realm, which stays the same; -1 while no user has it. */
  realmNumber(realm: string): number {
    return this.#numbers.get(realm) ?? this.#learn(realm);
  }

  /** All realms that users have or had. */
  realmTexts(): readonly string[] {
    this.#learn();
    return this.#realms;
  }

  /** The realm of a number. */
  realmText(number: number): string {
    if (number >= this.#realms.length) this.#learn();
    return this.#realms[number] ?? "";
  }

  /** Whether a user's record has the name in hand. */
  matches(user: number): boolean {
    const { userWords, userBytes, nameRests } = this.memory;
    const at = user * User.WORDS;
    const length = this.length;
    if (userWords[at + User.HASH] !== this.hash || userWords[at + User.NAME] !== this.#packed()) return false;
    const inline = Math.min(length, INLINE_NAME);
    const start = at * 4 + User.NAME_BYTE;
    for (let i = 0; i < inline; i++) if (userBytes[start + i] !== this.bytes[i]) return false;
    const rest = user * NAME_REST - INLINE_NAME;
    for (let i = inline; i < length; i++) if (nameRests[rest + i] !== this.bytes[i]) return false;
    return true;
  }

  /** Writes the name in hand into a user's record. */
  write(user: number): void {
    const { userWords, userBytes, nameRests } = this.memory;
    const at = user * User.WORDS;
    userWords[at + User.HASH] = this.hash;
    userWords[at + User.NAME] = this.#packed();
    const start = at * 4 + User.NAME_BYTE;
    const rest = user * NAME_REST - INLINE_NAME;
    for (let i = 0; i < this.length; i++) {
      if (i < INLINE_NAME) userBytes[start + i] = this.bytes[i];
      else nameRests[rest + i] = this.bytes[i];
    }
  }

  /** Copies a name from one user's record to another's. */
  copy(from: number, to: number): void {
    const { userWords, userBytes, nameRests } = this.memory;
    const length = userWords[from * User.WORDS + User.NAME] & 0xffff;
    userWords[to * User.WORDS + User.NAME] = userWords[from * User.WORDS + User.NAME];
    userWords[to * User.WORDS + User.HASH] = userWords[from * User.WORDS + User.HASH];
    for (let i = 0; i < length && i < INLINE_NAME; i++) {
      userBytes[to * User.WORDS * 4 + User.NAME_BYTE + i] =
        userBytes[from * User.WORDS * 4 + User.NAME_BYTE + i];
    }
    for (let i = 0; i < length - INLINE_NAME; i++) {
      nameRests[to * NAME_REST + i] = nameRests[from * NAME_REST + i];
    }
  }

  /**
   * Gives a realm a number. To be called while no other thread does.
   *
   * @throws RangeError when the realm is too long, or there are too many
   */
  addRealm(realm: string): void {
    if (this.#learn(realm) >= 0) return;
    const { header, realms } = this.memory;
    const number = header[Header.REALMS];
    const bytes = encoder.encode(realm);
    if (bytes.length > MAX_NAME_BYTES) throw new RangeError(`realm of ${bytes.length} bytes`);
    if (number >= MAX_REALMS) throw new RangeError(`more than ${MAX_REALMS} realms`);
    const at = realmAt(number);
    realms[at] = bytes.length;
    realms[at + 1] = bytes.length >> 8;
    realms.set(bytes, at + 2);
    Atomics.store(header, Header.REALMS, number + 1);
    this.#learn();
  }

  /** Reads the realms that have got a number since the last time, and returns that of `realm` or -1. */
  #learn(realm?: string): number {
    const { header, realms } = this.memory;
    const count = Atomics.load(header, Header.REALMS);
    for (let number = this.#realms.length; number < count; number++) {
      const at = realmAt(number);
      const text = decoder.decode(realms.slice(at + 2, at + 2 + (realms[at] | (realms[at + 1] << 8))));
      this.#realms.push(text);
      this.#numbers.set(text, number);
    }
    return realm === undefined ? -1 : this.#numbers.get(realm) ?? -1;
  }

  #packed(): number {
    return this.length | (this.realm << 16);
  }
}
