/** Writes the counters to a file, whole or not at all. */
import type { Counters } from "./counters.ts";

/** Writes to a temporary name beside the file and renames it, so that a reader never sees half of it. */
export function writeStats(path: string, counters: Counters): void {
  const temporary = `${path}.${Deno.pid}.tmp`;
  Deno.writeTextFileSync(temporary, JSON.stringify(counters) + "\n");
  Deno.renameSync(temporary, path);
}
