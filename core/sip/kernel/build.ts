/** Builds the kernel in memory: from the AssemblyScript files beside it to a WebAssembly module. */
import asc from "assemblyscript/asc";

// The memory never grows: views of it, and what the system writes to, would be left behind.
const OPTIONS = [
  ...["-O3", "--enable", "simd", "--runtime", "stub", "--noAssert", "--use", "abort="],
  ...["--initialMemory", "320", "--maximumMemory", "320"],
];

/** The name of the module beside this file. */
export const MODULE = "scan_simd.wasm";

/**
 * Compiles.
 *
 * @param read gives a file of `assembly/` by name, or null if there is none
 * @throws {Error} with the compiler's messages
 */
export async function buildKernel(read: (name: string) => string | null): Promise<Uint8Array> {
  let built: string | Uint8Array = "";
  const { error, stderr } = await asc.main(["kernel.ts", ...OPTIONS, "--outFile", MODULE], {
    readFile: (name) => read(name),
    writeFile: (_name, contents) => void (built = contents),
    listFiles: () => [],
  });
  if (error) throw new Error(`${MODULE}: ${error.message}\n${stderr.toString()}`);
  return built as string | Uint8Array as Uint8Array;
}
