/** Files that are there whole or not at all. */
import { firstLine } from "../mod.ts";
import { StoreError } from "./subscriber.ts";

/** Bytes that are collected before they are written. */
const PIECE = 1 << 16;

/**
 * Makes a file for its owner alone (mode 600): under a temporary name beside `path`, which then takes its name. After a
 * failure nothing of it is left.
 *
 * @param replace whether a file that is there is replaced; else that is an error
 * @param fill is given a function that adds text
 * @throws {StoreError} (rejects) when it cannot be written, and what `fill` throws
 */
export async function newFile(
  path: string,
  replace: boolean,
  fill: (write: (text: string) => Promise<void> | void) => Promise<void>,
): Promise<void> {
  const there = new StoreError(`${path} exists already (--replace overwrites)`);
  const temporary = `${path}.${crypto.randomUUID().slice(0, 8)}.tmp`;
  let file: Deno.FsFile | undefined;
  try {
    if (!replace && await Deno.lstat(path).then(() => true, () => false)) throw there;
    file = await Deno.open(temporary, { write: true, createNew: true, mode: 0o600 });
    let text = "";
    const flush = () => {
      const bytes = new TextEncoder().encode(text);
      text = "";
      for (let at = 0; at < bytes.length;) at += file!.writeSync(bytes.subarray(at));
    };
    await fill((more) => {
      text += more;
      if (text.length > PIECE) flush();
    });
    flush();
    await file.syncData();
    if (replace) await Deno.rename(temporary, path);
    else await Deno.link(temporary, path);
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) throw there;
    const isOfFile = error instanceof Error && ("code" in error || error.name in Deno.errors);
    throw isOfFile && !(error instanceof StoreError)
      ? new StoreError(`cannot write ${path}: ${firstLine(error)}`)
      : error;
  } finally {
    file?.close();
    await Deno.remove(temporary).catch(() => {});
  }
}
