/** Sets of next hops that share their load: Kamailio's and OpenSIPS's dispatcher. Sans-I/O. */
import {
  type Address,
  HeaderId,
  type Located,
  orderByWeight,
  type Random,
  sameAddress,
  type SipMessage,
  type SipTarget,
} from "../../mod.ts";
import { isAddress, isIpAddress, textDestination } from "../destination.ts";
import type { PingDone } from "../own_requests.ts";
import type { DispatchAlgorithm, DispatcherService } from "../route.ts";
import { type DestinationEntry, DestinationFlag } from "./destinations.ts";

/** Kamailio's names. */
export interface DispatcherOptions {
  /** How often destinations are asked by OPTIONS, ms; 0: never, and a failure counts for nothing then. */
  readonly pingInterval: number;
  /** Whether those that are up are asked too; else only those that have failed, and those with the flag. */
  readonly probeAll: boolean;
  /** So many failures one after the other, and a destination is not used any more. */
  readonly probingThreshold: number;
  /** So many answers one after the other, and it is used again. */
  readonly inactiveThreshold: number;
}

/** What it needs. */
export interface DispatcherSurroundings {
  readonly random: Random;
  ping(uri: string, to: Address, patience: number, now: number, done: PingDone): void;
  locate(target: SipTarget, done: Located): void;
  log(event: string, fields: Readonly<Record<string, string | number>>): void;
}

/** `active`: used. `probing`: not used until it answers. `disabled`: neither used nor asked. */
export type DestinationState = "active" | "probing" | "disabled";

/** How long an answer is waited for at most, ms. */
const PATIENCE_MS = 2000;
/** What says that somebody is there but does not serve, or that nobody is. */
const FAILURES = [408, 503];

/** One destination. */
interface Destination {
  entry: DestinationEntry;
  /** With a name as its host, port 0 stands for none. */
  readonly address: Address;
  readonly hash: number;
  /** Where its host was found last. */
  addresses: readonly Address[];
  state: DestinationState;
  /** Failures, or answers while it is probed, one after the other. */
  failures: number;
  answers: number;
  nextPing: number;
}

interface Group {
  readonly destinations: readonly Destination[];
  next: number;
}

/** All sets. */
export class Dispatcher implements DispatcherService {
  #sets: ReadonlyMap<number, Group> = new Map();
  #all: readonly Destination[] = [];

  constructor(
    private readonly options: DispatcherOptions,
    private readonly surroundings: DispatcherSurroundings,
  ) {}

  /** Takes a list, anew or in the place of the one before: what stays keeps its state. */
  load(entries: readonly DestinationEntry[], now: number): void {
    const before = this.#all;
    this.#all = entries.map((entry) => this.#destination(entry, before, now));
    const sets = new Map<number, Destination[]>();
    for (const destination of this.#all) {
      const { set } = destination.entry;
      const group = sets.get(set);
      if (group === undefined) sets.set(set, [destination]);
      else group.push(destination);
    }
    this.#sets = new Map([...sets].map(([set, destinations]) => [set, { destinations, next: 0 }]));
  }

