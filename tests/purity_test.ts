/**
 * The layering rules of docs/ARCHITECTURE.md, checked on the sources: only `*_io.ts` and `main.ts` touch the outside
 * world, programs reach the core through mod.ts alone and never each other, and the core knows no program.
 */
import { assert, assertEquals } from "@std/assert";
import { relative } from "node:path";

const ROOT = new URL("../", import.meta.url).pathname;
const PROGRAMS = ["proxy", "dbclient", "uac"];

/** What only I/O files may name: sockets and files, clocks, randomness, the console, drivers. */
const OUTSIDE =
  /\bDeno\.|\bconsole\.|\bperformance\.now|\bDate\.now|\bnew Date\(\)|\bset(Timeout|Interval|Immediate)\(|\bgetRandomValues|\bMath\.random|\b(?:await|return|=) fetch\(|\bprocess\.|from "(node:(?!path)[a-z]+|mariadb|mysql2)/;

function sources(folder: string): string[] {
  const found: string[] = [];
  for (const entry of Deno.readDirSync(`${ROOT}${folder}`)) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) found.push(...sources(path));
    else if (path.endsWith(".ts")) found.push(path);
  }
  return found;
}

const text = (path: string) => Deno.readTextFileSync(`${ROOT}${path}`);
const isTest = (path: string) =>
  /(_test|_contract|contract|testing|_testing|test_\w+|contract_vectors)\.ts$/.test(path);
const isIo = (path: string) => path.endsWith("_io.ts") || path.endsWith("/main.ts");

/** Code without comments and strings' contents, so that a docstring may speak of Deno. */
function code(path: string): string {
  return text(path).replace(/\/\*[\s\S]*?\*\//g, "").replace(/(^|\s)\/\/.*$/gm, "");
}

const product = ["core", ...PROGRAMS].flatMap(sources).filter((path) => !isTest(path));

/** Imports of a file: the module as a path from the root, and the names taken as values. */
function imports(path: string): { module: string; values: string[] }[] {
  const found: { module: string; values: string[] }[] = [];
  for (const match of code(path).matchAll(/(?:import|export)\s+(type\s+)?([^;"']*?)from\s+"(\.[^"]+)"/g)) {
    const module = relative(ROOT, new URL(match[3], `file://${ROOT}${path}`).pathname);
    const names = /\{([^}]*)\}/.exec(match[2])?.[1].split(",").map((name) => name.trim()) ?? [];
    const values = match[1] === undefined
      ? names.filter((name) => name !== "" && !name.startsWith("type "))
      : [];
    found.push({ module, values: values.map((name) => name.split(" as ")[0]) });
  }
  return found;
}

Deno.test("only *_io.ts and main.ts touch sockets, files, clocks, randomness and the console", () => {
  const breaches = product.filter((path) => !isIo(path)).flatMap((path) => {
    const match = OUTSIDE.exec(code(path));
    return match === null ? [] : [`${path}: ${match[0]}`];
  });
  assertEquals(breaches, []);
});

Deno.test("pure files take no value from an I/O file, directly or through mod.ts", () => {
  const ioNames = new Set<string>();
  for (const path of product.filter((path) => path.startsWith("core/") && isIo(path))) {
    for (const match of code(path).matchAll(/export (?:async )?(?:function|class|const) (\w+)/g)) {
      ioNames.add(match[1]);
    }
  }
  assert(ioNames.has("openDatagramSocket"));
  const breaches: string[] = [];
  for (const path of product.filter((path) => !isIo(path) && !path.endsWith("/mod.ts"))) {
    for (const { module, values } of imports(path)) {
      const direct = isIo(`/${module}`) && values.length > 0;
      const named = values.filter((name) => ioNames.has(name) && (module === "mod.ts" || direct));
      if (direct || named.length > 0) breaches.push(`${path}: ${module} ${named.join(", ")}`);
    }
  }
  assertEquals(breaches, []);
});

Deno.test("programs import the core through mod.ts alone and never each other; the core imports no program", () => {
  const breaches: string[] = [];
  for (const path of ["core", ...PROGRAMS].flatMap(sources)) {
    const own = path.split("/")[0];
    for (const { module } of imports(path)) {
      const folder = module.split("/")[0];
      if (module !== "mod.ts" && folder !== own && !["types", "tests"].includes(folder)) {
        breaches.push(`${path} imports ${module}`);
      }
      if (own === "core" && module === "mod.ts" && !isTest(path)) {
        breaches.push(`${path} imports the root mod.ts`);
      }
    }
  }
  assertEquals(breaches, []);
});

Deno.test("mod.ts re-exports core/ and nothing else, and importing it does no I/O", () => {
  for (const { module } of imports("mod.ts")) assert(module.startsWith("core/"), module);
  const rest = code("mod.ts").replace(/export \* from "\.\/core\/[a-z/_]+\.ts";/g, "").trim();
  assertEquals(rest, "");
});
