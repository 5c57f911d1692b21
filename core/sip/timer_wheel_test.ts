import { assert, assertEquals, assertThrows } from "@std/assert";
import { seededRandom } from "../random.ts";
import { TICK_MS, TimerEntry, TimerWheel } from "./timer_wheel.ts";

class Alarm extends TimerEntry {
  fired = 0;
  constructor(readonly action: (alarm: Alarm, now: number) => void = () => {}) {
    super();
  }
  override onTimer(now: number): void {
    this.fired++;
    this.action(this, now);
  }
}

Deno.test("timer wheel: a timer fires once, never early, at most a tick late", () => {
  for (
    const delay of [
      0,
      1,
      9,
      10,
      11,
      500,
      2550,
      2560,
      2561,
      40_950,
      40_960,
      40_961,
      655_360,
      10_485_760,
      86_400_000,
    ]
  ) {
    for (const origin of [0, 12_345.678]) {
      const wheel = new TimerWheel(origin);
      const times: number[] = [];
      const alarm = new Alarm((_, now) => times.push(now));
      wheel.schedule(alarm, origin + delay);
      let steps = 0;
      for (let due = wheel.nextDue(); due !== undefined; due = wheel.nextDue()) {
        wheel.advance(due);
        assert(++steps < 10, "nextDue makes no progress");
      }
      assertEquals(times.length, 1, `delay ${delay}`);
      const late = times[0]! - origin - delay;
      assert(late >= -1e-6 && late <= TICK_MS, `delay ${delay}: ${late} ms late`);
      assertEquals(wheel.size, 0);
    }
  }
});

Deno.test("timer wheel: one jump over everything", () => {
  const wheel = new TimerWheel(0);
  const order: number[] = [];
  const delays = [86_400_000, 0, 300_000, 5000, 700_000, 20, 3_600_000];
  for (const delay of delays) wheel.schedule(new Alarm(() => order.push(delay)), delay);
  wheel.advance(1e12);
  assertEquals(order, delays.toSorted((a, b) => a - b));
  assertEquals(wheel.nextDue(), undefined);
  const late = new Alarm();
  wheel.schedule(late, 5);
  wheel.advance(1e12);
  assertEquals(late.fired, 0, "what is past waits for the next tick");
  wheel.advance(1e12 + TICK_MS);
  assertEquals(late.fired, 1);
});

Deno.test("timer wheel: beyond the horizon, and ticks beyond 32 bits", () => {
  const wheel = new TimerWheel(0);
  const months = 100 * 86_400_000;
  const alarm = new Alarm();
  wheel.schedule(alarm, months + 10);
  wheel.advance(months);
  assertEquals(alarm.fired, 0);
  wheel.advance(months + 10);
  assertEquals(alarm.fired, 1);
  const years = 2 ** 33 * TICK_MS;
  wheel.advance(years);
  wheel.schedule(alarm, years + 32_000);
  wheel.advance(years + 31_990);
  assertEquals(alarm.fired, 1);
  wheel.advance(years + 32_000);
  assertEquals(alarm.fired, 2);
});

Deno.test("timer wheel: a clock that goes back is ignored; misuse is named", () => {
  const wheel = new TimerWheel(1000);
  const alarm = new Alarm();
  wheel.schedule(alarm, 1010);
  wheel.advance(0);
  assertEquals(alarm.fired, 0);
  assertThrows(() => wheel.schedule(alarm, NaN), RangeError);
  assertThrows(() => wheel.schedule(alarm, Infinity), RangeError);
  assertThrows(() => wheel.schedule(alarm, -Infinity), RangeError);
  assertThrows(() => wheel.schedule(new Alarm(), 2 ** 31 * TICK_MS + 1001), RangeError);
  wheel.schedule(new Alarm((_, now) => wheel.advance(now)), 1020);
  assertThrows(() => wheel.advance(1020), Error, "from a timer");
  assertEquals(alarm.fired, 1);
  wheel.advance(2000);
});

