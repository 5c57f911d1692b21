/**
 * Where users are: the location service of RFC 3261 §10. By address-of-record the contacts that registered, in memory and
 * bounded; what is out of time goes by one wheel for all. Pure: time comes in, changes go out.
 */
import { type Address, parseUri, sameUri, TimerEntry, TimerWheel } from "../mod.ts";

/** One contact of an address-of-record. */
export interface Binding {
  /** The Contact URI as it was registered. */
  readonly uri: string;
  /** 0 … 1: contacts with a higher one are tried first (RFC 3261 §20.10). */
  readonly q: number;
  /** When it ends, ms on the proxy's clock. */
  readonly expires: number;
  readonly callId: string;
  readonly cseq: number;
  /** The values of Path, the first of them is where requests go first (RFC 3327 §5.3). */
  readonly path: readonly string[];
  /** Where the REGISTER came from, when that is not where its Via says: a phone behind an address translation. */
  readonly received: Address | undefined;
  readonly userAgent: string;
  /** Contact parameters other than q and expires, as ";name=value"…; they are given back. */
  readonly params: string;
}

/** A contact of a REGISTER. */
export interface NewContact {
  readonly uri: string;
  readonly q: number;
  readonly params: string;
  /** How long it is good, s; 0 removes it. */
  readonly seconds: number;
}

/** What an accepted REGISTER asks for (RFC 3261 §10.3 steps 6 and 7). */
export interface Registration {
  /** The canonical address-of-record: see `Aor`. */
  readonly aor: string;
  readonly callId: string;
  readonly cseq: number;
  /** "*" removes all; an empty list only asks what is there. */
  readonly contacts: readonly NewContact[] | "*";
  readonly path: readonly string[];
  readonly received: Address | undefined;
  readonly userAgent: string;
}

/** Why a registration changes nothing. */
export type RegistrationFault =
  /** CSeq is not higher than that of a binding with the same Call-ID. */
  | "old_cseq"
  /** The address-of-record would have more contacts than it may. */
  | "too_many_contacts"
  /** There are as many addresses-of-record as there may be. */
  | "full";

/** What came of a registration: the contacts that the address-of-record has now. */
export type RegistrationOutcome =
  | { readonly bindings: readonly Binding[] }
  | { readonly fault: RegistrationFault };

/** All that is known of one address-of-record now; without bindings it is gone. */
export interface LocationChange {
  readonly aor: string;
  readonly bindings: readonly Binding[];
}

/** Who takes registrations: the location itself, or the thread that owns it. */
export interface LocationOwner {
  /** `done` is called once, at once or later. */
  register(
    registration: Registration,
    now: number,
    done: (outcome: RegistrationOutcome, now: number) => void,
  ): void;
}

/** What a location is made for. */
export interface LocationOptions {
  /** Contacts of one address-of-record at most. */
  readonly maxContacts: number;
  /** Addresses-of-record at most. */
  readonly maxAors: number;
  /** Is told of every change but expiry. */
  readonly onChange?: (change: LocationChange) => void;
}

const NOTHING: readonly Binding[] = [];
/** User agents whose name is kept once: there are few kinds of phones. */
const MAX_NAMES = 1000;

/** An address-of-record; it waits in the wheel for the first of its contacts to end. */
class AorRecord extends TimerEntry {
  bindings: readonly Binding[] = NOTHING;

  constructor(private readonly location: Location, readonly aor: string) {
    super();
  }

  override onTimer(now: number): void {
    this.location.expire(this, now);
  }
}

/** The contacts of all users. */
export class Location implements LocationOwner {
  readonly #records = new Map<string, AorRecord>();
  readonly #wheel: TimerWheel;
  readonly #userAgents = new Map<string, string>();
  #contacts = 0;

  constructor(now: number, private readonly options: LocationOptions) {
    this.#wheel = new TimerWheel(now);
  }

  /** Addresses-of-record with contacts. */
  get size(): number {
    return this.#records.size;
  }

  /** Contacts of all of them; those that ended in the last second may be among them. */
  get contacts(): number {
    return this.#contacts;
  }

  /** The contacts of an address-of-record, highest q first; of the same q the oldest first. */
  lookup(aor: string, now: number): readonly Binding[] {
    const record = this.#records.get(aor);
    return record === undefined ? NOTHING : alive(record.bindings, now);
  }

