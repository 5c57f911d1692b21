/** Programs as subprocesses: started, watched until they are ready, measured, and ended whatever happens. */
import { cpuTime, descendants } from "./proc_io.ts";

/** How long a program may take to be ready, ms: its first start may have to fetch packages. */
const READY_MS = 120_000;
/** How long a program may take to end after SIGTERM, ms; then it is killed. */
const GRACE_MS = 5_000;
/** The part of it after which SIGTERM is sent again: callers then no longer wait for open calls. */
const AGAIN = 0.2;
/** Last lines of standard error that a failure repeats. */
const KEPT_LINES = 3;
/** A program did not do what it was started for; one line. */
export class ProgramError extends Error {
  override name = "ProgramError";
}

/** What all programs have. */
interface CommonOptions {
  /** Name in messages. */
  readonly name: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Is given each line of standard error. */
  readonly onLine?: (line: string) => void;
}

/** How to start a program of this project. */
export interface ModuleOptions extends CommonOptions {
  /** Path of the module, and the permission set of deno.json with which it runs. */
  readonly module: string;
  readonly permissions: string;
  /** More flags of `deno run`. */
  readonly runFlags?: readonly string[];
}

/** How to start any other program. */
export interface CommandOptions extends CommonOptions {
  /** Name or path of what is run. */
  readonly command: string;
  readonly cwd?: string;
}

/** How to start a program. */
export type ProgramOptions = ModuleOptions | CommandOptions;

async function readLines(stream: ReadableStream<Uint8Array>, onLine: (line: string) => void): Promise<void> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    lines.forEach(onLine);
  }
  if (rest !== "") onLine(rest);
}

function moduleArgs({ module, permissions, args, runFlags = [] }: ModuleOptions, config: string): string[] {
  const flags = ["--quiet", "--no-prompt", "--config", config, `--permission-set=${permissions}`];
  return ["run", ...flags, ...runFlags, module, ...args];
}

/** A program that was started. */
export class Program {
  readonly #child: Deno.ChildProcess;
  readonly #ended: Promise<Deno.CommandStatus>;
  readonly #lines: string[] = [];
  #watcher: ((line: string) => void) | undefined;

  constructor(readonly options: ProgramOptions, config: string, private readonly grace: number) {
    const [command, args] = "command" in options
      ? [options.command, options.args]
      : [Deno.execPath(), moduleArgs(options, config)];
    this.#child = new Deno.Command(command, {
      args: [...args],
      env: { ...options.env },
      cwd: "command" in options ? options.cwd : undefined,
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    const read = readLines(this.#child.stderr, (line) => {
      this.#lines.push(line);
      if (this.#lines.length > KEPT_LINES) this.#lines.shift();
      this.#watcher?.(line);
      options.onLine?.(line);
    });
    this.#ended = Promise.all([this.#child.status, read.catch(() => {})]).then(([status]) => status);
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** CPU time so far, µs; undefined where it cannot be measured. */
  cpuTime(): Promise<number | undefined> {
    return cpuTime(this.pid);
  }

  /**
   * Waits for the line that says that the program is ready.
   *
   * @param pattern what the line looks like
   * @throws {ProgramError} when it ends before, or takes too long
   */
  async ready(pattern: RegExp): Promise<RegExpExecArray> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const line = new Promise<RegExpExecArray>((resolve, reject) => {
      const look = (text: string) => {
        const match = pattern.exec(text);
        if (match !== null) resolve(match);
      };
      this.#lines.forEach(look);
      this.#watcher = look;
      timer = setTimeout(
        () => reject(new ProgramError(`${this.options.name} was not ready within ${READY_MS / 1000} s`)),
        READY_MS,
      );
      this.#ended.then((status) => reject(this.#failure(status)));
    });
    try {
      return await line;
    } finally {
      clearTimeout(timer);
      this.#watcher = undefined;
    }
  }

  /**
   * Waits for the end of a program that ends by itself.
   *
   * @param allowed exit codes that are no failure
   * @throws {ProgramError} for any other
   */
  async finished(allowed: readonly number[] = [0]): Promise<void> {
    const status = await this.#ended;
    if (status.signal !== null || !allowed.includes(status.code)) throw this.#failure(status);
  }

