/** `deno task vectors FILE`: checks a file of test vectors, in the form of pc.json beside this file, against the core. */
import { checkVector, loadHashBackend } from "../../mod.ts";

/** One line on standard error, and the exit code of a failure. */
function fail(line: string): never {
  console.error(`vectors: ${line}`);
  Deno.exit(1);
}

/** The vectors of a file: a non-empty array of objects. */
function readVectors(path: string): Record<string, unknown>[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(Deno.readTextFileSync(path));
  } catch (error) {
    fail(`${path}: ${error instanceof Error ? error.message.split("\n")[0] : error}`);
  }
  if (!Array.isArray(parsed) || parsed.length === 0) {
    fail(`${path}: an array of vectors is needed, as in tests/vectors/pc.json`);
  }
  parsed.forEach((vector, i) => {
    if (typeof vector !== "object" || vector === null || Array.isArray(vector)) {
      fail(`${path}: vector ${i} is not an object`);
    }
  });
  return parsed;
}

if (import.meta.main) {
  const [path, ...rest] = Deno.args;
  if (path === undefined || path.startsWith("-") || rest.length > 0) {
    console.error("usage: deno task vectors FILE   (a JSON array in the form of tests/vectors/pc.json)");
    Deno.exit(path === "--help" ? 0 : 2);
  }
  const { backend } = await loadHashBackend();
  let agreed = 0;
  const vectors = readVectors(path);
  vectors.forEach((vector, i) => {
    const differences = checkVector(backend, vector);
    if (differences.length === 0) agreed++;
    for (const { field, stated, computed } of differences) {
      console.log(`vector ${i}: ${field}: the file says ${stated}, the core ${computed}`);
    }
  });
  console.log(`${agreed} vectors agree`);
  if (agreed < vectors.length) Deno.exit(1);
}
