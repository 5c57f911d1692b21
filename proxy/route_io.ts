/** Loads the routing function of `--route`. */
import { Fatal } from "./fatal.ts";
import type { RouteFunction } from "./route.ts";

/**
 * A file's text.
 *
 * @param what the flag that names it
 * @throws {Fatal} with one line that says why not
 */
export function readText(path: string, what: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    const reason = error instanceof Deno.errors.NotFound
      ? "no such file"
      : (error as Error).message.split("\n")[0];
    throw new Fatal(`${what} ${path}: ${reason}`);
  }
}

/**
 * Loads the module of `--route`.
 *
 * @param version another one for each time that the file is read again; the modules that it imports are not
 * @throws {Fatal} (rejects) with one line
 */
export async function loadRoute(path: string, version = 0): Promise<RouteFunction> {
  readText(path, "--route");
  const url = new URL(path, `file://${Deno.cwd()}/`);
  if (version > 0) url.searchParams.set("version", String(version));
  let module: { default?: unknown };
  try {
    module = await import(url.href);
  } catch (error) {
    throw new Fatal(`--route ${path}: ${(error as Error).message.split("\n")[0]}`);
  }
  if (typeof module.default !== "function") {
    throw new Fatal(`--route ${path}: its default export is not a function (request, proxy) => …`);
  }
  return module.default as RouteFunction;
}
