/** Builds the kernel and writes what was built beside its source: `deno task build:kernel`. */
import { buildKernel } from "./build.ts";

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
  for (const [path, contents] of Object.entries(await buildKernel(readAssembly))) {
    const data = typeof contents === "string" ? new TextEncoder().encode(contents) : contents;
    Deno.writeFileSync(new URL(path, here), data);
    console.log(`${path}: ${data.length} bytes`);
  }
}
