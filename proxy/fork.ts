/** The response context of a request that has, or may get, several branches: RFC 3261 §16.2, §16.7. Data and decisions, no I/O. */
import { NO_TRANSACTION, type SipMessage, type SipUri, type TransactionId } from "../mod.ts";
import type { Address } from "../mod.ts";
import { type BranchResponse, isBetter } from "./best_response.ts";
import type { Destination } from "./destination.ts";
import type { Forwarding } from "./request_writer.ts";
import type { FailureHook, ReplyHook } from "./route.ts";
import type { RelayTarget } from "./targets.ts";

/** One branch. */
export interface Branch {
  /** What it tries; undefined: the Request-URI as it came. */
  readonly target: RelayTarget | undefined;
  /** Next hops that are tried when the one before fails, in this order. */
  readonly alternatives: Destination[];
  /** Its share of Max-Breadth (RFC 5393 §5). */
  readonly breadth: number;
  /** NO_TRANSACTION while its next hop is looked up, and when it is over. */
  client: TransactionId;
  /** Waits for a final response. */
  pending: boolean;
  /** A provisional response came: it is alive, and no other next hop is tried. */
  heard: boolean;
  /** Where it was sent last. */
  address: Address | undefined;
  /** The address that a request too long for UDP was tried at by TCP: there it may go by UDP again. */
  long: Address | undefined;
}

/** What a fork is begun with. */
export interface ForkOptions {
  /** Targets by q; a group is tried side by side, one group after the other. */
  readonly groups: (readonly (RelayTarget | undefined)[])[];
  /** The URIs of the targets, and those that were tried before. */
  readonly known: SipUri[];
  /** Where all targets are sent, one next hop after the other; empty: where their URIs lead. */
  readonly nextHops: readonly Destination[];
  /** Whether Contacts of 3xx responses are tried (§16.7 step 4). */
  readonly recurse: boolean;
  readonly onFailure: FailureHook | undefined;
  readonly onReply: ReplyHook | undefined;
}

/** A response context of several branches. */
export class Fork {
  readonly branches: Branch[] = [];
  /** Final responses other than 2xx, in the order in which they came. */
  readonly responses: BranchResponse[] = [];
  /** URIs that were tried, or will be. */
  readonly known: SipUri[];
  groups: (readonly (RelayTarget | undefined)[])[];
  nextHops: readonly Destination[];
  recurse: boolean;
  onFailure: FailureHook | undefined;
  onReply: ReplyHook | undefined;
  /** No more branches: there was a 2xx or 6xx, or a CANCEL. */
  closed = false;
  /** The failure hook is at work. */
  deciding = false;

  /**
   * @param serial of the server transaction
   * @param message the request, if it is another than the transaction holds
   * @param breadth the Max-Breadth that it came with
   */
  constructor(
    readonly server: TransactionId,
    readonly serial: number,
    public message: SipMessage | undefined,
    readonly from: Address,
    public how: Forwarding,
    readonly breadth: number,
    { groups, known, nextHops, recurse, onFailure, onReply }: ForkOptions,
  ) {
    this.known = known;
    this.groups = groups;
    this.nextHops = nextHops;
    this.recurse = recurse;
    this.onFailure = onFailure;
    this.onReply = onReply;
  }

  /** Branches that wait for a final response. */
  get pending(): number {
    let count = 0;
    for (const branch of this.branches) if (branch.pending) count++;
    return count;
  }

  /** The branch of a client transaction. */
  branchOf(client: TransactionId): Branch | undefined {
    return this.branches.find((branch) => branch.client === client);
  }

  /** A client transaction is over: its number will be another's. */
  forget(client: TransactionId): void {
    const branch = this.branchOf(client);
    if (branch !== undefined) branch.client = NO_TRANSACTION;
  }

  /**
   * Takes the targets that are tried next, and how much Max-Breadth each of them gets: no more side by side than there is of it,
   * the others after them (RFC 5393 §5.3.3).
   *
   * @returns undefined when there are none left
   */
  nextGroup():
    | { readonly targets: readonly (RelayTarget | undefined)[]; breadth(place: number): number }
    | undefined {
    const group = this.groups.shift();
    if (group === undefined) return undefined;
    // Nothing is pending when a group begins, so that all of it is there.
    const targets = group.slice(0, this.breadth);
    if (targets.length < group.length) this.groups.unshift(group.slice(targets.length));
    const share = Math.floor(this.breadth / targets.length);
    const rest = this.breadth % targets.length;
    return { targets, breadth: (place) => share + (place < rest ? 1 : 0) };
  }

  /** The best of the final responses; undefined when there is none. */
  best(): BranchResponse | undefined {
    let best: BranchResponse | undefined;
    for (const response of this.responses) {
      if (best === undefined || isBetter(response.status, best.status)) best = response;
    }
    return best;
  }
}
