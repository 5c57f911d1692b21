/** For tests: the proxy and DBclient as processes on free ports of 127.0.0.1, ended by their own id. */
import { fail } from "@std/assert";

/** The project's folder. */
export const ROOT: URL = new URL("../", import.meta.url);

const decoder = new TextDecoder();

/** What a process said, and its exit code. */
export interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

function command(program: "proxy" | "dbclient", args: readonly string[]): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", `-P=${program}`, `${program}/main.ts`, ...args],
    cwd: ROOT,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    env: { NO_COLOR: "1", PROXYCHAIN_KEY: "", PROXYCHAIN_HASH: "" },
  });
}

/** Runs a program to its end. */
export async function run(program: "proxy" | "dbclient", ...args: readonly string[]): Promise<Outcome> {
  const { code, stdout, stderr } = await command(program, args).output();
  return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
}

/** A program that was started and is ready. */
export class Running {
  /** Everything said on standard error so far. */
  err = "";
  readonly #reader: ReadableStreamDefaultReader<string>;
  readonly #out: Promise<string>;
  #reading: Promise<void> = Promise.resolve();

  private constructor(readonly child: Deno.ChildProcess) {
    this.#out = new Response(child.stdout).text();
    this.#reader = child.stderr.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** Starts a program and waits for its ready line. */
  static async start(program: "proxy" | "dbclient", ...args: readonly string[]): Promise<Running> {
    const running = new Running(command(program, args).spawn());
    while (!/ready on .*\n/.test(running.err)) {
      const { value, done } = await running.#reader.read();
      if (done) fail(`${program} ended early: ${running.err}`);
      running.err += value;
    }
    running.#reading = running.#readOn();
    return running;
  }

  /** The port of the ready line. */
  get port(): number {
    return Number(/ready on (?:udp:)?[^ ,]*:(\d+)/.exec(this.err)![1]);
  }

  /** Ends it, and gives back what it said. */
  async end(signal: Deno.Signal = "SIGTERM"): Promise<Outcome> {
    this.child.kill(signal);
    const { code } = await this.child.status;
    await this.#reading;
    return { code, out: await this.#out, err: this.err };
  }

  async #readOn(): Promise<void> {
    for (;;) {
      const { value, done } = await this.#reader.read();
      if (done) return;
      this.err += value;
    }
  }
}

/** A UDP socket of a test, with time-outs. */
export class TestSocket {
  readonly #socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  readonly #received: string[] = [];
  #wake = (): void => {};
  readonly #reading: Promise<void>;

  constructor() {
    this.#reading = this.#read();
  }

  get port(): number {
    return (this.#socket.addr as Deno.NetAddr).port;
  }

  async send(text: string, port: number): Promise<void> {
    await this.#socket.send(new TextEncoder().encode(text), {
      transport: "udp",
      hostname: "127.0.0.1",
      port,
    });
  }

  /** The next message; fails when none comes. */
  async next(what: string, ms = 10_000): Promise<string> {
    if (this.#received.length === 0) {
      let timer: ReturnType<typeof setTimeout> | undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        timer = setTimeout(resolve, ms);
      });
      clearTimeout(timer);
    }
    return this.#received.shift() ?? fail(`no ${what} came`);
  }

  /** The next message that is not a 100 (Trying). */
  async nextButTrying(what: string): Promise<string> {
    for (;;) {
      const text = await this.next(what);
      if (!text.startsWith("SIP/2.0 100")) return text;
    }
  }

  async close(): Promise<void> {
    this.#socket.close();
    await this.#reading;
  }

  async #read(): Promise<void> {
    try {
      for await (const [bytes] of this.#socket) {
        this.#received.push(decoder.decode(bytes));
        this.#wake();
      }
    } catch {
      // Closed.
    }
  }
}

/** A port that was free for UDP a moment ago. */
export function freePort(): number {
  const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  const { port } = socket.addr as Deno.NetAddr;
  socket.close();
  return port;
}

/** A TCP port that was free a moment ago. */
export function freeTcpPort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  listener.close();
  return port;
}

/** A folder that is removed at the end of the test. */
export async function inTempDir(use: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "proxychain-" });
  try {
    await use(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** Waits for something to become true. */
export async function until(condition: () => boolean, what: string, ms = 15_000): Promise<void> {
  for (let waited = 0; !condition(); waited += 20) {
    if (waited > ms) fail(`${what} did not happen`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
