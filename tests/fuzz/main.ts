/** A million mutated messages. Entry of `deno task fuzz:sip`. */
import { formatHelp, UsageError } from "../../mod.ts";
import { FUZZ_FLAGS, type FuzzOptions, NOTES, readOptions, USAGE } from "./options.ts";
import { SipFuzz } from "./sip_fuzz.ts";

const MB = 1 << 20;
/** Phases before memory is compared: the code is compiled and all tables have found their size. */
const SETTLED = 3;
/** What the heap may grow from there to the end: a part of it, and MB. */
const GROWTH = 0.05;
const GROWTH_MB = 4;
const RSS_GROWTH = 0.15;

const say = (line: string) => console.error(`fuzz:sip: ${line}`);
const { gc } = globalThis as { gc?: () => void };

function memory(): { readonly heap: number; readonly rss: number } {
  gc?.();
  const { heapUsed, external, rss } = Deno.memoryUsage();
  return { heap: (heapUsed + external) / MB, rss: rss / MB };
}

async function run({ messages, seed, phase }: FuzzOptions): Promise<number> {
  const rejections: unknown[] = [];
  addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    rejections.push(event.reason);
  });
  const fuzz = new SipFuzz(seed);
  const startedAt = Date.now();
  const samples: ReturnType<typeof memory>[] = [];
  while (fuzz.counts.mutated < messages) {
    await fuzz.run(Math.min(phase, messages - fuzz.counts.mutated));
    const sample = memory();
    samples.push(sample);
    say(
      `${fuzz.counts.mutated} messages, heap ${sample.heap.toFixed(1)} MB, RSS ${sample.rss.toFixed(0)} MB`,
    );
  }
  const problems = rejections.map((reason) => `a rejection that nobody handled: ${String(reason)}`);
  const first = samples[SETTLED];
  const last = samples[samples.length - 1];
  if (first !== undefined) {
    if (last.heap > first.heap * (1 + GROWTH) + GROWTH_MB) {
      problems.push(`the heap grew from ${first.heap.toFixed(1)} to ${last.heap.toFixed(1)} MB`);
    }
    if (last.rss > first.rss * (1 + RSS_GROWTH)) {
      problems.push(`RSS grew from ${first.rss.toFixed(0)} to ${last.rss.toFixed(0)} MB`);
    }
  }
  const { counts } = fuzz;
  const seconds = ((Date.now() - startedAt) / 1000).toFixed(0);
  console.log(
    `seed ${seed}: ${counts.mutated} mutated and ${counts.whole} whole messages in ${seconds} s, ${counts.overStreams} over ` +
      `streams of which ${counts.streamErrors} broke; ${counts.sent} sent; ${counts.mostTransactions} transactions at most, ` +
      `0 left; kernel and scanner equal (the kernel took ${fuzz.takenByKernel})`,
  );
  problems.forEach(say);
  return problems.length === 0 ? 0 : 1;
}

async function main(): Promise<number> {
  try {
    const options = readOptions(Deno.args);
    if (options !== undefined) return await run(options);
    console.log(formatHelp(USAGE, FUZZ_FLAGS, NOTES));
    return 0;
  } catch (error) {
    if (error instanceof UsageError) {
      say(error.message);
      return 2;
    }
    for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
      say(cause.stack ?? cause.message);
    }
    return 1;
  }
}

if (import.meta.main) Deno.exit(await main());
