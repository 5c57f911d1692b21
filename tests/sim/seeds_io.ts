/** Runs a property over many seeds; SIM_SEED=n in the environment repeats one. */

/**
 * Runs `body` with seeds 1 … count as a test.
 *
 * @throws {Error} that begins with the seed at fault
 */
export function property(name: string, count: number, body: (seed: number) => void | Promise<void>): void {
  Deno.test(name, async () => {
    const only = Deno.env.get("SIM_SEED");
    const seeds = only === undefined ? Array.from({ length: count }, (_, i) => i + 1) : [Number(only)];
    for (const seed of seeds) {
      try {
        await body(seed);
      } catch (error) {
        const text = error instanceof Error ? error.message : String(error);
        throw new Error(`SIM_SEED=${seed}: ${text}`, { cause: error });
      }
    }
  });
}
