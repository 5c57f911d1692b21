import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { UsageError } from "../../mod.ts";
import { callerOf, MODE_NAMES, modeOf } from "./modes.ts";
import { QUICK_MODES, readOptions } from "./options.ts";
import { findHighest } from "./search.ts";
import { calledScenario, callerScenario } from "./peers/sipp_scenarios.ts";

Deno.test("without flags: the rates question alone, with everything that can be measured", () => {
  const options = readOptions([])!;
  assertEquals(options.rates, [500, 1000, 2000]);
  assertEquals(options.users, [10_000]);
  assertEquals(options.modes, undefined);
  assertEquals(options.asks, { rates: true, users: false, max: false });
  assertEquals(readOptions(["--help"]), undefined);
});

Deno.test("other questions stand alone, unless --rates is given", () => {
  assertEquals(readOptions(["--max"])!.asks, { rates: false, users: false, max: true });
  assertEquals(readOptions(["--users", "1000,100000"])!.asks, { rates: false, users: true, max: false });
  assertEquals(readOptions(["--users", "1000,100000", "--rates", "500"])!.asks.rates, false);
  assertEquals(readOptions(["--distance", "0,20", "--rates", "1000"])!.asks.rates, true);
  assertEquals(readOptions(["--distance", "0,20"])!.distances, [0, 20]);
  const many = readOptions(["--numbers", "1000,100000"])!;
  assertEquals([many.numbers, many.asks.rates], [[1000, 100_000], false]);
});

Deno.test("--quick: our generator at both ends, one cycle of each chain; flags that are given win", () => {
  const options = readOptions(["--quick"])!;
  assertEquals(options.modes, [...QUICK_MODES]);
  assertEquals([options.rates, options.rounds, options.caller, options.called], [[2000], 1, "uac", "uac"]);
  assertEquals(options.calls, options.users[0] * options.chain);
  const small = readOptions(["--quick", "--rates", "50", "--users", "10", "--modes", "pc"])!;
  assertEquals([small.rates, small.users, small.modes], [[50], [10], ["pc"]]);
});

Deno.test("wrong arguments are one line that says what is allowed", () => {
  for (
    const [args, text] of [
      [["--modes", "kamailio-authbd"], "did you mean kamailio-authdb?"],
      [["--modes", "everything-there-is"], "it takes pc, pc-preemptive"],
      [["--rates", "500,fast"], '--rates: "fast" is not allowed'],
      [["--rates", "0"], "from 1 to"],
      [["--rates", ","], "--rates takes one number or more"],
      [["--users", "1.5"], "--users"],
      [["--distance", "-1"], "--distance"],
      [["--distance_rate", "500"], "only allowed with --distance"],
      [["--quick", "--max"], "--max is not allowed with --quick"],
      [["--quick", "--rates", "1,2"], "one rate"],
      [["--quick", "--modes", "kamailio-noauth"], "not kamailio-noauth"],
      [["here"], 'unexpected argument "here"'],
      [["--cals", "3"], "--cals"],
    ] as const
  ) {
    const error = assertThrows(() => readOptions(args), UsageError);
    assertStringIncludes(error.message, text);
    assertEquals(error.message.includes("\n"), false);
  }
});

Deno.test("modes: PC is called by our generator, Kamailio by SIPp", () => {
  for (const name of MODE_NAMES) {
    const mode = modeOf(name);
    const caller = callerOf(mode, "sipp");
    if (mode.peer === "proxychain") assertEquals(caller, mode.auth === "pc" ? "uac" : "sipp", name);
    if (mode.peer === "kamailio") assertEquals(callerOf(mode, "uac"), "sipp", name);
  }
});

Deno.test("SIPp's scenarios: balanced, the messages in order", () => {
  const methods = (text: string) =>
    [...text.matchAll(/^([A-Z]+) \S+ SIP\/2\.0$/gm)].map(([, method]) => method);
  assertEquals(methods(callerScenario("plain")), ["INVITE", "ACK", "BYE"]);
  assertEquals(methods(callerScenario("auth")), ["INVITE", "ACK", "INVITE", "ACK", "BYE"]);
  assertEquals(methods(callerScenario("auth-bye")), ["INVITE", "ACK", "INVITE", "ACK", "BYE", "BYE"]);
  for (
    const text of [
      callerScenario("plain"),
      callerScenario("auth"),
      callerScenario("auth-bye"),
      calledScenario(),
    ]
  ) {
    assertEquals(text.split("<send").length, text.split("</send>").length);
    assertEquals(text.split("CDATA[").length, text.split("]]>").length);
  }
});

Deno.test("the highest rate: bounds, and no more trials than allowed", async () => {
  for (const limit of [0, 1, 80, 700, 1000, 5600, 19_999, 50_000]) {
    for (const start of [60, 1000]) {
      let trials = 0;
      const found = await findHighest((rate) => {
        trials++;
        return Promise.resolve(rate <= limit);
      }, { start, cap: 20_000, trials: 14 });
      assertEquals(found.trials, trials);
      assertEquals(trials <= 14 && found.rate <= Math.min(limit, 20_000), true, `${limit} from ${start}`);
      assertEquals(found.rate >= 0.9 * Math.min(limit, 20_000) || limit < 2, true, `${limit} from ${start}`);
      assertEquals(found.failedAt === undefined, limit >= 20_000);
    }
  }
});
