/** Puts the parts of a proxy together: sans-I/O, for the program and for simulations alike. */
import {
  type Address,
  DEFAULT_VERIFIER_POLICY,
  type HashBackend,
  type Identity,
  type TransactionLayer,
} from "../mod.ts";
import { flatCounters } from "./counters.ts";
import { CredentialCache } from "./credential_cache.ts";
import type { CredentialSource } from "./credential_source.ts";
import { locationLimits, registrarOptions } from "./registrar/registrar_values.ts";
import type { WarmupRecords } from "./warmup_io.ts";
import { cacheOptions, newCache, newOpaque, newSource, preload } from "./shared_parts.ts";
import { defaultRoute } from "./default_route.ts";
import { DIALOG_KEY_BYTES } from "./dialog_tags.ts";
import { DigestAuthenticator, type VerifyService } from "./digest_authenticator.ts";
import { digestUriMatcher } from "./digest_uri.ts";
import type { IssueService } from "./issue_service.ts";
import { Dispatcher, type DispatcherSurroundings } from "./dispatcher/dispatcher.ts";
import { dispatcherOptions } from "./dispatcher/options.ts";
import { AttemptLimiter } from "./limits/attempt_limiter.ts";
import { Pike, SourceLimiter } from "./limits/source_limiter.ts";
import { LocalNames } from "./local_names.ts";
import { MissLimiter } from "./miss_limiter.ts";
import type { ProxyValues } from "./options.ts";
import { NextHops } from "./next_hops.ts";
import { PcAuthenticator } from "./pc_authenticator.ts";
import { Location, type LocationOwner } from "./location.ts";
import { ProxyCore } from "./proxy_core.ts";
import type { ProxyEnvironment } from "./proxy_environment.ts";
import { Registrar } from "./registrar/registrar.ts";
import type { RouteFunction } from "./route.ts";
import type { Settings } from "./settings.ts";
import type { TargetState } from "./status.ts";

/** How often next hops that are down are asked without `--ds_ping_interval`, s. */
const DOWN_PING_S = 10;

/** RFC 3261 §18.1.1, as far as there is a listener where responses over TCP come in. */
function longestByUdp({ udp_mtu }: ProxyValues, listen: readonly Address[]): number {
  return udp_mtu > 0 && listen.some(({ transport }) => transport === "tcp") ? udp_mtu : Infinity;
}

function transactionCounts({ size, counts, statistics }: TransactionLayer): Record<string, number> {
  return {
    transactions: size,
    transactions_invite_server: counts.inviteServer,
    transactions_invite_client: counts.inviteClient,
    transactions_non_invite_server: counts.nonInviteServer,
    transactions_non_invite_client: counts.nonInviteClient,
    requests_sent_again: statistics.requestsRetransmitted,
    responses_sent_again: statistics.responsesRetransmitted,
    absorbed: statistics.absorbed,
  };
}

function dispatcherCounts(dispatcher: Dispatcher): Record<string, number> {
  const { active, probing, disabled } = dispatcher.counts();
  return { dispatcher_active: active, dispatcher_probing: probing, dispatcher_disabled: disabled };
}

/** A proxy without its sockets and clocks. */
export class Proxy {
  readonly cache: CredentialCache;
  readonly source: CredentialSource;
  readonly digest: DigestAuthenticator;
  readonly core: ProxyCore;
  readonly nextHops: NextHops;
  readonly dispatcher: Dispatcher | undefined;
  readonly #registrar: Registrar | undefined;
  readonly #location: Location | undefined;

