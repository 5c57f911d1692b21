import { assertEquals } from "@std/assert";
import { BUILTIN } from "./builtin.ts";
import { lint } from "./lint.ts";
import { readScenario } from "./read_scenario.ts";
import { scenarioOf } from "./test_scenarios.ts";

const findings = (text: string) =>
  lint(`<scenario name="x">\n${text}\n</scenario>`, "x").map(({ severity, line, column, text }) =>
    `${severity === "error" ? "" : "warning "}${line}:${column}: ${text}`
  );
const SEND = (head: string) => `<send><![CDATA[\nA sip:x SIP/2.0\n${head}\n]]></send>`;

Deno.test("the built-in scenarios have no findings", () => {
  for (const [name, text] of Object.entries(BUILTIN)) assertEquals(lint(text, name), [], name);
});

Deno.test("what is wrong is said with its line and column", () => {
  const cases: [string, string[]][] = [
    ['<recv request="BYE"/>\n  <snd/>', [
      "3:3: unknown element <snd>: did you mean <send>?".replace("<send>", "send"),
    ]],
    ['<recv request="A" response="200"/>', ["2:1: <recv> takes either response or request"]],
    ["<recv/>", ["2:1: <recv> takes either response or request"]],
    ['<recv response="200"/>', ["2:1: the first message is a response, to nothing that was sent"]],
    ["<pause/>", ["1:1: the scenario sends and receives nothing"]],
    ['<recv request="A" next="ende"/><label id="end"/>', [
      "2:1: there is no label ende: did you mean end?",
      // Nothing more is looked at.
    ]],
    ['<recv request="A"/><label id="a"/><label id="a"/>', ["2:35: label a stands twice"]],
    ['<recv request="A" crlf="maybe"/>', ['2:19: crlf: "maybe" is not allowed; it takes true or false']],
    ['<recv request="A" optional="perhaps"/>', [
      '2:19: optional: "perhaps" is not allowed; it takes true, false, global',
    ]],
    ['<recv request="A" timeout="1.5"/>', ['2:19: timeout: "1.5" is not allowed; it takes a whole number']],
    ['<recv request="A"/>\n<sendCmd/>\n<recvCmd/>', [
      "3:1: <sendCmd>: 3PCC is not supported",
      "4:1: <recvCmd>: 3PCC is not supported",
    ]],
    ['<recv request="A"><action><exec play_pcap_audio="x"/></action></recv>', [
      "2:27: <exec play_pcap_audio>: media is not supported",
    ]],
    ['<recv request="A"><action><exec rtp_stream="x"/></action></recv>', [
      "2:27: <exec rtp_stream>: media is not supported",
    ]],
    ['<recv request="A"><action><erg/></action></recv>', ["2:27: unknown action <erg>: did you mean ereg?"]],
    ['<recv request="A"><action><log/></action></recv>', ["2:27: <log> lacks the attribute message"]],
    ['<recv request="A"><action><ereg regexp="(" /></action></recv>', [
      "2:27: regexp: /(/s: Unterminated group",
    ]],
    ['<recv request="A"/><pause distribution="normal" mean="1"/>', [
      "2:27: distribution normal lacks the attribute stdev",
    ]],
    ['<recv request="A"/><pause distribution="uniform" min="2" max="1"/>', [
      "2:20: uniform: min is above max",
    ]],
    ['<recv request="A"/><CallLengthRepartition value="2, 1"/>', [
      "2:43: <CallLengthRepartition> takes rising numbers of milliseconds",
    ]],
    [SEND("To: [servce]"), ["4:5: unknown keyword [servce]: did you mean [service]?"]],
    [SEND("To: [service"), ["4:5: [ without ]"]],
    ['<recv request="A"/><recv response="200" response_txn="inv"/>', ['2:20: no start_txn="inv"']],
    ['<recv request="A">', ["3:11: unexpected close tag"]],
  ];
  for (const [text, expected] of cases) assertEquals(findings(text), expected, text);
});

Deno.test("what is suspicious is said: labels, steps and variables that nothing uses", () => {
  assertEquals(
    findings(`<recv request="A" next="b"/>
<pause/>
<label id="a"/>
<label id="b"/>
<nop test="seen" next="b"><action><assign assign_to="lost" value="1"/></action></nop>`),
    [
      "warning 3:1: <pause> is never reached",
      "warning 4:1: nothing leads to label a",
      "warning 6:1: variable seen is used and never set",
      "warning 6:35: variable lost is set and never used",
    ],
  );
  assertEquals(
    findings(
      '<recv request="A"/><Reference variables="x"/><nop><action>' +
        '<assign assign_to="x" value="1"/></action></nop>',
    ),
    [],
  );
});

Deno.test("a document that is no scenario, or none at all", () => {
  const first = (text: string) => readScenario(text, "x").findings[0].text;
  assertEquals(first("<xml/>"), "the file holds <xml>, not <scenario>");
  assertEquals(first(""), "document must contain a root element");
  assertEquals(readScenario("<scenario>".repeat(100), "x").scenario, undefined);
});

Deno.test("steps, labels and sections as they were written", () => {
  const scenario = scenarioOf(`<scenario name="all">
    <Global variables="g, h"/><User variables="u"/>
    <ResponseTimeRepartition value="1, 2"/>
    <init><nop><action><assign assign_to="g" value="1"/></action></nop></init>
    <recv request="INVITE|BYE" regexp_match="true" optional="global" rrs="true" auth="1" lost="5" timeout="10"
      ontimeout="end" start_rtd="a" rtd="true" repeat_rtd="true" counter="c" chance="0.5" next="end"/>
    <timewait milliseconds="4000"/>
    <label id="end"/>
  </scenario>`);
  assertEquals([scenario.name, scenario.role, scenario.steps.length, scenario.init.length], [
    "all",
    "server",
    2,
    1,
  ]);
  assertEquals([[...scenario.globals], [...scenario.userVariables]], [["g", "h"], ["u"]]);
  assertEquals(scenario.responseTimes, [1, 2]);
  assertEquals(scenario.labels.get("end")?.step, 2);
  const [recv, wait] = scenario.steps;
  assertEquals(
    recv.kind === "recv" && [recv.regexp, recv.optional, recv.rrs, recv.auth, recv.lost, recv.timeout],
    [
      true,
      "global",
      true,
      true,
      5,
      10,
    ],
  );
  assertEquals([recv.startRtd, recv.rtd, recv.repeatRtd, recv.counter, recv.chance], [
    ["a"],
    ["1"],
    true,
    "c",
    0.5,
  ]);
  assertEquals(wait.kind === "timewait" && wait.length, { kind: "fixed", parameters: [4000] });
});
