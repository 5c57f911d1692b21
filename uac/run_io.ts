/** An engine on a real socket and clock. */
import {
  type Address,
  type DatagramSocket,
  messageMemory,
  now,
  type OpenDatagramOptions,
  openDatagramSocket,
} from "../mod.ts";
import { Engine, type EngineOptions } from "./engine.ts";

/** Where a run listens, and what it does. */
export interface RunOptions extends Omit<EngineOptions, "local"> {
  readonly host: string;
  readonly port: number;
  /** What carries the datagrams; default "auto". */
  readonly io?: OpenDatagramOptions["io"];
  /** Longest wait of batched I/O for more datagrams, ms. */
  readonly ioWait?: number;
}

/** A timer that is so little later than the one needed is left alone, ms. */
const SLACK_MS = 0.5;

/** A run: its engine, socket and timer. */
export class Run {
  readonly engine: Engine;
  readonly local: Address;
  /** Resolves when the engine is done or the run was ended. */
  readonly ended: Promise<void>;
  readonly #socket: DatagramSocket;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timerAt = Infinity;
  #resolve!: () => void;

  /**
   * Opens the socket and starts.
   *
   * @throws {Error} (rejects) with one line if the socket cannot be opened, or the scenario cannot be run
   */
  static async open(options: RunOptions): Promise<Run> {
    const { host, port, io, ioWait, onError } = options;
    let run: Run | undefined;
    const socket = await openDatagramSocket({
      host,
      port,
      io,
      moderation: ioWait,
      memory: messageMemory,
      onDatagram: (buffer, start, end, from, now) => run?.engine.receive(buffer, start, end, from, now),
      onBatchEnd: (now) => {
        if (run !== undefined) run.#advance(now);
      },
      onError: (error) => onError?.(`socket: ${error.message}`),
    });
    try {
      return run = new Run(options, socket);
    } catch (error) {
      await socket.close();
      throw error;
    }
  }

  private constructor(options: RunOptions, socket: DatagramSocket) {
    this.#socket = socket;
    this.local = socket.local;
    const send = (bytes: Uint8Array, start: number, end: number, to: Address) =>
      socket.send(bytes, start, end, to);
    this.engine = new Engine({ ...options, local: socket.local }, send, now());
    this.ended = new Promise((resolve) => this.#resolve = resolve);
    this.#arm();
  }

  /** Datagrams that the socket could not send. */
  get dropped(): number {
    return this.#socket.dropped;
  }

  /** Ends the run now. */
  async close(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timerAt = -Infinity;
    await this.#socket.close();
    this.#resolve();
  }

  /** No new calls; the run ends with the last open one. */
  stop(): void {
    this.engine.stop();
    this.#arm();
  }

  /** Does what is due, also while the socket keeps the timers waiting. */
  #advance(now: number): void {
    if ((this.engine.nextDue() ?? Infinity) <= now) this.engine.advance(now);
    this.#arm();
  }

  #arm(): void {
    const { engine } = this;
    if (engine.done) return this.#resolve();
    const due = engine.nextDue();
    if (due === undefined || due >= this.#timerAt - SLACK_MS) return;
    clearTimeout(this.#timer);
    this.#timerAt = due;
    this.#timer = setTimeout(() => {
      this.#timerAt = Infinity;
      engine.advance(now());
      this.#arm();
    }, Math.max(0, due - now()));
  }
}
