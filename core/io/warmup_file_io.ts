/** Warm-up files on disk (docs/PROTOCOL.md §10): read record by record, written to a temporary name and renamed. */
import { equalBytes } from "../hash/equal.ts";
import {
  type IncrementalMac,
  WARMUP_LABEL,
  WARMUP_MAC_BYTES,
  WARMUP_MAGIC,
  WarmupError,
  type WarmupExpectation,
  type WarmupHeader,
  type WarmupRecord,
  type WarmupSummary,
} from "../wire/warmup.ts";
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
export interface OpenWarmupOptions {
  /** Keys that it may have been written under. */
  readonly keys: readonly Uint8Array[];
  readonly expected: WarmupExpectation;
  /** Whether a file that others can read or write is read all the same. */
  readonly allowOthers?: boolean;
}

/** A file that is open, and whose MAC is right. */
export interface OpenWarmup extends Disposable {
  readonly header: WarmupHeader;
  /** Length in bytes. */
  readonly bytes: number;
  /** Whether others than the owner have any right to it. */
  readonly othersMayAccess: boolean;
  /**
   * Hands out every record, once; they are not kept, however many there are.
   *
   * @throws {WarmupError} when the file has been changed since it was opened
   */
  read(onRecord: (record: WarmupRecord) => void): WarmupSummary;
}

/** Feeds the file to `take`, from its beginning. */
function eachChunk(file: Deno.FsFile, take: (chunk: Uint8Array) => void): void {
  file.seekSync(0, Deno.SeekMode.Start);
  const buffer = new Uint8Array(READ_BYTES);
  for (let count = file.readSync(buffer); count !== null; count = file.readSync(buffer)) {
    take(buffer.subarray(0, count));
  }
}

/** Whether the last bytes of the file are the MAC of all before, under one of the keys; every key is tried. */
function hasRightMac(file: Deno.FsFile, macs: readonly IncrementalMac[]): boolean {
  for (const mac of macs) mac.update(new TextEncoder().encode(WARMUP_LABEL));
  let last: Uint8Array = new Uint8Array(0);
  eachChunk(file, (chunk) => {
    const both = new Uint8Array(last.length + chunk.length);
    both.set(last);
    both.set(chunk, last.length);
    const end = Math.max(0, both.length - WARMUP_MAC_BYTES);
    for (const mac of macs) mac.update(both.subarray(0, end));
    last = both.slice(end);
  });
  return macs.map((mac) => equalBytes(mac.digest(), last)).includes(true);
}

/**
 * Opens a warm-up file. It is read once for its MAC and a second time for its records, so that a large one takes no memory.
 *
 * @throws {WarmupError} (rejects) when it cannot be used
 * @throws {WarmupPermissionError} (rejects) when others can read or change it
 * @throws {Deno.errors.NotFound} (rejects) and other errors of the file system
 */
export async function openWarmupFile(path: string, options: OpenWarmupOptions): Promise<OpenWarmup> {
  const hmac = await loadHmacSha256();
  // To open a pipe would wait for who writes to it.
  if (!(await Deno.stat(path)).isFile) {
    throw new WarmupError("not_a_warmup_file", "it is no regular file");
  }
  const file = await Deno.open(path);
  try {
    // Asked of the open file, not of the name: the name may mean another file by then.
    const { mode, size } = await file.stat();
    const othersMayAccess = mode !== null && (mode & MODE_OF_OTHERS) !== 0;
    if (othersMayAccess && options.allowOthers !== true) {
      const shown = (mode! & 0o777).toString(8);
      throw new WarmupPermissionError(`others may read or change it (mode ${shown}); it takes chmod 600`);
    }
    const newReader = () => new WarmupReader(options.keys.map(hmac), options.expected);
    const right = hasRightMac(file, options.keys.map(hmac));
    let reader = newReader();
    let header: WarmupHeader | undefined;
    eachChunk(file, (chunk) => {
      // Of a file with the right MAC its header is all that is looked at here; of another what is wrong with it.
      if (right && header !== undefined) return;
      reader.push(chunk);
      header = reader.header;
    });
    if (!right || header === undefined) {
      reader.finish();
      throw new WarmupError("wrong_mac", "it was changed while it was read");
    }
    return {
      header,
      bytes: size,
      othersMayAccess,
      read(onRecord) {
        reader = newReader();
        eachChunk(file, (chunk) => reader.push(chunk).forEach(onRecord));
        return reader.finish();
      },
      [Symbol.dispose]: () => file.close(),
    };
  } catch (error) {
    file.close();
    throw error;
  }
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

/** A file that is there is no warm-up file, and stays. */
export class WarmupTargetError extends Error {
  override name = "WarmupTargetError";
}

/** Throws unless `path` is missing, empty, or begins as a warm-up file does. */
async function checkTarget(path: string): Promise<void> {
  let info: Deno.FileInfo;
  try {
    info = await Deno.stat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  if (!info.isFile) throw new WarmupTargetError("it is there already, and no regular file");
  if (info.size === 0) return;
  using file = await Deno.open(path);
  const begin = new Uint8Array(WARMUP_MAGIC.length);
  const count = file.readSync(begin) ?? 0;
  if (new TextDecoder().decode(begin.subarray(0, count)) !== WARMUP_MAGIC) {
    throw new WarmupTargetError("it is there already, and no warm-up file; it takes another name");
  }
}

function writeAll(file: Deno.FsFile, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
}

/**
 * Writes a warm-up file, whole or not at all: to a new file of its owner's alone beside `path`, which then takes its
 * name. After a failure nothing of it is left, and a file that was there before is as it was. Replaced are only empty
 * files and warm-up files.
 *
 * @returns its length in bytes
 * @throws {WarmupTargetError} (rejects) when `path` is another file
 * @throws what `fill` throws, and errors of the file system (rejects)
 */
export async function writeWarmupFile(path: string, options: WriteWarmupOptions): Promise<number> {
  await checkTarget(path);
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
    await checkTarget(path);
    await Deno.rename(temporary, path);
    return writer.written;
  } catch (error) {
    if (open) file.close();
    // What has gone wrong first is what the operator has to hear of.
    await Deno.remove(temporary).catch(() => {});
    throw error;
  }
}
