/** SIPp's trace files. All are readable by their owner alone: messages hold what authenticates. */
import { HeaderId, SipMessage } from "../mod.ts";
import type { EngineOptions, RunView } from "./engine.ts";
import { screen, type ScreenFacts } from "./screens.ts";
import {
  countsHeader,
  countsLine,
  dateText,
  errorCodesLine,
  type RunTimes,
  stampText,
  StatFile,
} from "./sipp_figures.ts";

/** What is written, by SIPp's names. */
export interface TraceOptions {
  /** Scenario and process, which names of files begin with. */
  readonly prefix: string;
  readonly stat: boolean;
  readonly statFile: string | undefined;
  readonly delimiter: string;
  readonly counts: boolean;
  readonly errorCodes: boolean;
  readonly messages: boolean;
  readonly messageFile: string | undefined;
  readonly shortMessages: boolean;
  readonly shortMessageFile: string | undefined;
  readonly rtt: boolean;
  /** So many response times are written together. */
  readonly rttFreq: number;
  readonly screen: boolean;
  readonly screenFile: string | undefined;
  readonly logs: boolean;
  readonly logFile: string | undefined;
  readonly errors: boolean;
  readonly errorFile: string | undefined;
  readonly transport: "UDP" | "TCP";
}

/** Characters that are kept before they are written. */
const BUFFER = 65_536;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A file that is written in portions. */
class TraceFile {
  readonly #file: Deno.FsFile;
  #lines: string[] = [];
  #length = 0;
  #broken = false;

  /** @throws {Error} one line */
  constructor(private readonly path: string) {
    try {
      this.#file = Deno.openSync(path, { write: true, create: true, truncate: true, mode: 0o600 });
      // One that was there keeps its mode otherwise.
      if (Deno.statSync(path).isFile) Deno.chmodSync(path, 0o600);
    } catch (error) {
      throw new Error(`${path} cannot be written: ${(error as Error).message.split("\n")[0]}`);
    }
  }

