/** Builds the kernel and writes it beside its source: `deno task build:kernel`. */
import { buildKernel, MODULE } from "./build.ts";

const here = new URL("./", import.meta.url);

/** A file of `assembly/`, or null. */
export function readAssembly(name: string): string | null {
  try {
    return Deno.readTextFileSync(new URL(`assembly/${name}`, here));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

if (import.meta.main) {
  const module = await buildKernel(readAssembly);
  Deno.writeFileSync(new URL(MODULE, here), module);
  console.log(`${MODULE}: ${module.length} bytes`);
}
