/** The files that a run reads: scenarios, injection files, and what scenarios put into messages. */
import { InjectionFile, InjectionFiles } from "./injection.ts";
import { lint } from "./lint.ts";
import { findingText } from "./program.ts";
import { readScenario } from "./read_scenario.ts";
import { type Scenario, ScenarioError } from "./scenario.ts";

/** Files for `[file]` that are kept, and how large one may be, bytes. */
const MAX_FILES = 256;
const MAX_FILE_BYTES = 65_535;

/** @throws {Error} one line */
export function readBytes(file: string): Uint8Array {
  try {
    return Deno.readFileSync(file);
  } catch (error) {
    throw new Error(`${file} cannot be read: ${(error as Error).message.split("\n")[0]}`);
  }
}

/** A text in UTF-8, or in ISO 8859-1 where it is not. */
export function readText(file: string): string {
  const bytes = readBytes(file);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return new TextDecoder("iso-8859-1").decode(bytes);
  }
}

/**
 * Reads a scenario that has to be right.
 *
 * @throws {ScenarioError} the first error, with its place
 */
export function loadScenario(text: string, file: string): Scenario {
  const { scenario, findings } = readScenario(text, file.slice(file.lastIndexOf("/") + 1));
  if (scenario !== undefined) return scenario;
  const error = findings.find(({ severity }) => severity === "error")!;
  throw new ScenarioError(findingText(file, error));
}

/**
 * Checks scenarios; a line for each finding.
 *
 * @param keys keywords of `-key`
 * @returns whether there was no error
 */
export function lintFiles(
  files: readonly string[],
  keys: Readonly<Record<string, string>>,
  print: (line: string) => void,
): boolean {
  let good = true;
  for (const file of files) {
    const findings = lint(readText(file), file.slice(file.lastIndexOf("/") + 1), keys);
    for (const finding of findings) print(findingText(file, finding));
    if (findings.some(({ severity }) => severity === "error")) good = false;
    else if (findings.length === 0) print(`${file}: no findings`);
  }
  return good;
}

/** Reads injection files, and makes the indices that were asked for. */
export function loadInjectionFiles(
  paths: readonly string[],
  indices: readonly { readonly file: string; readonly field: number }[],
): InjectionFiles {
  const files = new InjectionFiles(paths.map((path) => new InjectionFile(readBytes(path), path)));
  for (const { file, field } of indices) {
    const place = files.find(file);
    if (place < 0) throw new Error(`-infindex ${file}: no -inf names this file`);
    files.files[place].index(field);
  }
  return files;
}

/**
 * What `[file name=]` reads: files in these folders, and nothing that leads out of them.
 *
 * @throws {Error} (the function that is returned) one line
 */
export function fileReader(folders: readonly string[]): (name: string) => Uint8Array {
  const kept = new Map<string, Uint8Array>();
  const roots = folders.map((folder) => {
    try {
      return Deno.realPathSync(folder);
    } catch {
      throw new Error(`--file_dir: ${folder} is no folder`);
    }
  });
  return (name) => {
    const known = kept.get(name);
    if (known !== undefined) return known;
    if (roots.length === 0) throw new Error(`${name} may not be read: --file_dir allows folders`);
    for (const root of roots) {
      let path: string;
      try {
        path = Deno.realPathSync(name.startsWith("/") ? name : `${root}/${name}`);
      } catch {
        continue;
      }
      if (!path.startsWith(root === "/" ? root : `${root}/`)) continue;
      const info = Deno.statSync(path);
      if (!info.isFile) continue;
      if (info.size > MAX_FILE_BYTES) throw new Error(`${name} has more than ${MAX_FILE_BYTES} bytes`);
      const bytes = readBytes(path);
      if (kept.size < MAX_FILES) kept.set(name, bytes);
      return bytes;
    }
    throw new Error(`${name} is not in a folder of --file_dir`);
  };
}
