import { assertEquals, assertRejects } from "@std/assert";
import { type Steps, TimeSlices } from "./time_slices.ts";

/** A clock that steps move, and slices that wait until the test runs them. */
function setUp() {
  const waiting: (() => void)[] = [];
  const clock = { time: 0 };
  const slices = new TimeSlices({ now: () => clock.time, defer: (run) => waiting.push(run) });
  return {
    slices,
    waiting,
    /** Steps of `cost` ms each. */
    *work(steps: number, cost: number): Steps<number> {
      for (let i = 1;; i++) {
        clock.time += cost;
        if (i === steps) return clock.time;
        yield;
      }
    },
    /** Runs slices until there are none; whoever waits for a job hears of it in between. */
    async run(most = Infinity): Promise<number> {
      let count = 0;
      for (; count < most && waiting.length > 0; count++) {
        waiting.shift()!();
        await Promise.resolve();
        assertEquals(waiting.length <= 1, true, "one slice is put off at a time");
      }
      return count;
    },
  };
}

Deno.test("however much one owner has, another's step is the next but one", async () => {
  const { slices, work, run } = setUp();
  const [heavy, light] = [{}, {}];
  const ended: string[] = [];
  for (let i = 0; i < 100; i++) slices.do(heavy, work(50, 4)).then(() => ended.push(`heavy ${i}`));
  await run(3);
  slices.do(light, work(1, 1)).then(() => ended.push("light"));
  await run(1);
  assertEquals(ended, ["light"]);
  await run();
  assertEquals(ended.length, 101);
});

Deno.test("a slice ends after 5 ms, with at least one step, and nothing is put off without work", async () => {
  const { slices, work, waiting, run } = setUp();
  const owner = {};
  const short = slices.do(owner, work(100, 1));
  assertEquals(await run(), 20);
  assertEquals(await short, 100);
  const long = slices.do(owner, work(3, 60));
  assertEquals(await run(), 3);
  assertEquals(await long, 280);
  assertEquals(waiting.length, 0);
});

Deno.test("jobs of one owner take turns too", async () => {
  const { slices, work, run } = setUp();
  const owner = {};
  const ended: string[] = [];
  slices.do(owner, work(1000, 1)).then(() => ended.push("long"));
  slices.do(owner, work(2, 1)).then(() => ended.push("short"));
  await run(1);
  assertEquals(ended, ["short"]);
  await run();
  assertEquals(ended, ["short", "long"]);
});

Deno.test("a step that throws ends its job alone; an owner that goes takes its jobs along", async () => {
  const { slices, work, waiting, run } = setUp();
  const [one, other] = [{}, {}];
  const broken = slices.do(
    one,
    (function* (): Steps<number> {
      yield;
      throw new RangeError("broken");
    })(),
  );
  const gone = slices.do(other, work(1000, 1));
  const kept = slices.do(one, work(5, 1));
  const rejections = Promise.all([
    assertRejects(() => broken, RangeError, "broken"),
    assertRejects(() => gone, Error, "has gone"),
  ]);
  await run(1);
  slices.forget(other);
  slices.forget({});
  await run();
  await rejections;
  assertEquals([await kept > 0, waiting.length], [true, 0]);
});