  write(text: string): void {
    if (this.#broken) return;
    this.#lines.push(text);
    this.#length += text.length;
    if (this.#length >= BUFFER) this.flush();
  }

  flush(): void {
    if (this.#length === 0) return;
    const bytes = encoder.encode(this.#lines.join(""));
    this.#lines = [];
    this.#length = 0;
    try {
      for (let at = 0; at < bytes.length;) at += this.#file.writeSync(bytes.subarray(at));
    } catch (error) {
      // A full disk ends the file and not the run.
      this.#broken = true;
      console.error(`uac: ${this.path} is not written any more: ${(error as Error).message.split("\n")[0]}`);
    }
  }

  close(): void {
    this.flush();
    this.#file.close();
  }
}

/** The trace files of a run. */
export class Traces {
  readonly #o: TraceOptions;
  readonly #files: TraceFile[] = [];
  readonly #messages: TraceFile | undefined;
  readonly #short: TraceFile | undefined;
  readonly #rtt: TraceFile | undefined;
  readonly #logs: TraceFile | undefined;
  readonly #errors: TraceFile | undefined;
  readonly #screen: TraceFile | undefined;
  readonly #message = new SipMessage();
  #stat: TraceFile | undefined;
  #counts: TraceFile | undefined;
  #codes: TraceFile | undefined;
  #lines: StatFile | undefined;
  #rtts: string[] = [];
  #engine: RunView | undefined;
  #times: RunTimes = { startedAt: 0, wallOffset: 0 };

  /**
   * Opens the files.
   *
   * @throws {Error} one line, if one cannot be written
   */
  constructor(options: TraceOptions) {
    this.#o = options;
    const open = (wanted: boolean, name: string | undefined, ending: string) => {
      if (!wanted) return undefined;
      const file = new TraceFile(name ?? options.prefix + ending);
      this.#files.push(file);
      return file;
    };
    this.#stat = open(options.stat, options.statFile, ".csv");
    this.#counts = open(options.counts, undefined, "counts.csv");
    this.#codes = open(options.errorCodes, undefined, "error_codes.csv");
    this.#messages = open(options.messages, options.messageFile, "messages.log");
    this.#short = open(options.shortMessages, options.shortMessageFile, "shortmessages.log");
    this.#rtt = open(options.rtt, undefined, "rtt.csv");
    this.#logs = open(options.logs, options.logFile, "logs.log");
    this.#errors = open(options.errors, options.errorFile, "errors.log");
    this.#screen = open(options.screen, options.screenFile, "screen.log");
  }

  /** Whether anything is written every period (`-fd`). */
  get periodic(): boolean {
    return this.#stat !== undefined || this.#counts !== undefined || this.#codes !== undefined;
  }

  /** What the engine tells; without a file for it, nothing. */
  hooks(): Pick<EngineOptions, "onMessage" | "onLog" | "onError"> {
    const { transport } = this.#o;
    const logs = this.#logs;
    const errors = this.#errors;
    return {
      onMessage: this.#messages === undefined && this.#short === undefined
        ? undefined
        : (sent, bytes, start, end) => this.#write(transport, sent, bytes, start, end),
      ...logs === undefined ? {} : { onLog: (line: string) => logs.write(line + "\n") },
      ...errors === undefined
        ? {}
        : { onError: (line: string) => errors.write(`${dateText(this.#wall())}\t${line}\n`) },
    };
  }

  /** The run has begun: writes the first lines. */
  begin(engine: RunView, times: RunTimes): void {
    const { delimiter } = this.#o;
    this.#engine = engine;
    this.#times = times;
    if (this.#stat !== undefined) {
      this.#lines = new StatFile(engine, times, delimiter);
      this.#stat.write(this.#lines.header());
    }
    this.#counts?.write(countsHeader(engine, delimiter));
    const rtt = this.#rtt;
    if (rtt !== undefined) {
      const { timers } = engine.program;
      rtt.write(["Date_ms", "response_time_ms", "rtd_no"].join(delimiter) + "\n");
      engine.statistics.onTime = (timer, ms) => {
        const at = this.#wall() - times.startedAt - times.wallOffset;
        this.#rtts.push([at.toFixed(3), Number(ms.toFixed(3)), timers[timer] ?? 1].join(delimiter) + "\n");
        if (this.#rtts.length >= this.#o.rttFreq) this.#flushRtt();
      };
    }
    this.period(times.startedAt);
  }

  /** Writes the lines of a period. */
  period(now: number): void {
    const engine = this.#engine;
    if (engine === undefined) return;
    const { delimiter } = this.#o;
    if (this.#lines !== undefined) this.#stat?.write(this.#lines.line(now));
    this.#counts?.write(countsLine(engine, now, this.#times, delimiter));
    this.#codes?.write(errorCodesLine(engine.statistics, now, this.#times, delimiter));
    this.flush();
  }

  flush(): void {
    for (const file of this.#files) file.flush();
  }

  /** Writes the screens: at the end, and when key s is pressed. */
  screens(facts: ScreenFacts): void {
    const file = this.#screen;
    if (file === undefined) return;
    const last = Math.min(9, 5 + Math.max(0, facts.engine.program.timers.length - 1));
    for (let number = 1; number <= last; number++) file.write(screen(number, facts) + "\n");
  }

  /** Writes the last lines and closes the files. */
  close(now: number): void {
    this.period(now);
    this.#flushRtt();
    for (const file of this.#files) file.close();
  }

  #flushRtt(): void {
    this.#rtt?.write(this.#rtts.join(""));
    this.#rtts = [];
  }

  #wall(): number {
    return performance.timeOrigin + performance.now();
  }

  #write(transport: string, sent: boolean, bytes: Uint8Array, start: number, end: number): void {
    const wall = this.#wall();
    if (this.#messages !== undefined) {
      const length = end - start;
      const how = sent ? `sent (${length} bytes)` : `received [${length}] bytes `;
      this.#messages.write(
        `----------------------------------------------- ${
          dateText(wall)
        }\n${transport} message ${how}:\n\n` +
          decoder.decode(bytes.subarray(start, end)) + "\n",
      );
    }
    if (this.#short === undefined) return;
    const message = this.#message;
    if (message.parse(bytes, start, end) !== undefined) return;
    let lineEnd = start;
    while (lineEnd < end && bytes[lineEnd] !== 13 && bytes[lineEnd] !== 10) lineEnd++;
    const first = decoder.decode(bytes.subarray(start, lineEnd));
    const cseq = `CSeq:${message.value(HeaderId.CSEQ) ?? ""}`;
    this.#short.write([stampText(wall), sent ? "S" : "R", message.callId, cseq, first].join("\t") + "\n");
  }
}
