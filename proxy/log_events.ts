/** The proxy's events as log entries: how grave each is, and its sentence for a human. */
import type { LogDetails, LogLevel } from "../mod.ts";

/** Facts of an event, without secrets. */
export type EventFields = Readonly<Record<string, string | number>>;

/** By event its level and its sentence; `{name}` stands for a field. */
export const LOG_EVENTS: Readonly<Record<string, readonly [level: LogLevel, sentence: string]>> = {
  dbclient_connected: ["notice", "DBclient is connected again: {text}"],
  dbclient_lost: [
    "warn",
    "no DBclient is connected, serving on with the credentials that are cached: {text}",
  ],
  dbclient_down: ["warn", "DBclient {dbclient} is down: {reason}"],
  dbclient_up: ["notice", "DBclient {dbclient} is up again"],
  credentials_flushed: [
    "notice",
    "DBclient has withdrawn all credentials, of {users} users; serial {serial}",
  ],
  next_hop_down: ["warn", "next hop {next_hop} is left aside until it answers"],
  next_hop_up: ["notice", "next hop {next_hop} answers again"],
  next_hop_unknown: ["warn", "next hop {host} cannot be looked up: {error}"],
  dispatcher: ["warn", "destination {destination} of set {set} is {state} now"],
  connection_refused: ["warn", "a connection of {from} was refused: {reason}"],
  connection_cut: ["warn", "the connection with {peer} was cut: {reason}"],
  connect_failed: ["warn", "no connection to {to}: {error}"],
  socket_error: ["err", "{error}"],
  location_loaded: [
    "notice",
    "{contacts} contacts of {users} users loaded from {from}, {skipped} rows left out",
  ],
  location_db_failed: ["err", "contacts cannot be stored now, trying again: {error}"],
  location_db_works: ["notice", "contacts are stored again: {name}"],
  location_row_refused: ["warn", "the contacts of {user} cannot be stored: {error}"],
  location_lost: ["err", "{name}: the contacts of {users} users could not be stored before the end"],
  route_failed: ["err", "the route failed on a request of method {method}: {error}"],
  worker_crashed: ["err", "worker {worker} has crashed, another begins in {replaced_in_ms} ms: {reason}"],
  worker_replaced: ["notice", "worker {worker} serves again"],
  not_reloaded: ["err", "not reloaded, serving on as before: {reason}"],
  internal_error: ["crit", "a fault of the proxy's own, please report it: {error}"],
};

/**
 * An event as a log entry. One that the table does not have is a notice that lists its fields.
 *
 * @example
 * ```ts
 * import { logEntry } from "./log_events.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const [message, { level }] = logEntry("next_hop_up", { next_hop: "udp:192.0.2.1:5060", worker: 2 });
 * assertEquals([message, level], ["next hop udp:192.0.2.1:5060 answers again (worker 2)", "notice"]);
 * ```
 */
export function logEntry(event: string, fields: EventFields): [message: string, details: LogDetails] {
  const [level, sentence] = Object.hasOwn(LOG_EVENTS, event) ? LOG_EVENTS[event] : ["notice", ""] as const;
  let message = sentence === ""
    ? listOf(event, fields)
    : sentence.replace(/\{(\w+)\}/g, (_, name) => String(fields[name] ?? ""));
  if (fields.worker !== undefined && !sentence.includes("{worker}")) message += ` (worker ${fields.worker})`;
  if (fields.left_out !== undefined) message += ` (and ${fields.left_out} more)`;
  return [message, { level, event, fields }];
}

/** Values are quoted: no text from outside can pass for another field. */
function listOf(event: string, fields: EventFields): string {
  const listed = Object.entries(fields).filter(([name]) => name !== "worker" && name !== "left_out");
  return [event, ...listed.map(([name, value]) => `${name}=${JSON.stringify(value)}`)].join(" ");
}