Deno.test("timer wheel: an entry that always starts itself again does not hold it up", () => {
  const wheel = new TimerWheel(0);
  const alarm: Alarm = new Alarm((self, now) => wheel.schedule(self, now));
  wheel.schedule(alarm, 0);
  wheel.advance(1000);
  assertEquals(alarm.fired, 2, "at tick 1, and again at the tick of 1000 ms");
  const eager: Alarm = new Alarm((self) => wheel.schedule(self, 0));
  wheel.schedule(eager, 0);
  wheel.advance(2000);
  assertEquals(eager.fired, 100);
});

Deno.test("timer wheel: entries cancel and start others of the same tick", () => {
  const wheel = new TimerWheel(0);
  const second = new Alarm();
  const third = new Alarm();
  const first = new Alarm(() => {
    wheel.cancel(second);
    wheel.schedule(third, 50);
  });
  for (const alarm of [first, second, third]) wheel.schedule(alarm, 30);
  wheel.advance(30);
  assertEquals([first.fired, second.fired, third.fired], [1, 0, 0]);
  wheel.advance(50);
  assertEquals(third.fired, 1);
  assertEquals(wheel.size, 0);
});

Deno.test("timer wheel agrees with a sorted list", () => {
  const seed = 20261122;
  const random = seededRandom(seed);
  for (let round = 0; round < 30; round++) {
    const where = `seed ${seed}, round ${round}`;
    let now = random.below(100_000);
    const origin = now;
    const wheel = new TimerWheel(now);
    const expected = new Map<Alarm, number>();
    const tickOf = (at: number): number => Math.ceil((at - origin) / TICK_MS);
    let horizon = 0;
    let previousTick = 0;
    const start = (alarm: Alarm, at: number): void => {
      // While it advances, the wheel stands at the tick that fires; otherwise where the last advance left it.
      const past = firing === undefined ? tickOf(now - TICK_MS + 1) : firing;
      wheel.schedule(alarm, at);
      expected.set(alarm, Math.max(tickOf(at), past + 1));
    };
    let firing: number | undefined;
    const delay = (): number => {
      const range = [1, 50, 3000, 60_000, 1_000_000, 20_000_000, 2 ** 31 - 1];
      return random.below(range[random.below(range.length)]!);
    };
    const act = (alarm: Alarm): void => {
      const tick = expected.get(alarm);
      assert(tick !== undefined, `${where}: fired without an appointment`);
      assert(tick <= horizon, `${where}: fired early`);
      assert(tick >= previousTick, `${where}: fired out of order`);
      previousTick = tick;
      firing = tick;
      expected.delete(alarm);
      const other = alarms[random.below(alarms.length)]!;
      switch (random.below(4)) {
        case 0:
          start(other, now + delay());
          break;
        case 1:
          wheel.cancel(other);
          expected.delete(other);
          break;
        default:
      }
    };
    const alarms = Array.from({ length: 50 }, () => new Alarm(act));
    for (let step = 0; step < 300; step++) {
      const alarm = alarms[random.below(alarms.length)]!;
      const kind = random.below(8);
      if (kind < 4) start(alarm, now + delay());
      else if (kind === 4) {
        wheel.cancel(alarm);
        expected.delete(alarm);
      } else {
        const due = wheel.nextDue();
        assertEquals(due === undefined, expected.size === 0, where);
        if (due !== undefined) {
          const first = Math.min(...expected.values());
          assert(due <= origin + first * TICK_MS, `${where}: nextDue is too late`);
        }
        now += kind === 5 ? 10 : delay();
        horizon = Math.floor((now - origin) / TICK_MS);
        previousTick = 0;
        wheel.advance(now);
        firing = undefined;
        for (const tick of expected.values()) assert(tick > horizon, `${where}: missed tick ${tick}`);
      }
      assertEquals(wheel.size, expected.size, where);
    }
  }
});
