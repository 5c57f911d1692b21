/** A TCP relay on loopback that delays what passes through it: a distance for programs that run beside each other. */
import type { Address } from "../mod.ts";

/** Bytes that one direction of a connection holds back before it stops reading. */
const MAX_HELD_BYTES = 4 << 20;
const READ_BYTES = 64 << 10;

/** A running relay. */
export interface Relay {
  /** Where it listens: a free port of 127.0.0.1. */
  readonly address: Address;
  /** Connections that passed through it, those that are open too. */
  readonly connections: number;
  /** Ends it with all its connections. */
  close(): Promise<void>;
}

/** One piece on its way; without bytes it is the end of the stream. */
interface Piece {
  readonly bytes: Uint8Array | undefined;
  /** When it has to be there, ms. */
  readonly dueAt: number;
}

/** Pieces under way in one direction, in the order in which they came. */
class Delay {
  readonly #pieces: Piece[] = [];
  #held = 0;
  #closed = false;
  #wakeReader = () => {};
  #wakeWriter = () => {};

  constructor(private readonly milliseconds: number) {}

  /** Takes a piece in; resolves when there is room for the next. */
  async put(bytes: Uint8Array | undefined): Promise<void> {
    this.#pieces.push({ bytes, dueAt: performance.now() + this.milliseconds });
    this.#held += bytes?.length ?? 0;
    this.#wakeWriter();
    while (this.#held > MAX_HELD_BYTES && !this.#closed) {
      await new Promise<void>((resolve) => this.#wakeReader = resolve);
    }
  }

  /** The next piece, when its time has come; undefined: the stream has ended. */
  async take(): Promise<Uint8Array | undefined> {
    while (this.#pieces.length === 0) {
      if (this.#closed) return undefined;
      await new Promise<void>((resolve) => this.#wakeWriter = resolve);
    }
    const { bytes, dueAt } = this.#pieces.shift()!;
    // A timer may fire a little early: what is left is waited for too.
    for (let left = dueAt - performance.now(); left > 0 && !this.#closed; left = dueAt - performance.now()) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, Math.ceil(left));
        this.#wakeWriter = () => {
          if (!this.#closed) return;
          clearTimeout(timer);
          resolve();
        };
      });
    }
    this.#held -= bytes?.length ?? 0;
    this.#wakeReader();
    return this.#closed ? undefined : bytes;
  }

  /** Drops what is under way and ends both sides. */
  close(): void {
    this.#closed = true;
    this.#pieces.length = 0;
    this.#wakeReader();
    this.#wakeWriter();
  }
}

async function read(from: Deno.Conn, delay: Delay): Promise<void> {
  for (;;) {
    const buffer = new Uint8Array(READ_BYTES);
    const length = await from.read(buffer);
    // A small copy, so that a few bytes do not hold a large array for the time of the delay.
    await delay.put(length === null ? undefined : buffer.slice(0, length));
    if (length === null) return;
  }
}

async function write(to: Deno.Conn, delay: Delay): Promise<void> {
  for (let bytes = await delay.take(); bytes !== undefined; bytes = await delay.take()) {
    for (let at = 0; at < bytes.length;) at += await to.write(bytes.subarray(at));
  }
  await to.closeWrite();
}

/** Carries both directions until both have ended, or one of them breaks. */
class Passage {
  readonly #delays: readonly [Delay, Delay];
  #open = true;

  constructor(private readonly ends: readonly [Deno.Conn, Deno.Conn], delay: number) {
    this.#delays = [new Delay(delay), new Delay(delay)];
  }

  async run(): Promise<void> {
    const [a, b] = this.ends;
    const [there, back] = this.#delays;
    const parts = [read(a, there), write(b, there), read(b, back), write(a, back)];
    // A connection that breaks takes the other with it; why it broke is known to the programs at its ends.
    await Promise.allSettled(parts.map((part) => part.catch(() => this.close())));
    this.close();
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    for (const delay of this.#delays) delay.close();
    for (const end of this.ends) end.close();
  }
}

/**
 * Starts a relay. Each connection to it is one to `target`; pieces arrive in order, half of the round trip later than
 * they came. The target is connected to without delay; a target that refuses ends the connection.
 *
 * @param roundTrip ms added to question and answer together; half of it each way
 */
export function startRelay(target: Address, roundTrip: number): Relay {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const passages = new Set<Passage>();
  const running = new Set<Promise<void>>();
  let connections = 0;
  let closed = false;

  async function carry(from: Deno.TcpConn): Promise<void> {
    let to: Deno.TcpConn;
    try {
      to = await Deno.connect({ hostname: target.host, port: target.port });
    } catch {
      from.close();
      return;
    }
    // Nagle's algorithm would add a delay of its own.
    from.setNoDelay(true);
    to.setNoDelay(true);
    const passage = new Passage([from, to], roundTrip / 2);
    passages.add(passage);
    if (closed) passage.close();
    await passage.run();
    passages.delete(passage);
  }

  async function accept(): Promise<void> {
    for await (const connection of listener) {
      connections++;
      const carried = carry(connection).catch(() => {}).finally(() => running.delete(carried));
      running.add(carried);
    }
  }

  const accepting = accept();
  const { hostname, port } = listener.addr as Deno.NetAddr;
  return {
    address: { host: hostname, port },
    get connections() {
      return connections;
    },
    async close() {
      closed = true;
      listener.close();
      for (const passage of passages) passage.close();
      await Promise.allSettled([accepting, ...running]);
    },
  };
}