  #destination(entry: DestinationEntry, before: readonly Destination[], now: number): Destination {
    const same = before.find((other) => other.entry.uri === entry.uri && other.entry.set === entry.set);
    if (same !== undefined && same.entry.flags === entry.flags) {
      same.entry = entry;
      return same;
    }
    const address = textDestination(entry.uri, true);
    if (!isAddress(address)) throw new TypeError(`${entry.uri} is no destination`);
    const { flags } = entry;
    return {
      entry,
      address,
      hash: hashOf(entry.uri, 0x811c9dc5),
      addresses: isIpAddress(address.host) ? [address] : [],
      state: (flags & DestinationFlag.DISABLED) !== 0
        ? "disabled"
        : (flags & DestinationFlag.INACTIVE) !== 0
        ? "probing"
        : "active",
      failures: 0,
      answers: 0,
      // Not all at the same moment.
      nextPing: now + this.surroundings.random.below(Math.max(1, this.options.pingInterval)),
    };
  }

  /** Whether there is such a set. */
  has(set: number): boolean {
    return this.#sets.has(set);
  }

  /** See {@linkcode DispatcherService.select}. */
  select(set: number, algorithm: DispatchAlgorithm, message: SipMessage): readonly string[] {
    const group = this.#sets.get(set);
    if (group === undefined) return [];
    const up = group.destinations.filter(({ state }) => state === "active");
    if (up.length > 1) {
      switch (algorithm) {
        case "round_robin":
          up.push(...up.splice(0, group.next++ % up.length));
          break;
        case "call_id":
          byHash(up, callIdOf(message));
          break;
        case "weight":
          return orderByWeight(
            up.map(({ entry }) => ({ priority: 0, weight: entry.weight, uri: entry.uri })),
            this.surroundings.random,
          ).map(({ uri }) => uri);
        case "first":
          up.sort((a, b) => b.entry.priority - a.entry.priority);
          break;
      }
    }
    return up.map(({ entry }) => entry.uri);
  }

  /** A next hop did not answer, could not be reached, or answered 503. False: it is none of these destinations. */
  failed(address: Address, now: number): boolean {
    let known = false;
    for (const destination of this.#all) {
      if (!destination.addresses.some((one) => sameAddress(one, address))) continue;
      known = true;
      this.#failure(destination, now);
    }
    return known;
  }

  /** Asks those that are due. */
  advance(now: number): void {
    const { pingInterval } = this.options;
    if (pingInterval === 0) return;
    for (const destination of this.#all) {
      if (destination.nextPing > now) continue;
      destination.nextPing = now + pingInterval;
      if (this.#isAsked(destination)) this.#ask(destination);
    }
  }

  /** Whether one of the destinations is at this IP address. */
  hasHost(host: string): boolean {
    return this.#all.some(({ addresses }) => addresses.some((one) => one.host === host));
  }

  /** How many destinations are in each state. */
  counts(): Readonly<Record<DestinationState, number>> {
    const counts = { active: 0, probing: 0, disabled: 0 };
    for (const { state } of this.#all) counts[state]++;
    return counts;
  }

  /** All destinations with their states, for `proxy status`. */
  *states(): Iterable<
    { readonly set: number; readonly duid: string; readonly uri: string; readonly state: DestinationState }
  > {
    for (const { entry: { set, duid, uri }, state } of this.#all) yield { set, duid, uri, state };
  }

  /**
   * Sets a state by hand, as ds_mark_dst and ds_set_state do.
   *
   * @returns how many destinations of the set have this URI
   */
  mark(set: number, uri: string, state: DestinationState): number {
    const meant = this.#sets.get(set)?.destinations.filter(({ entry }) => entry.uri === uri) ?? [];
    for (const destination of meant) this.#set(destination, state);
    return meant.length;
  }

  #isAsked({ state, entry: { flags } }: Destination): boolean {
    if (state === "disabled" || (flags & DestinationFlag.NO_PING) !== 0) return false;
    return state === "probing" || this.options.probeAll || (flags & DestinationFlag.PROBING) !== 0;
  }

  #ask(destination: Destination): void {
    const { ping, locate } = this.surroundings;
    const { address: { host, port, transport }, entry } = destination;
    const patience = Math.min(PATIENCE_MS, this.options.pingInterval);
    const located: Located = (addresses, now) => {
      destination.addresses = addresses;
      const [address] = addresses;
      if (address === undefined) return this.#failure(destination, now);
      ping(entry.uri, address, patience, now, (status, at) => {
        if (FAILURES.includes(status)) this.#failure(destination, at);
        else this.#answer(destination);
      });
    };
    if (isIpAddress(host)) located(destination.addresses, destination.nextPing - this.options.pingInterval);
    else locate({ host, port, transport }, located);
  }

  #failure(destination: Destination, now: number): void {
    destination.answers = 0;
    // What is not asked would never be used again.
    const isAsked = this.options.pingInterval > 0 &&
      (destination.entry.flags & DestinationFlag.NO_PING) === 0;
    if (destination.state !== "active" || !isAsked) return;
    if (++destination.failures < this.options.probingThreshold) return;
    this.#set(destination, "probing");
    destination.nextPing = now + this.options.pingInterval;
  }

  #answer(destination: Destination): void {
    destination.failures = 0;
    if (destination.state !== "probing" || ++destination.answers < this.options.inactiveThreshold) return;
    this.#set(destination, "active");
  }

  #set(destination: Destination, state: DestinationState): void {
    if (destination.state === state) return;
    destination.state = state;
    destination.failures = destination.answers = 0;
    const { set, duid } = destination.entry;
    this.surroundings.log("dispatcher", { set, destination: duid, state });
  }
}

/** Each Call-ID has an order of its own, and a destination that goes takes only its own calls with it. */
function byHash(destinations: Destination[], callId: string): void {
  const score = ({ hash }: Destination) => hashOf(callId, hash);
  destinations.sort((a, b) => score(b) - score(a));
}

function callIdOf(message: SipMessage): string {
  const i = message.first(HeaderId.CALL_ID);
  return i < 0 ? "" : message.text(message.valueStart(i), message.valueEnd(i));
}

/** FNV-1a over the characters, mixed at the end: 32 bits. */
function hashOf(text: string, basis: number): number {
  let hash = basis;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ hash >>> 16, 0x85ebca6b);
  hash = Math.imul(hash ^ hash >>> 13, 0xc2b2ae35);
  return (hash ^ hash >>> 16) >>> 0;
}
