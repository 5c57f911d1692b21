/** Runs a property over many seeds. SIM_SEED=n in the environment repeats one; SIM_TIMES=k takes k times as many. */

/**
 * Runs `body` with seeds 1 … count as a test.
 *
 * @throws {Error} that begins with the seed at fault
 */
export function property(name: string, count: number, body: (seed: number) => void | Promise<void>): void {
  Deno.test(name, async () => {
    const only = Deno.env.get("SIM_SEED");
    const seeds = Array.from({ length: count * Number(Deno.env.get("SIM_TIMES") ?? 1) }, (_, i) => i + 1);
    for (const seed of only === undefined ? seeds : [Number(only)]) {
      try {
        await body(seed);
      } catch (error) {
        const text = error instanceof Error ? error.message : String(error);
        throw new Error(`SIM_SEED=${seed}: ${text}`, { cause: error });
      }
    }
  });
}
