/** What keys, private keys and passwords in files have in common. */

/** Group and others. */
const MODE_OF_OTHERS = 0o077;

/**
 * A line of warning when others than its owner have any right to a file with a secret; undefined where all is well, or
 * where nothing can be said.
 *
 * @param flag that names it
 */
export function accessWarning(flag: string, path: string): string | undefined {
  let info: Deno.FileInfo;
  try {
    info = Deno.statSync(path);
  } catch {
    return undefined; // Who reads it says what is wrong.
  }
  const { mode, isFile } = info;
  if (!isFile || mode === null || (mode & MODE_OF_OTHERS) === 0) return undefined;
  const shown = (mode & 0o777).toString(8);
  return `warning: ${flag}: ${path} may be read or changed by others (mode ${shown}); it takes chmod 600`;
}