  /** Ends it: SIGTERM twice, and after a grace time SIGKILL. */
  async stop(): Promise<void> {
    this.signal("SIGTERM");
    const again = setTimeout(() => this.signal("SIGTERM"), this.grace * AGAIN);
    const kill = setTimeout(() => this.kill(), this.grace);
    await this.#ended;
    clearTimeout(again);
    clearTimeout(kill);
  }

  /** Ends it at once, with all that it started: a server's children would outlive it. */
  async kill(): Promise<void> {
    const children = "command" in this.options ? await descendants(this.pid) : [];
    this.signal("SIGKILL");
    for (const child of children) {
      try {
        Deno.kill(child, "SIGKILL");
      } catch {
        // It has ended already.
      }
    }
  }

  /** Sends a signal, unless the program has ended. */
  signal(signal: Deno.Signal): void {
    try {
      this.#child.kill(signal);
    } catch {
      // It has ended already.
    }
  }

  #failure({ code, signal }: Deno.CommandStatus): ProgramError {
    const how = signal === null ? `with exit code ${code}` : `by ${signal}`;
    const said = this.#lines.length === 0 ? "" : `: ${this.#lines.join(" | ")}`;
    return new ProgramError(`${this.options.name} ended ${how}${said}`);
  }
}

/** What a {@linkcode Keeper} runs: "+ PID" and "- PID" add and take away; "end" ends it without harm. */
const KEEPER = `trap '' INT TERM HUP
all=" "
while read -r word pid; do
  case $word in
    +) all="$all$pid " ;;
    -) case $all in *" $pid "*) all="\${all%% $pid *} \${all#* $pid }" ;; esac ;;
    end) exit 0 ;;
  esac
done
kill -9 $all`;

/**
 * A shell that is told the process ids of programs, and kills those that are left when its standard input ends: that is when
 * this process is gone, by whatever signal.
 */
class Keeper {
  readonly #child = new Deno.Command("sh", {
    args: ["-c", KEEPER],
    stdin: "piped",
    stdout: "null",
    stderr: "null",
  }).spawn();
  readonly #input = this.#child.stdin.getWriter();

  tell(text: string): void {
    this.#input.write(new TextEncoder().encode(`${text}\n`)).catch(() => {});
  }

  async end(): Promise<void> {
    this.tell("end");
    await this.#input.close().catch(() => {});
    await this.#child.status;
  }
}

/** All programs of a run: none outlives {@linkcode Programs.close}, nor this process. */
export class Programs {
  readonly #running = new Set<Program>();
  #keeper: Keeper | undefined;
  #closed = false;

  /**
   * @param config path of deno.json, which has the permission sets
   * @param grace ms between SIGTERM and SIGKILL
   */
  constructor(private readonly config: string, private readonly grace = GRACE_MS) {}

  /** Starts a program. */
  start(options: ProgramOptions): Program {
    if (this.#closed) throw new ProgramError("interrupted");
    const program = new Program(options, this.config, this.grace);
    this.#running.add(program);
    this.#keeper ??= new Keeper();
    this.#keeper.tell(`+ ${program.pid}`);
    return program;
  }

  #left(program: Program): void {
    this.#running.delete(program);
    this.#keeper?.tell(`- ${program.pid}`);
  }

  /**
   * Runs a program that ends by itself.
   *
   * @param allowed exit codes that are no failure
   * @param others programs that must not end before it
   * @throws {ProgramError} when it fails, or one of the others has ended
   */
  async run(
    options: ProgramOptions,
    allowed?: readonly number[],
    others: readonly Program[] = [],
  ): Promise<void> {
    const program = this.start(options);
    await Promise.race([program.finished(allowed), ...others.map((other) => other.finished([]))]);
    this.#left(program);
  }

  /** Ends some of them. */
  async stop(programs: Iterable<Program>): Promise<void> {
    await Promise.all([...programs].map(async (program) => {
      await program.stop();
      this.#left(program);
    }));
  }

  /** Starts no more, and ends all. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.stop(this.#running);
    await this.#keeper?.end();
    this.#keeper = undefined;
  }

  /** Ends all at once, without asking. */
  kill(): void {
    this.#closed = true;
    for (const program of this.#running) program.kill();
  }
}
