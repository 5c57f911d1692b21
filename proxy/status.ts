/** What a proxy says of itself beside its counters, and what follows: whether it is ready, and the text of `proxy status`. */
import { type DbclientState, type Readiness, readiness, type ReadinessCheck } from "../mod.ts";
import type { DestinationState } from "./dispatcher/dispatcher.ts";

/** One destination of the dispatcher. */
export interface TargetState {
  readonly set: number;
  readonly uri: string;
  readonly state: DestinationState;
}

/** What one thread knows of others. Plain data. */
export interface ThreadState {
  readonly dbclients: readonly DbclientState[];
  readonly targets: readonly TargetState[];
}

/** A thread that serves, as the one that started it knows it. */
export interface WorkerState extends ThreadState {
  /** 1, 2, …: a worker that is started in the place of another has its number. */
  readonly number: number;
  readonly serving: boolean;
  /** Since when it serves, seconds since 1970; 0 while it does not. */
  readonly since: number;
  readonly counts: Readonly<Record<string, number>>;
}

/** A proxy as a whole. */
export interface ProxyState {
  /** Addresses listened on, as text. */
  readonly listening: readonly string[];
  /** Whether it is about to end. */
  readonly draining: boolean;
  /** The workers; the proxy itself when it has none. */
  readonly workers: readonly WorkerState[];
}

/** What `/status` tells. */
export interface ProxyStatus {
  readonly version: string;
  /** s */
  readonly uptime: number;
  readonly state: ProxyState;
  /** Of all workers together, with those that are gone. */
  readonly counts: Readonly<Record<string, number>>;
}

/** How many of the threads say yes. */
const countOf = <T>(all: readonly T[], test: (one: T) => boolean) => all.filter(test).length;

/** DBclients with the number of workers that have a link to each. */
function dbclientsOf(workers: readonly WorkerState[]): { name: string; links: number; reason?: string }[] {
  const found = new Map<string, { name: string; links: number; reason?: string }>();
  for (const { dbclients } of workers) {
    for (const { name, up, reason } of dbclients) {
      const known = found.get(name);
      if (known === undefined) found.set(name, { name, links: Number(up), reason });
      else {
        known.links += Number(up);
        known.reason ??= reason;
      }
    }
  }
  return [...found.values()];
}

/** Each destination once: where the threads differ, as one sees it that does not use it. */
export function targetsOf(workers: readonly ThreadState[]): TargetState[] {
  const found = new Map<string, TargetState>();
  for (const { targets } of workers) {
    for (const target of targets) {
      const key = `${target.set} ${target.uri}`;
      if ((found.get(key)?.state ?? "active") === "active") found.set(key, target);
    }
  }
  return [...found.values()];
}

/**
 * Whether requests can be sent here: it listens, every worker serves, and each has a DBclient to ask.
 *
 * @param needsDbclient whether anybody is authenticated
 */
export function proxyReadiness(state: ProxyState, needsDbclient: boolean): Readiness {
  const { listening, draining, workers } = state;
  const serving = workers.filter(({ serving }) => serving);
  const checks: ReadinessCheck[] = [
    {
      name: "listening",
      ok: !draining && listening.length > 0,
      detail: draining ? "it is ending" : listening.join(", "),
    },
    {
      name: "workers",
      // The system goes on giving the others their share of the senders: those of a worker that is gone wait.
      ok: serving.length === workers.length,
      detail: `${serving.length} of ${workers.length} serve`,
    },
  ];
  if (needsDbclient) {
    const linked = countOf(serving, ({ dbclients }) => dbclients.some(({ up }) => up));
    checks.push({
      name: "dbclient",
      ok: linked > 0 && linked === serving.length,
      detail: `${linked} of ${serving.length} ${serving.length === 1 ? "has" : "have"} a link`,
      parts: dbclientsOf(serving).map(({ name, links, reason }) =>
        links > 0 ? { name, ok: true } : { name, ok: false, detail: reason }
      ),
    });
  }
  return readiness(checks);
}

const UNITS: readonly [seconds: number, unit: string][] = [[86_400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

function duration(seconds: number): string {
  const [size, unit] = UNITS.find(([size]) => seconds >= size) ?? UNITS[3];
  return `${Math.floor(seconds / size)} ${unit}`;
}

/** What `proxy status` prints: one thing a line, its name first. */
export function statusText({ version, uptime, state, counts }: ProxyStatus): string {
  const { listening, draining, workers } = state;
  const of = (name: string) => counts[name] ?? 0;
  const lines: [string, string][] = [
    ["proxy", `${version}, up for ${duration(uptime)}${draining ? ", ending" : ""}`],
    ["listening", listening.join(", ")],
    ["users cached", `${of("users")}, verified ${of("usersVerified")}`],
    [
      "tokens left",
      `${of("tokens_left")}; users with few left ${of("users_low")}, with none ${of("users_without_tokens")}`,
    ],
    [
      "transactions",
      `${of("transactions")}: INVITE ${of("transactions_invite_server")} in, ${
        of("transactions_invite_client")
      } out; others ${of("transactions_non_invite_server")} in, ${of("transactions_non_invite_client")} out`,
    ],
    ["connections", `${of("connections_tcp")} TCP, ${of("connections_tls")} TLS`],
    ["messages", `${of("received")} received, ${of("forwarded")} forwarded`],
    ["refused", `${of("refused") + of("malformed")}; challenged ${of("challenged")}`],
  ];
  if (counts.contacts !== undefined) {
    lines.push(["contacts", `${of("contacts")} of ${of("aors")} users`]);
  }
  for (const { name, links, reason } of dbclientsOf(workers)) {
    const more = links === 0 && reason !== undefined ? `: ${reason}` : "";
    lines.push([
      `dbclient ${name}`,
      `${links > 0 ? "up" : "down"}, ${links} of ${workers.length} linked${more}`,
    ]);
  }
  for (const { set, uri, state } of targetsOf(workers)) lines.push([`target ${uri}`, `set ${set}, ${state}`]);
  if (of("next_hops_down") > 0) lines.push(["next hops down", String(of("next_hops_down"))]);
  if (workers.length > 1) {
    for (const { number, serving, counts } of workers) {
      const has = `${counts.received ?? 0} received, ${counts.transactions ?? 0} transactions`;
      lines.push([`worker ${number}`, serving ? has : "does not serve"]);
    }
  }
  const width = Math.max(...lines.map(([name]) => name.length)) + 2;
  return lines.map(([name, text]) => name.padEnd(width) + text).join("\n");
}
