/** Work that SIGINT and SIGTERM end in good order. */
import { StoreError } from "./subscriber.ts";

const SIGNALS = ["SIGINT", "SIGTERM"] as const;

/** Runs work that looks at the signal now and then; it is aborted with a {@linkcode StoreError} when one comes. */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const ended = new AbortController();
  const end = () => ended.abort(new StoreError("interrupted: nothing was written"));
  for (const signal of SIGNALS) Deno.addSignalListener(signal, end);
  try {
    return await work(ended.signal);
  } finally {
    for (const signal of SIGNALS) Deno.removeSignalListener(signal, end);
  }
}
