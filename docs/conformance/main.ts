/** Runs the tests and writes docs/CONFORMANCE.md. Entry of `deno task conformance`. */
import { fileURLToPath } from "node:url";
import { conformanceDocument, UNTESTED } from "./document.ts";
import { CONFORMANCE } from "./items.ts";
import { readJunit, writtenTests } from "./tests.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const FOLDERS = ["core", "proxy", "tests"];

function* testFiles(folder: string): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(`${ROOT}${folder}`)) {
    const path = `${folder}/${name}`;
    if (isDirectory) yield* testFiles(path);
    else if (name.endsWith("_test.ts")) yield path;
  }
}

/** The files that have a test which an item names. */
function filesNamed(): string[] {
  const starts = CONFORMANCE.flatMap(({ items }) => items.flatMap(({ tests }) => tests));
  return FOLDERS.flatMap((folder) => [...testFiles(folder)]).filter((file) =>
    writtenTests(file, Deno.readTextFileSync(`${ROOT}${file}`)).some(({ name }) => {
      // A name with parts that are put in later fits too much: its file is run, and the names are compared afterwards.
      const source = name.source.replaceAll("\\", "").slice(1);
      const known = source.split(".*")[0].replace(/\$$/, "");
      return starts.some((start) => start.startsWith(known) || known.startsWith(start));
    })
  ).toSorted();
}

async function main(): Promise<number> {
  if (Deno.args.length > 0) {
    console.error(`conformance: unexpected argument ${JSON.stringify(Deno.args[0])}; it takes none`);
    return 2;
  }
  const junit = await Deno.makeTempFile({ suffix: ".xml" });
  try {
    const { code } = await new Deno.Command(Deno.execPath(), {
      args: ["test", "-A", "--quiet", `--junit-path=${junit}`, ...filesNamed()],
      cwd: ROOT,
      stdout: "null",
      stderr: "inherit",
    }).output();
    const text = conformanceDocument(readJunit(await Deno.readTextFile(junit)));
    await Deno.writeTextFile(`${ROOT}docs/CONFORMANCE.md`, text);
    console.log(/^\d+ items.*$/m.exec(text)?.[0]);
    for (const line of text.split("\n").filter((line) => / \| (fails|no test) \|$/.test(line))) {
      console.log(line);
    }
    return code === 0 && !text.includes(`| ${UNTESTED} |`) ? 0 : 1;
  } finally {
    await Deno.remove(junit);
  }
}

if (import.meta.main) Deno.exit(await main());
