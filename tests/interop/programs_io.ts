/** For tests: the programs of others that the proxy is tried with, as processes that are ended by their own id. */
import { assert, fail } from "@std/assert";

/** A program of others. Where it is missing its tests are skipped by name, but not in CI, where they fail. */
export interface Peer {
  readonly present: boolean;
  readonly ignore: boolean;
  /** For the names of tests. */
  readonly why: string;
}

const inCi = Deno.env.get("CI") === "true";

function isInstalled(program: string): boolean {
  const folders = [...(Deno.env.get("PATH") ?? "").split(":"), "/usr/sbin", "/usr/local/sbin"];
  return folders.some((folder) => {
    try {
      return Deno.statSync(`${folder}/${program}`).isFile;
    } catch {
      return false;
    }
  });
}

/** Looks for programs, all of which a test needs. */
export function peer(...programs: readonly string[]): Peer {
  const missing = programs.filter((program) => !isInstalled(program));
  const present = missing.length === 0;
  const ignore = !present && !inCi;
  const [first, ...more] = missing;
  const names = more.length === 0 ? `${first} is` : `${missing.join(" and ")} are`;
  return { present, ignore, why: ignore ? ` (skipped: ${names} not installed)` : "" };
}

/** A test with programs of others. */
export function peerTest(name: string, programs: readonly string[], fn: () => Promise<void>): void {
  const { present, ignore, why } = peer(...programs);
  Deno.test({
    name: `${name}${why}`,
    ignore,
    fn() {
      assert(present, `${programs.join(" or ")} is not installed, and CI=true asks for it`);
      return fn();
    },
  });
}

/** How a program is started. */
export interface PeerOptions {
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** A program that runs until it is ended. What it says on both outputs is kept. */
export class PeerProcess {
  #said = "";
  #ended = false;
  #wake = (): void => {};
  readonly #child: Deno.ChildProcess;
  readonly #reading: Promise<unknown>;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;

  constructor(readonly program: string, args: readonly string[], { cwd, env = {} }: PeerOptions) {
    this.#child = new Deno.Command(program, {
      args: [...args],
      cwd,
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
      // Its settings and histories go to the test's folder.
      env: { TERM: "dumb", HOME: cwd, XDG_CONFIG_HOME: cwd, XDG_DATA_HOME: cwd, XDG_CACHE_HOME: cwd, ...env },
    }).spawn();
    this.#input = this.#child.stdin.getWriter();
    const outputs = [this.#child.stdout, this.#child.stderr].map((stream) => this.#read(stream));
    this.#reading = Promise.all(outputs).then(() => {
      this.#ended = true;
      this.#wake();
    });
  }

  /** Everything that it has said. */
  get said(): string {
    return this.#said;
  }

  /** Types a line. */
  async type(line: string): Promise<void> {
    await this.#input.write(new TextEncoder().encode(`${line}\n`));
  }

  /**
   * Waits until it says something.
   * @param from where to begin in what it has said
   */
  async says(what: RegExp, from = 0, ms = 15_000): Promise<RegExpExecArray> {
    const end = performance.now() + ms;
    for (;;) {
      const found = what.exec(this.#said.slice(from));
      if (found !== null) return found;
      if (this.#ended || performance.now() > end) {
        fail(`${this.program} does not say ${what}, but:\n${this.#said.slice(-4000)}`);
      }
      let timer: ReturnType<typeof setTimeout> | undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        timer = setTimeout(resolve, Math.max(1, end - performance.now()));
      });
      clearTimeout(timer);
    }
  }

  /** Waits until it ends by itself. */
  async finished(): Promise<{ readonly code: number; readonly said: string }> {
    await this.#input.close().catch(() => {});
    const { code } = await this.#child.status;
    await this.#reading;
    return { code, said: this.#said };
  }

  /** Ends it. */
  async end(signal: Deno.Signal = "SIGKILL"): Promise<void> {
    try {
      this.#child.kill(signal);
    } catch {
      // It has ended.
    }
    await this.finished();
  }

  async #read(stream: ReadableStream<Uint8Array>): Promise<void> {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      this.#said += text;
      this.#wake();
    }
  }
}

/** Runs a program to its end. */
export function runPeer(
  program: string,
  args: readonly string[],
  options: PeerOptions,
): Promise<{ readonly code: number; readonly said: string }> {
  return new PeerProcess(program, args, options).finished();
}
