/**
 * Log entries of the programs, without I/O: levels, the two formats, and the limit for what repeats itself.
 * `openLog` (core/io/log_io.ts) writes them.
 */
import type { FlagTable } from "./flags.ts";

/** Levels from the gravest on: OpenSIPS's L_ALERT … L_DBG. */
export const LOG_LEVELS = ["alert", "crit", "err", "warn", "notice", "info", "dbg"] as const;
/** One of {@linkcode LOG_LEVELS}. */
export type LogLevel = (typeof LOG_LEVELS)[number];
/** How entries are written. */
export const LOG_FORMATS = ["text", "json"] as const;
/** One of {@linkcode LOG_FORMATS}. */
export type LogFormat = (typeof LOG_FORMATS)[number];

/** Facts of an entry, by name in snake_case. Never a secret. */
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

/** What an entry is besides its message. */
export interface LogDetails {
  /** Default notice. */
  readonly level?: LogLevel;
  /** What has happened, one word in snake_case that does not change, for filters and alerts. Default "message". */
  readonly event?: string;
  /** The facts of the message once more, for machines. */
  readonly fields?: LogFields;
}

/** Writes an entry; the message is a whole sentence for a human, on one line. */
export type Log = (message: string, details?: LogDetails) => void;

/** An entry to be written. */
export interface LogEntry extends Required<LogDetails> {
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly program: string;
  readonly message: string;
}

/** Flags of every program that writes a log. */
export const LOG_FLAGS = {
  log_format: {
    type: "choice",
    choices: LOG_FORMATS,
    default: "text",
    help: "log lines for people, or one JSON object per line",
  },
  log_level: {
    type: "choice",
    choices: LOG_LEVELS,
    default: "notice",
    help: "what is logged: this and what is graver",
  },
} as const satisfies FlagTable;

/** A message longer than this is cut, in UTF-16 units. */
const MAX_MESSAGE = 4096;
/** What could end a line, move a terminal's cursor, or turn the order of characters round. */
// deno-lint-ignore no-control-regex
const UNSAFE = /[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]|\p{Surrogate}/gu;
const SHORT: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

function escape(character: string): string {
  return SHORT[character] ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/**
 * A text on one line: control characters, those that turn the direction of text, and lone surrogates are escaped as in
 * JSON, so that no name from the network can end a line or forge one.
 *
 * @example
 * ```ts
 * import { logSafe } from "../../mod.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(logSafe("eve\n2026-11-25 root logged in"), "eve\\n2026-11-25 root logged in");
 * ```
 */
export function logSafe(text: string): string {
  const cut = text.length > MAX_MESSAGE ? text.slice(0, MAX_MESSAGE) + "…" : text;
  return cut.replace(UNSAFE, escape);
}

/** One line without its end: time, level, event, program, message. */
export function formatLogText({ time, level, event, program, message }: LogEntry): string {
  return `${new Date(time).toISOString()} ${level.toUpperCase()} ${event} ${program}: ${logSafe(message)}`;
}

/** One JSON object on one line without its end: time, level, program, event, message, then the fields. */
export function formatLogJson({ time, level, event, program, message, fields }: LogEntry): string {
  const own = { time: new Date(time).toISOString(), level, program, event, message };
  // A field cannot take the place of these, and they stand first.
  return JSON.stringify({ ...own, ...fields, ...own }).replace(UNSAFE, escape);
}

/** Entries of one event within one window that are written; the rest is counted. */
const WINDOW_ENTRIES = 20;
/** Length of a window, milliseconds. */
const WINDOW = 10_000;

interface Window {
  readonly end: number;
  entries: number;
  leftOut: number;
  level: LogLevel;
}

/** How many entries of an event were left out. */
export interface LeftOut {
  readonly event: string;
  readonly level: LogLevel;
  readonly count: number;
}

/**
 * Keeps a flood of the same event out of the log: of each, 20 entries are admitted in 10 s, and of the rest the number.
 * Events are words of the program, so there are only so many windows. Times are milliseconds of any clock.
 */
export class LogLimiter {
  readonly #windows = new Map<string, Window>();

  /** Whether an entry is to be written. Call {@linkcode ended} before, so that its window is a current one. */
  admit(event: string, level: LogLevel, time: number): boolean {
    let window = this.#windows.get(event);
    if (window === undefined) {
      window = { end: time + WINDOW, entries: 0, leftOut: 0, level };
      this.#windows.set(event, window);
    }
    window.level = level;
    if (window.entries < WINDOW_ENTRIES) {
      window.entries++;
      return true;
    }
    window.leftOut++;
    return false;
  }

  /** Closes the windows that have ended: what was left out in them. `Infinity` closes all. */
  ended(time: number): LeftOut[] {
    const found: LeftOut[] = [];
    for (const [event, { end, leftOut, level }] of this.#windows) {
      if (end > time) continue;
      this.#windows.delete(event);
      if (leftOut > 0) found.push({ event, level, count: leftOut });
    }
    return found;
  }

  /** When the first window ends in which something was left out; Infinity: there is none. */
  get due(): number {
    let due = Infinity;
    for (const { end, leftOut } of this.#windows.values()) if (leftOut > 0) due = Math.min(due, end);
    return due;
  }
}

/** The message that stands for entries that were left out. */
export function leftOutMessage({ event, count }: LeftOut): string {
  return `${count} more of the event ${event} left out`;
}
