/** Whether DBclient can serve: what `/readyz` says. */
import { firstLine, now, type Readiness, readiness, type ReadinessCheck } from "../mod.ts";
import type { SubscriberStore } from "./subscriber.ts";

/** How long an answer of the database is good for, ms: however many ask, it is asked no more often. */
const GOOD_FOR = 1_000;
/** Milliseconds for the database to answer. */
const TIMEOUT = 2_000;
/** A name that nobody has: control characters are allowed in no user name. */
const NOBODY = { username: "\u0001", realm: "\u0001" };

/** Asks the store for a user that cannot exist: one look-up in its index. */
async function askStore(store: SubscriberStore): Promise<ReadinessCheck> {
  const nodes = store.nodes?.().map(({ name, rank, why }): ReadinessCheck =>
    rank === "good" ? { name, ok: true } : { name, ok: false, detail: why || rank }
  );
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${TIMEOUT} ms`)), TIMEOUT);
  });
  try {
    await Promise.race([store.lookup([NOBODY], "ha1"), late]);
    return { name: "database", ok: true, detail: store.name, parts: nodes };
  } catch (error) {
    return { name: "database", ok: false, detail: firstLine(error), parts: nodes };
  } finally {
    clearTimeout(timer);
  }
}

/** The check of a store; its answer is kept for a second, and asked for once at a time. */
export function databaseCheck(store: SubscriberStore): () => Promise<ReadinessCheck> {
  let asked: Promise<ReadinessCheck> | undefined;
  let until = -Infinity;
  return () => {
    if (asked === undefined || now() >= until) {
      until = Infinity;
      asked = askStore(store).finally(() => until = now() + GOOD_FOR);
    }
    return asked;
  };
}

/** What a serving process depends on. */
export interface ServingState {
  /** Whether it accepts proxies; false when it is ending. */
  readonly listening: boolean;
  readonly connected: number;
}

/** Whether one process that serves proxies is ready. */
export async function processReadiness(
  state: ServingState,
  database: () => Promise<ReadinessCheck>,
): Promise<Readiness> {
  return readiness([
    { name: "listening", ok: state.listening, detail: `${state.connected} proxies connected` },
    await database(),
  ]);
}
