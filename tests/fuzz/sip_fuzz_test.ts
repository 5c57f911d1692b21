/** A short run of `deno task fuzz:sip`. */
import { assert, assertEquals } from "@std/assert";
import { scanKernel } from "../../core/sip/kernel/kernel.ts";
import { SipFuzz } from "./sip_fuzz.ts";

const MESSAGES = 6000;

Deno.test("fuzz: mutated messages of all kinds, over datagrams and streams: nothing throws, and nothing is left", async () => {
  const rejections: unknown[] = [];
  const onRejection = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    rejections.push(event.reason);
  };
  addEventListener("unhandledrejection", onRejection);
  try {
    // Another run explores other messages: FUZZ_SEED=n deno test …
    const fuzz = new SipFuzz(Number(Deno.env.get("FUZZ_SEED") ?? 20261125));
    await fuzz.run(MESSAGES / 2);
    await fuzz.run(MESSAGES / 2);
    const { counts, takenByKernel } = fuzz;
    assert(counts.mutated >= MESSAGES);
    for (const [name, count] of Object.entries(counts)) assert(count > 50, `${name}: only ${count}`);
    assert(scanKernel === undefined || takenByKernel > MESSAGES / 10, `the kernel took ${takenByKernel}`);
    assertEquals(rejections, []);
  } finally {
    removeEventListener("unhandledrejection", onRejection);
  }
});
