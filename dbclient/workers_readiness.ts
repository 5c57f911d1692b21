/** Whether several worker processes together can serve. Without I/O. */
import { type Readiness, readiness } from "../mod.ts";

/** A worker and what it said last; undefined: it does not serve. */
export interface WorkerReadiness {
  readonly number: number;
  readonly readiness: Readiness | undefined;
}

/**
 * Ready when one worker is: the others' proxies come to it. Of the database what the workers say, the good word first.
 *
 * @example
 * ```ts
 * import { workersReadiness } from "./workers_readiness.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const well = { ready: true, checks: [{ name: "database", ok: true }] };
 * const { ready, checks } = workersReadiness([{ number: 1, readiness: well }, { number: 2, readiness: undefined }]);
 * assertEquals([ready, checks[0].detail], [true, "1 of 2 serve"]);
 * ```
 */
export function workersReadiness(workers: readonly WorkerReadiness[]): Readiness {
  const parts = workers.map(({ number, readiness }) => ({
    name: String(number),
    ok: readiness?.ready === true,
    detail: readiness === undefined ? "does not serve" : readiness.ready ? undefined : "is not ready",
  }));
  const serving = workers.filter(({ readiness }) => readiness !== undefined);
  const databases = serving.flatMap(({ readiness }) =>
    readiness!.checks.filter(({ name }) => name === "database")
  );
  const database = databases.find(({ ok }) => ok) ?? databases[0];
  return readiness([
    {
      name: "workers",
      ok: parts.some(({ ok }) => ok),
      detail: `${serving.length} of ${workers.length} serve`,
      parts,
    },
    ...(database === undefined ? [] : [database]),
  ]);
}
