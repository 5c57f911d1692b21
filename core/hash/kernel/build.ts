/** Builds the kernel in memory: from the generator and the AssemblyScript files beside it to WebAssembly modules. */
import asc from "assemblyscript/asc";
import { writeRounds } from "./generator/rounds.ts";

/** Options of the compiler for one module each: the second for engines without vectors. */
const MODULES = {
  "lanes_simd.wasm": ["--enable", "simd"],
  "lanes_scalar.wasm": ["--disable", "simd"],
} as const;
const OPTIONS = ["-O3", "--runtime", "stub", "--noAssert", "--use", "abort=", "--initialMemory", "8"];

/** Files by path from this folder. */
export type BuiltFiles = Readonly<Record<string, string | Uint8Array>>;

/**
 * Generates and compiles.
 *
 * @param read gives a file of `assembly/` by name, or null if there is none
 * @throws {Error} with the compiler's messages
 */
export async function buildKernel(read: (name: string) => string | null): Promise<BuiltFiles> {
  const rounds: Readonly<Record<string, string>> = writeRounds();
  const built: Record<string, string | Uint8Array> = {};
  for (const [name, text] of Object.entries(rounds)) built[`assembly/${name}`] = text;
  for (const [module, options] of Object.entries(MODULES)) {
    const { error, stderr } = await asc.main(["kernel.ts", ...OPTIONS, ...options, "--outFile", module], {
      readFile: (name) => rounds[name] ?? read(name),
      writeFile: (name, contents) => void (built[name] = contents),
      listFiles: () => [],
    });
    if (error) throw new Error(`${module}: ${error.message}\n${stderr.toString()}`);
  }
  return built;
}