  /**
   * @param service the way to DBclient
   * @param route undefined for the default route
   */
  constructor(
    values: ProxyValues,
    settings: Settings,
    hashes: HashBackend,
    environment: ProxyEnvironment,
    service: IssueService & VerifyService,
    route?: RouteFunction,
  ) {
    const { random } = environment;
    const { aliases, listen, advertise, reply } = settings;
    this.cache = environment.cache === undefined
      ? newCache(values, hashes, random)
      : CredentialCache.attach(environment.cache, hashes, cacheOptions(values, hashes));
    this.source = newSource(values, this.cache, service);
    const names = new LocalNames(listen, advertise, values.realm, reply);
    const peers = new Set(values.peers);
    const isOurs = (host: string) =>
      peers.has(host) || this.core.isNextHop(host) || this.dispatcher?.hasHost(host) === true;
    const attempts = new AttemptLimiter(
      {
        perUser: values.max_failures_per_user,
        perSource: values.max_failures_per_source,
        window: values.failure_window,
        userRate: values.user_rate,
      },
      random.bytes(8),
      isOurs,
    );
    const misses = new MissLimiter({ perSource: values.miss_limit_per_source, total: values.miss_limit });
    const pc = new PcAuthenticator(this.cache, this.source, misses, {
      opaque: settings.opaque ?? newOpaque(random),
      authInt: values.auth_int,
      policy: { ...DEFAULT_VERIFIER_POLICY, maxSkip: values.max_skip, reorderMs: values.reorder_ms },
      checkFrom: values.check_from,
      aliases,
      attempts,
    });
    this.digest = new DigestAuthenticator(hashes, random, service, {
      realms: values.realm,
      algorithms: settings.digestAlgorithms,
      nonceLifetimeMs: values.nonce_expire * 1000,
      // Each worker has its own: which nonces were used is known to the worker alone that made them.
      nonceKey: random.bytes(32),
      checkFrom: values.check_from,
      aliases,
      sameUri: digestUriMatcher(names),
      attempts,
    });
    if (values.registrar) {
      const { location, owner } = environment.location ?? ownLocation(values, environment.now);
      this.#location = location;
      this.#registrar = new Registrar(
        location,
        owner,
        names,
        registrarOptions(values),
        (user) => pc.subscriberName(user),
      );
    }
    const ping: DispatcherSurroundings["ping"] = (...request) => this.core.own.ping(...request);
    const { locate, log } = environment;
    this.nextHops = new NextHops({ intervalMs: (values.ds_ping_interval || DOWN_PING_S) * 1000, ping, log });
    if (settings.dispatcher !== undefined) {
      this.dispatcher = new Dispatcher(dispatcherOptions(values), { random, ping, locate, log });
      this.dispatcher.load(settings.dispatcher, environment.now);
    }
    const { ds_set: set, ds_alg: algorithm } = values;
    const { source_rate, reqs_density_per_unit, sampling_time_unit } = values;
    this.core = new ProxyCore(
      {
        listen,
        advertise,
        reply,
        realms: values.realm,
        nextHop: values.next_hop,
        peers,
        dialogKey: settings.dialogKey ?? random.bytes(DIALOG_KEY_BYTES),
        confirm: values.confirm,
        maxTransactions: values.max_transactions,
        timerC: values.fr_inv_timer * 1000,
        maxMessage: values.max_message,
        maxBody: values.max_body,
        udpMtu: longestByUdp(values, listen),
      },
      environment,
      pc,
      this.digest,
      route ?? newRoute(values, settings),
      { sources: new SourceLimiter(source_rate, random.bytes(8), isOurs), attempts },
      {
        location: this.#registrar,
        dispatcher: this.dispatcher,
        flood: new Pike(reqs_density_per_unit, sampling_time_unit, random.bytes(8), isOurs),
        nextHopSet: set === undefined ? undefined : { set, algorithm },
      },
    );
    this.core.hops = {
      order: (addresses, now) => this.nextHops.order(addresses, now),
      failed: (address, replaced, now) => {
        // The dispatcher asks its own.
        if (this.dispatcher?.failed(address, now)) return;
        if (replaced) this.nextHops.failed(address, now);
      },
    };
  }

  /** Takes one datagram; {@linkcode flush} has to follow when the batch is through. */
  receive(buffer: Uint8Array, start: number, end: number, from: Address, now: number): void {
    this.core.receive(buffer, start, end, from, now);
  }

  /** Sends the questions to DBclient that a batch of datagrams has left. */
  flush(now: number): void {
    this.source.flush(now);
    this.digest.flush();
  }

  /** Takes over what can change while it serves, for the requests that come after: see {@linkcode RELOADABLE}. */
  reload(values: ProxyValues, settings: Settings, route: RouteFunction | undefined): void {
    this.core.setRoute(route ?? newRoute(values, settings), values.next_hop);
    if (settings.dispatcher !== undefined) this.dispatcher?.load(settings.dispatcher, this.core.now);
  }

  /** From here on only what has begun is served. */
  drain(): void {
    this.core.draining = true;
  }

  /** Requests that have no final response yet. */
  get open(): number {
    return this.core.contexts.open;
  }

  /** Runs what is due. */
  advance(now: number): void {
    this.core.advance(now);
    this.source.advance(now);
    this.nextHops.advance(now);
    this.dispatcher?.advance(now);
    this.#location?.advance(now);
  }

  /**
   * Puts the credentials of a warm-up file in use; to be called before the first datagram.
   *
   * @param issuedAt when the file was written, ms on the clock of `now`
   * @returns how many users have one now
   */
  preload(records: WarmupRecords, issuedAt: number, serial: number, now: number): number {
    return preload(this.source, records, issuedAt, serial, now);
  }

  /**
   * Credentials that DBclient has withdrawn: those of these users whose serial is below this one, or all when `users`
   * is undefined. An empty realm stands for every realm.
   */
  revoked(serial: number, users: readonly Identity[] | undefined): void {
    this.source.revoked(serial, users);
  }

  /** The destinations of the dispatcher. */
  get targets(): TargetState[] {
    return [...this.dispatcher?.states() ?? []].map(({ set, uri, state }) => ({ set, uri, state }));
  }

  /** Counters, for the statistics file and the end of the program. */
  statistics(): Record<string, number> {
    const { core, source, cache, digest } = this;
    return {
      ...flatCounters(core.counters),
      ...transactionCounts(core.layer),
      next_hops_down: this.nextHops.down,
      ...this.dispatcher === undefined ? {} : dispatcherCounts(this.dispatcher),
      users: cache.size,
      usersVerified: cache.verifiedSize,
      issueFrames: source.counters.issueFrames,
      usersAsked: source.counters.usersAsked,
      prefetched: source.counters.prefetched,
      issueFailed: source.counters.failed,
      preloaded: source.counters.preloaded,
      revoked: source.counters.revoked,
      flushes: source.counters.flushes,
      digestAnswers: digest.asked,
      ...this.#registrar?.counters,
      ...(this.#location === undefined
        ? {}
        : { aors: this.#location.size, contacts: this.#location.contacts }),
    };
  }
}

/** The default route for these settings. */
export function newRoute(values: ProxyValues, settings: Settings): RouteFunction {
  return defaultRoute({
    auth: settings.auth,
    methods: settings.methods,
    recordRoute: values.record_route,
    foreignFrom: values.foreign_from,
    registrar: values.registrar,
    hasNextHop: values.next_hop !== undefined || values.ds_set !== undefined,
  });
}

/** The location of a proxy that has no other threads and keeps nothing. */
function ownLocation(values: ProxyValues, now: number): { location: Location; owner: LocationOwner } {
  const location = new Location(now, locationLimits(values));
  return { location, owner: location };
}
