/** A proxy of a simulation: the real one, with the simulated network and DBclient around it. */
import {
  type Address,
  formatAddress,
  type HashBackend,
  type Located,
  parseFlags,
  type Random,
  seededRandom,
  type SipTarget,
  toHex,
  type Verdict,
} from "../../mod.ts";
import type { IssueOutcome } from "../../proxy/issue_service.ts";
import { PROXY_FLAGS } from "../../proxy/options.ts";
import { Proxy } from "../../proxy/proxy.ts";
import { readSettings } from "../../proxy/settings.ts";
import type { AcceptedTokens } from "./accepted_tokens.ts";
import { type EventQueue, Waker } from "./event_queue.ts";
import type { Network } from "./network.ts";
import type { SimDbclient, SimLink } from "./sim_dbclient.ts";

/** How often the prefetcher is looked at, ms. */
const TICK = 200;

/** What a proxy is put into. */
export interface ProxySurroundings {
  readonly queue: EventQueue;
  readonly network: Network;
  readonly dbclient: SimDbclient;
  readonly hashes: HashBackend;
  readonly random: Random;
  readonly accepted: AcceptedTokens;
}

/** A proxy that can be started again. */
export class SimProxy {
  proxy!: Proxy;
  link!: SimLink;
  /** How often each verdict came, over all runs. */
  readonly verdicts = new Map<Verdict, number>();
  /** The number of the run; negative after its end. */
  #run = 0;

  /** @param flags on top of --listen, --realm and --next_hop */
  constructor(
    private readonly around: ProxySurroundings,
    readonly name: string,
    readonly address: Address,
    private readonly flags: readonly string[],
  ) {
    this.start();
  }

  /** Starts a new run: another opaque, an empty cache. `warmUp` is what a warm-up file gives it. */
  start(warmUp: ReadonlyMap<string, IssueOutcome> = new Map()): void {
    const { queue, network, dbclient, hashes, random } = this.around;
    const run = Math.max(1, -this.#run + 1);
    this.#run = run;
    const { values } = parseFlags(PROXY_FLAGS, [
      `--listen=udp:${formatAddress(this.address)}`,
      ...this.flags,
    ]);
    const link = dbclient.connect(
      this.name,
      (serial, users) => proxy.revoked(serial, users, queue.now),
      warmUp,
    );
    const environment = {
      random: seededRandom(random.below(2 ** 32)),
      now: queue.now,
      send: (buffer: Uint8Array, start: number, end: number, to: Address) =>
        network.send(this.address, to, buffer, start, end),
      locate: (_: SipTarget, done: Located) => done([], queue.now),
      log: (event: string, fields: object) => {
        // A fault of the proxy's own, which it answers with 500.
        if (event === "route_failed") {
          queue.after(0, () => {
            throw new Error(JSON.stringify(fields));
          });
        }
      },
    };
    const proxy = new Proxy(values, readSettings(values), hashes, environment, link);
    this.#watch(proxy, `${this.name}/${run}`);
    const { layer } = proxy.core;
    const waker = new Waker(queue, () => this.#run === run ? layer.nextDue() : undefined, () => {
      if (this.#run === run) proxy.advance(queue.now);
    });
    network.attach(this.address, (bytes, from) => {
      proxy.receive(bytes, 0, bytes.length, from, queue.now);
      // The program sends its questions once a run of datagrams is through.
      queue.after(0, () => {
        if (this.#run === run) proxy.flush(queue.now);
        waker.look();
      });
      waker.look();
    });
    const tick = () => {
      if (this.#run !== run) return;
      proxy.advance(queue.now);
      proxy.flush(queue.now);
      waker.look();
      queue.after(TICK, tick);
    };
    tick();
    this.proxy = proxy;
    this.link = link;
  }

  /** Ends the run without a word. */
  stop(): void {
    this.around.network.attach(this.address, undefined);
    this.around.dbclient.disconnect(this.link);
    this.#run = -this.#run;
  }

  restart(warmUp?: ReadonlyMap<string, IssueOutcome>): void {
    this.stop();
    this.start(warmUp);
  }

  /** How often a verdict came. */
  count(verdict: Verdict): number {
    return this.verdicts.get(verdict) ?? 0;
  }

  #watch({ core: { pc } }: Proxy, run: string): void {
    const authorize = pc.authorize.bind(pc);
    pc.authorize = (message, kind, realm, claim, now, result) => {
      const verdict = authorize(message, kind, realm, claim, now, result);
      this.verdicts.set(verdict, this.count(verdict) + 1);
      if (verdict === "ok") {
        const username = result.username!;
        const { seq } = result.accepted;
        const nonce = toHex(result.accepted.nonce);
        const transaction = `${message.topVia()?.branch} ${message.callId} ${message.cseqNumber}`;
        const wrong = this.around.accepted.note({ run, username, nonce, seq, transaction });
        // Thrown here it would end as a 500 of the proxy.
        if (wrong !== undefined) {
          this.around.queue.after(0, () => {
            throw new Error(wrong);
          });
        }
      }
      return verdict;
    };
  }
}
