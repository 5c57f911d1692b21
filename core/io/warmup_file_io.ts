/** Warm-up files on disk (docs/PROTOCOL.md §10): read in one pass, written to a temporary name and renamed. */
import type { WarmupExpectation, WarmupHeader, WarmupRecord, WarmupSummary } from "../wire/warmup.ts";
import { WarmupReader } from "../wire/warmup_reader.ts";
import { WarmupWriter } from "../wire/warmup_writer.ts";
import { loadHmacSha256 } from "./hmac_io.ts";

const READ_BYTES = 1 << 20;
/** Group and others. */
const MODE_OF_OTHERS = 0o077;

/** The file's permissions let others than its owner in. */
export class WarmupPermissionError extends Error {
  override name = "WarmupPermissionError";
}

/** What a file is read for. */
export interface ReadWarmupOptions {
  /** Keys that it may have been written under. */
  readonly keys: readonly Uint8Array[];
  readonly expected: WarmupExpectation;
  /** Whether a file that others can read or write is read all the same. */
  readonly allowOthers?: boolean;
  /** Is given every record. Not to be used before the promise is fulfilled: the MAC is at the end. */
  onRecord(record: WarmupRecord, header: WarmupHeader): void;
}

/** A file that was read. */
export interface ReadWarmup extends WarmupSummary {
  /** Length in bytes. */
  readonly bytes: number;
  /** Whether others than the owner have any right to it. */
  readonly othersMayAccess: boolean;
}

/**
 * Reads a warm-up file.
 *
 * @throws {WarmupError} (rejects) when it cannot be used
 * @throws {WarmupPermissionError} (rejects) when others can read or change it
 * @throws {Deno.errors.NotFound} (rejects) and other errors of the file system
 */
export async function readWarmupFile(path: string, options: ReadWarmupOptions): Promise<ReadWarmup> {
  const hmac = await loadHmacSha256();
  using file = await Deno.open(path);
  // Asked of the open file, not of the name: the name may mean another file by then.
  const { mode } = await file.stat();
  const othersMayAccess = mode !== null && (mode & MODE_OF_OTHERS) !== 0;
  if (othersMayAccess && options.allowOthers !== true) {
    const shown = (mode! & 0o777).toString(8);
    throw new WarmupPermissionError(`others may read or change it (mode ${shown}); it takes chmod 600`);
  }
  const reader = new WarmupReader(options.keys.map(hmac), options.expected);
  const buffer = new Uint8Array(READ_BYTES);
  let bytes = 0;
  for (let count = file.readSync(buffer); count !== null; count = file.readSync(buffer)) {
    bytes += count;
    for (const record of reader.push(buffer.subarray(0, count))) {
      options.onRecord(record, reader.header!);
    }
  }
  return { ...reader.finish(), bytes, othersMayAccess };
}

/** What a file is written from. */
export interface WriteWarmupOptions {
  readonly key: Uint8Array;
  readonly header: WarmupHeader;
  /** Adds the records to the writer; calls {@linkcode WarmupOutput.flush} now and then. */
  fill(output: WarmupOutput): Promise<void>;
  /** Ends the writing early, with nothing left behind. */
  readonly signal?: AbortSignal;
}

/** The file while it is filled. */
export interface WarmupOutput {
  readonly writer: WarmupWriter;
  /** Writes what the writer has collected, if that is much. */
  flush(): void;
}

function writeAll(file: Deno.FsFile, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
}

/**
 * Writes a warm-up file, whole or not at all: to a new file of its owner's alone beside `path`, which then takes its
 * name. After a failure nothing of it is left, and a file that was there before is as it was.
 *
 * @returns its length in bytes
 * @throws what `fill` throws, and errors of the file system (rejects)
 */
export async function writeWarmupFile(path: string, options: WriteWarmupOptions): Promise<number> {
  const hmac = await loadHmacSha256();
  const writer = new WarmupWriter(options.header, hmac(options.key));
  const temporary = `${path}.${crypto.randomUUID().slice(0, 8)}.tmp`;
  const file = await Deno.open(temporary, { write: true, createNew: true, mode: 0o600 });
  let open = true;
  try {
    const flush = () => {
      options.signal?.throwIfAborted();
      if (writer.full) writeAll(file, writer.take());
    };
    await options.fill({ writer, flush });
    options.signal?.throwIfAborted();
    writeAll(file, writer.finish());
    await file.syncData();
    open = false;
    file.close();
    await Deno.rename(temporary, path);
    return writer.written;
  } catch (error) {
    if (open) file.close();
    // What has gone wrong first is what the operator has to hear of.
    await Deno.remove(temporary).catch(() => {});
    throw error;
  }
}
