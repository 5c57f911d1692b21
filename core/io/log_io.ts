/** Writes a program's log to standard error. */
import {
  formatLogJson,
  formatLogText,
  leftOutMessage,
  type Log,
  LOG_LEVELS,
  type LogDetails,
  type LogFormat,
  type LogLevel,
  LogLimiter,
} from "../cli/log.ts";
import { now } from "./clock_io.ts";

/** How a log is written. */
export interface LogOptions {
  /** The program's name, in each entry. */
  readonly program: string;
  readonly format: LogFormat;
  /** Entries of this level and of graver ones are written. */
  readonly level: LogLevel;
  /** Takes a line with its end; default: standard error. */
  write?(line: string): void;
  /** Milliseconds of a monotonic clock; for tests. */
  now?(): number;
}

/** A log that was opened. */
export interface OpenLog {
  readonly log: Log;
  /** Says what was left out until now. Entries may still be written afterwards. */
  flush(): void;
}

const encoder = new TextEncoder();

/** To standard error; whoever reads it may have gone, which is no reason to end. */
function toStandardError(line: string): void {
  const bytes = encoder.encode(line);
  try {
    for (let at = 0; at < bytes.length;) at += Deno.stderr.writeSync(bytes.subarray(at));
  } catch {
    // Where could it be said?
  }
}

/**
 * Opens a log. Of each event 20 entries are written in 10 s; then one that says how many more there were.
 *
 * @example
 * ```ts
 * import { openLog } from "../../mod.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const lines: string[] = [];
 * const write = (line: string) => void lines.push(line);
 * const { log } = openLog({ program: "dbclient", format: "json", level: "notice", write });
 * log("proxy p1 has connected", { event: "connected", fields: { proxy: "p1" } });
 * const { event, proxy } = JSON.parse(lines[0]);
 * assertEquals([event, proxy], ["connected", "p1"]);
 * ```
 */
export function openLog(options: LogOptions): OpenLog {
  const { program, format, level: least, write = toStandardError, now: clock = now } = options;
  const lowest = LOG_LEVELS.indexOf(least);
  const line = format === "json" ? formatLogJson : formatLogText;
  const limiter = new LogLimiter();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const put = (message: string, { level = "notice", event = "message", fields = {} }: LogDetails) =>
    write(line({ time: Date.now(), level, event, program, message, fields }) + "\n");
  const end = (time: number) => {
    for (const left of limiter.ended(time)) {
      put(leftOutMessage(left), {
        level: left.level,
        event: left.event,
        fields: { left_out: left.count },
      });
    }
  };
  const wait = () => {
    const due = limiter.due;
    if (timer !== undefined || due === Infinity) return;
    timer = setTimeout(() => {
      timer = undefined;
      end(clock());
      wait();
    }, Math.max(1, due - clock()));
    // A program that has nothing else to do may end.
    Deno.unrefTimer(timer);
  };
  return {
    log(message, details = {}) {
      const { level = "notice", event = "message" } = details;
      if (LOG_LEVELS.indexOf(level) > lowest) return;
      end(clock());
      if (limiter.admit(event, level, clock())) put(message, details);
      else wait();
    },
    flush() {
      clearTimeout(timer);
      timer = undefined;
      end(Infinity);
    },
  };
}