  /** Changes the contacts of an address-of-record, all as asked for or none (RFC 3261 §10.3 step 7). */
  register(
    registration: Registration,
    now: number,
    done: (outcome: RegistrationOutcome, now: number) => void,
  ): void {
    done(this.apply(registration, now), now);
  }

  /** {@linkcode register} with the outcome at once. */
  apply(registration: Registration, now: number): RegistrationOutcome {
    const { aor, contacts } = registration;
    const before = this.lookup(aor, now);
    if (contacts.length === 0) return { bindings: before };
    const after = contacts === "*"
      ? this.#removeAll(registration, before)
      : this.#change(registration, contacts, before, now);
    if (typeof after === "string") return { fault: after };
    if (before.length === 0 && after.length > 0 && this.#records.size >= this.options.maxAors) {
      return { fault: "full" };
    }
    const bindings = after.sort((a, b) => b.q - a.q);
    if (before.length > 0 || bindings.length > 0) {
      this.#set(aor, bindings);
      this.options.onChange?.({ aor, bindings });
    }
    return { bindings };
  }

  /** Puts all that is known of an address-of-record in place of what was: from the owner, or from a store. */
  take({ aor, bindings }: LocationChange): void {
    this.#set(aor, bindings);
  }

  /** Takes contacts that are over away. */
  advance(now: number): void {
    this.#wheel.advance(now);
  }

  /** Everything. */
  *entries(now: number): Iterable<LocationChange> {
    for (const { aor, bindings } of this.#records.values()) {
      const left = alive(bindings, now);
      if (left.length > 0) yield { aor, bindings: left };
    }
  }

  /** @internal called by a record whose first contact has ended */
  expire(record: AorRecord, now: number): void {
    this.#set(record.aor, alive(record.bindings, now));
  }

  #removeAll({ callId, cseq }: Registration, before: readonly Binding[]): Binding[] | "old_cseq" {
    return before.some((binding) => binding.callId === callId && binding.cseq >= cseq) ? "old_cseq" : [];
  }

  #change(
    registration: Registration,
    contacts: readonly NewContact[],
    before: readonly Binding[],
    now: number,
  ): Binding[] | RegistrationFault {
    const { callId, cseq, path, received } = registration;
    const userAgent = this.#shared(registration.userAgent);
    const after = [...before];
    for (const { uri, q, params, seconds } of contacts) {
      const at = after.findIndex((binding) => isSame(binding.uri, uri));
      // One that was in `before` has a history; of the same contact twice in this request the last counts.
      const old = at < 0 || !before.includes(after[at]) ? undefined : after[at];
      if (old !== undefined && old.callId === callId && old.cseq >= cseq) return "old_cseq";
      if (seconds === 0) {
        if (at >= 0) after.splice(at, 1);
        continue;
      }
      const expires = now + seconds * 1000;
      const binding = { uri, q, expires, callId, cseq, path, received, userAgent, params };
      if (at >= 0) after[at] = binding;
      else after.push(binding);
    }
    return after.length > this.options.maxContacts ? "too_many_contacts" : after;
  }

  #set(aor: string, bindings: readonly Binding[]): void {
    let record = this.#records.get(aor);
    this.#contacts += bindings.length - (record?.bindings.length ?? 0);
    if (bindings.length === 0) {
      if (record === undefined) return;
      this.#wheel.cancel(record);
      this.#records.delete(aor);
      return;
    }
    if (record === undefined) this.#records.set(aor, record = new AorRecord(this, aor));
    record.bindings = bindings;
    let first = bindings[0].expires;
    for (const { expires } of bindings) if (expires < first) first = expires;
    this.#wheel.schedule(record, first);
  }

  #shared(userAgent: string): string {
    const known = this.#userAgents.get(userAgent);
    if (known !== undefined) return known;
    if (this.#userAgents.size < MAX_NAMES) this.#userAgents.set(userAgent, userAgent);
    return userAgent;
  }
}

function alive(bindings: readonly Binding[], now: number): readonly Binding[] {
  for (let i = 0; i < bindings.length; i++) {
    if (bindings[i].expires <= now) return bindings.filter(({ expires }) => expires > now);
  }
  return bindings;
}

/** Whether two contacts are the same (RFC 3261 §19.1.4). */
function isSame(a: string, b: string): boolean {
  if (a === b) return true;
  const first = parseUri(a);
  const second = parseUri(b);
  return first !== undefined && second !== undefined && sameUri(first, second);
}
