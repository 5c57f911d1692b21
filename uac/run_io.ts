/** An engine on real sockets and a real clock. */
import { type Address, now } from "../mod.ts";
import type { ChainStates } from "./authenticator.ts";
import { Engine, type EngineOptions } from "./engine.ts";
import { openTransport, type RealTransport, type TransportOptions } from "./transports_io.ts";

/** Where a run listens, and what it does. */
export type RunOptions =
  & Omit<EngineOptions, "local" | "reliable">
  & Omit<TransportOptions, "onMessage" | "onBatchEnd" | "onWake">;

/** A timer that is so little later than the one needed is left alone, ms. */
const SLACK_MS = 0.5;
/** While the socket looks at the clock, a timer comes so much later, ms. */
const FALLBACK_MS = 25;
/** Calls that are due within this time of each other start together, ms: fewer awakenings for a delay that counts as lag. */
const TOGETHER_MS = 2;

/** A run: its engine, sockets and timer. */
export class Run {
  readonly engine: Engine;
  readonly local: Address;
  /** Resolves when the engine is done or the run was ended. */
  readonly ended: Promise<void>;
  readonly #transport: RealTransport;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timerAt = Infinity;
  /** The socket looks at the clock by itself: a timer is only needed for the case that it stops. */
  #busy = false;
  #resolve!: () => void;

  /**
   * Opens the sockets and starts.
   *
   * @throws {Error} (rejects) with one line if a socket cannot be opened, or the scenario cannot be run
   */
  static async open(options: RunOptions): Promise<Run> {
    let run: Run | undefined;
    const transport = await openTransport({
      ...options,
      onMessage: (buffer, start, end, from, now, socket) =>
        run?.engine.receive(buffer, start, end, from, now, socket),
      onBatchEnd: (now) => {
        if (run !== undefined) run.#advance(now);
      },
      onWake: (now, busy) => {
        if (run === undefined) return;
        run.#busy = busy;
        run.#advance(now);
      },
    });
    try {
      return run = new Run(options, transport);
    } catch (error) {
      await transport.close();
      throw error;
    }
  }

  private constructor(options: RunOptions, transport: RealTransport) {
    this.#transport = transport;
    this.local = transport.local;
    const facts = transport.perCall ? { localPort: undefined, ...options.facts } : options.facts;
    const { local, reliable } = transport;
    this.engine = new Engine({ ...options, local, reliable, facts }, transport, now());
    this.ended = new Promise((resolve) => this.#resolve = resolve);
    this.#arm();
  }

  /** What the agents remember. */
  chainStates(): ChainStates {
    return this.engine.chainStates();
  }

  /** Datagrams that the sockets could not send. */
  get dropped(): number {
    return this.#transport.dropped;
  }

  /** Ends the run now. */
  async close(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timerAt = -Infinity;
    await this.#transport.close();
    this.#resolve();
  }

  /** No new calls; the run ends with the last open one. */
  stop(): void {
    this.engine.stop(now());
    this.#arm();
  }

  /** Another rate, in calls per period. */
  setRate(rate: number): void {
    this.engine.setRate(rate, now());
    this.#arm();
  }

  /** Starts no calls for a while, or goes on. */
  pause(paused: boolean): void {
    this.engine.pause(paused, now());
    this.#arm();
  }

  /** Does what is due, also while the socket keeps the timers waiting. */
  #advance(now: number): void {
    if ((this.engine.nextDue() ?? Infinity) <= now) this.engine.advance(now);
    this.#arm(now);
  }

  #arm(time: number = now()): void {
    const { engine } = this;
    if (engine.done) return this.#resolve();
    const due = engine.nextDue();
    if (due === undefined) return;
    const at = this.#busy ? Math.max(due, time + FALLBACK_MS) : due;
    if (at >= this.#timerAt - SLACK_MS) return;
    clearTimeout(this.#timer);
    this.#timerAt = at;
    this.#timer = setTimeout(() => {
      this.#timerAt = Infinity;
      engine.advance(now());
      this.#arm();
    }, Math.max(TOGETHER_MS, at - time));
  }
}
