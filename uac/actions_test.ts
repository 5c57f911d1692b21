import { assertEquals, assertGreater, assertThrows } from "@std/assert";
import { loadHashBackend } from "../mod.ts";
import type { EngineOptions } from "./engine.ts";
import { InjectionFile, InjectionFiles } from "./injection.ts";
import { ScenarioError } from "./scenario.ts";
import { TestNetwork } from "./test_network.ts";
import { scenarioOf, UAS } from "./test_scenarios.ts";

const { backend: hashes } = await loadHashBackend();
const CALLER = { host: "10.0.0.1", port: 5070 };
const CALLED = { host: "10.0.0.2", port: 5080 };
const OPTIONS = `<send><![CDATA[
  OPTIONS sip:x@[remote_ip] SIP/2.0
  Via: SIP/2.0/UDP [local_ip]:[local_port];branch=[branch]
  From: <sip:a@x>;tag=1
  To: <sip:x@x>
  Call-ID: [call_id]
  CSeq: [cseq] OPTIONS
  Max-Forwards: 70
  Content-Length: 0
]]></send>
<recv response="200"/>`;
/** Answers OPTIONS. */
const ANSWER = scenarioOf(`<recv request="OPTIONS"/><send><![CDATA[
  SIP/2.0 200 OK
  [last_Via:]
  [last_From:]
  [last_To:];tag=[local_tag]
  [last_Call-ID:]
  [last_CSeq:]
  X-Number: 1
  X-Number: 22
  Content-Type: text/plain
  Content-Length: [len]

  body 33
]]></send>`);

/** Runs a caller whose steps these are: what it logged, how its calls ended, and what was sent. */
function play(steps: string, options: Partial<EngineOptions> = {}, called = ANSWER) {
  const network = new TestNetwork(1);
  const log: string[] = [];
  network.engine({ scenario: called, local: CALLED, hashes });
  const caller = network.engine({
    scenario: scenarioOf(steps),
    local: CALLER,
    remote: CALLED,
    calls: 1,
    recvTimeout: 1000,
    hashes,
    wallClock: () => 1_700_000_000_123,
    onLog: (line) => log.push(line),
    ...options,
  });
  network.run(() => caller.done, 60_000);
  const { ok, failed } = caller.statistics;
  return { log, ok, failed, failures: caller.report(network.now).failures, network, caller };
}
const acting = (actions: string) => `${OPTIONS}<nop><action>${actions}</action></nop>`;
const log = (message: string) => `<log message="${message}"/>`;

Deno.test("arithmetic, texts, tests and comparisons", () => {
  const { log: lines, failures } = play(acting(`
    <assign assign_to="a" value="7"/><add assign_to="a" value="3"/><subtract assign_to="a" value="4"/>
    <multiply assign_to="a" value="5"/><divide assign_to="a" value="4"/>
    <assign assign_to="b" variable="a"/><add assign_to="b" variable="a"/>
    <assignstr assign_to="t" value="  [service] [$a]  "/><trim assign_to="t"/>
    <strcmp assign_to="same" variable="t" value="service 7.500000"/>
    <test assign_to="less" variable="a" compare="less_than" value="8"/>
    <test assign_to="equal" variable="a" compare="equal" variable2="b"/>
    <assignstr assign_to="u" value="a b/ü"/><urlencode variable="u"/>
    ${log("[$a] [$b] [$t] [$same] [$less] [$equal] [$u]")}
    <urldecode variable="u"/><assignstr assign_to="n" value="12.5x"/><todouble assign_to="d" variable="n"/>
    <gettimeofday assign_to="s,us"/>${log("[$u] [$d] [$s] [$us]")}`));
  assertEquals(failures, {});
  assertEquals(lines, [
    "7.500000 15.000000 service 7.500000 0.000000 true false a%20b%2F%C3%BC",
    "a b/ü 12.500000 1700000000.000000 123000.000000",
  ]);
});

Deno.test("ereg in message, header, body and variable; occurrence; a name that is no header", () => {
  const ereg = (attributes: string) => `<ereg ${attributes}/>`;
  const { log: lines } = play(OPTIONS.replace(
    '<recv response="200"/>',
    `<recv response="200"><action>
      ${ereg('regexp="SIP/2.0 ([0-9]+)" assign_to="all,status"')}
      ${ereg('regexp=".*" search_in="hdr" header="X-Number:" occurrence="2" assign_to="second"')}
      ${ereg('regexp="body ([[:digit:]]+)" search_in="body" assign_to="x,number"')}
      ${ereg('regexp="^.(.)" search_in="var" variable="second" assign_to="y,digit"')}
      ${ereg('regexp="none" assign_to="none"')}
      ${ereg('regexp=".*" search_in="hdr" header="SIP/2.0 " assign_to="line"')}
      ${log("[$all]|[$status]|[$second]|[$number]|[$digit]|[$none]|[$line]")}
    </action></recv>`,
  ));
  assertEquals(lines, ["SIP/2.0 200|200|22|33|2|| 200 OK"]);
});

Deno.test("check_it and check_it_inverse fail the call", () => {
  const check = (attributes: string) =>
    play(OPTIONS.replace(
      '<recv response="200"/>',
      `<recv response="200"><action><ereg ${attributes}/></action></recv>`,
    )).failures;
  assertEquals(check('regexp="zzz" check_it="true"'), { "regexp zzz does not match": 1 });
  assertEquals(check('regexp="200" check_it_inverse="true"'), { "regexp 200 matches": 1 });
  assertEquals(check('regexp="200" check_it="true"'), {});
});

Deno.test("lookup, insert and replace in injection files; fields by line", () => {
  const file = new InjectionFile(new TextEncoder().encode("SEQUENTIAL\nalice;1\nbob;2\n"), "users.csv");
  file.index(0);
  const files = new InjectionFiles([file]);
  const { log: lines } = play(
    acting(`<lookup assign_to="line" file="users.csv" key="bob"/>
      ${log("[field1 file=users.csv line=[$line]] [field0]")}
      <insert file="users.csv" value="carol;[$line]"/><replace file="users.csv" line="0" value="dave;9"/>
      <lookup assign_to="line" file="users.csv" key="carol"/>${
      log("[$line] [field1 line=[$line]] [field0 line=0]")
    }`),
    { files },
  );
  assertEquals(lines, ["2 alice", "2.000000 1.000000 dave"]);
});

Deno.test("jumps, conditions and loops: next with test, condexec, jump, msg_index", () => {
  const { log: lines } = play(`${OPTIONS}
    <nop><action><assign assign_to="i" value="0"/></action></nop>
    <label id="again"/>
    <nop next="again" test="more"><action><add assign_to="i" value="1"/>
      <test assign_to="more" variable="i" compare="less_than" value="3"/>${log("[$i]")}</action></nop>
    <nop condexec="more"><action>${log("not this")}</action></nop>
    <nop condexec="more" condexec_inverse="true"><action>${log("this [msg_index]")}</action></nop>
    <nop><action><jump value="8"/></action></nop>
    <nop><action>${log("passed over")}</action></nop>
    <nop><action>${log("end")}</action></nop>`);
  // The test is made after the actions of its step.
  assertEquals(lines, ["1.000000", "2.000000", "3.000000", "this 5", "end"]);
});

Deno.test("a loop without a wait ends its call", () => {
  assertEquals(play(`${OPTIONS}<label id="a"/><nop next="a"/>`).failures, { "a loop without a wait": 1 });
});

Deno.test("variables of the run, of users and of calls", () => {
  const { log: lines } = play(
    `<Global variables="all"/><User variables="mine"/>
    <init><nop><action><assign assign_to="all" value="10"/></action></nop></init>
    ${
      acting(
        `<add assign_to="all" value="1"/><add assign_to="mine" value="1"/><add assign_to="own" value="1"/>
    ${log("[userid] [$all] [$mine] [$own] [users]")}`,
      )
    }`,
    { users: 2, calls: 4 },
  );
  assertEquals(lines.toSorted(), [
    "0 11.000000 1.000000 1.000000 2",
    "0 14.000000 2.000000 1.000000 2",
    "1 12.000000 1.000000 1.000000 2",
    "1 13.000000 2.000000 1.000000 2",
  ]);
});

Deno.test("timeouts: ontimeout leads on, without it the call fails; timeout by variable", () => {
  const lonely = (attributes: string) =>
    play(`<nop><action><assign assign_to="t" value="50"/></action></nop>${OPTIONS}
      <recv request="INFO" ${attributes}/><label id="late"/><nop><action>${
      log("[clock_tick]")
    }</action></nop>`);
  const led = lonely('timeout="200" ontimeout="late"');
  assertEquals(led.failures, {});
  assertGreater(Number(led.log[0]), 199);
  assertEquals(Number(lonely('timeout_variable="t" ontimeout="late"').log[0]) < 100, true);
  assertEquals(lonely('timeout="200"').failures, { "no INFO in time": 1 });
});

Deno.test("int_cmd, error and stop: the call, or the run", () => {
  assertEquals(play(acting('<exec int_cmd="stop_call"/>')).failures, { stop_call: 1 });
  let stopped = 0;
  const options = { calls: 5, rate: 1, onStop: () => stopped++ };
  assertEquals(play(acting('<exec int_cmd="stop_gracefully"/>'), options).ok, 1);
  assertEquals(stopped, 0);
  play(acting('<error message="no more"/>'), options);
  assertEquals(stopped, 1);
});

Deno.test("commands and files only where the run allows them", () => {
  const thrown = (steps: string) => assertThrows(() => play(steps), ScenarioError).message;
  const exec = acting('<exec command="touch /tmp/x"/>');
  assertEquals(thrown(exec), "test:12:36: <exec command> is not allowed; --allow_exec allows it");
  const commands: string[] = [];
  play(exec.replace("touch /tmp/x", "echo [call_number]"), { exec: (command) => commands.push(command) });
  assertEquals(commands, ["echo 1"]);
  assertEquals(
    thrown(OPTIONS.replace("Max-Forwards: 70", "X: [file name=/etc/passwd]")),
    "test:9:6: [file]: no files may be read",
  );
});

Deno.test("lost=100 sends nothing; -lost does it for all; pauses of every distribution end", () => {
  const lost = play(OPTIONS.replace("<send>", '<send lost="100">'));
  assertEquals([lost.failed, lost.network.log.length], [1, 0]);
  assertEquals(play(OPTIONS, { lost: 1 }).network.log.length, 0);
  const pauses = [
    'milliseconds="5"',
    'distribution="fixed" value="3"',
    'distribution="uniform" min="1" max="5"',
    'distribution="normal" mean="10" stdev="2"',
    'distribution="lognormal" mean="1" stdev="0.5"',
    'distribution="exponential" mean="4"',
    'distribution="weibull" lambda="3" k="4"',
    'distribution="pareto" k="3" x_m="2"',
    'distribution="gamma" k="0.5" theta="2"',
    'distribution="negbin" p="0.5" n="2"',
  ].map((attributes) => `<pause ${attributes}/>`).join("");
  assertEquals(play(OPTIONS + pauses).ok, 1);
});

Deno.test("verifyauth on the called side; unexpected messages at the scenario's own label", () => {
  const challenged = scenarioOf(`<recv request="OPTIONS"><action>
      <verifyauth assign_to="right" username="al" password="pw"/>
    </action></recv>
    <nop next="ok" test="right"/>
    <send><![CDATA[
      SIP/2.0 401 Unauthorized
      [last_Via:]
      [last_From:]
      [last_To:];tag=[local_tag]
      [last_Call-ID:]
      [last_CSeq:]
      WWW-Authenticate: Digest realm="x", nonce="abc", algorithm=SHA-256, qop="auth-int"
      Content-Length: 0
    ]]></send>
    <recv request="OPTIONS"><action><verifyauth assign_to="right" username="al" password="pw"/></action></recv>
    <label id="ok"/>
    <send><![CDATA[
      SIP/2.0 [field0 line=[$right]]200 OK
      [last_Via:]
      [last_From:]
      [last_To:];tag=[local_tag]
      [last_Call-ID:]
      [last_CSeq:]
      X-Right: [$right]
      Content-Length: 0
    ]]></send>`.replace("[field0 line=[$right]]", ""));
  const second = OPTIONS.replace(
    "Max-Forwards: 70",
    "Max-Forwards: 70\n[authentication username=al password=pw]",
  );
  const { ok, network } = play(
    OPTIONS.replace('response="200"', 'response="401" auth="true"') + second,
    {},
    challenged,
  );
  assertEquals(ok, 1);
  assertEquals(network.log.at(-1)!.text.includes("X-Right: true"), true);

  const { log: lines } = play(`${OPTIONS.replace("200", "202")}<nop/>
    <label id="_unexp.main"/><nop><action>${log("unexpected at [$_unexp.retaddr]")}</action></nop>`);
  assertEquals(lines, ["unexpected at 1.000000"]);
});

Deno.test("start_txn and response_txn tell two INVITEs apart; a Call-ID with /// belongs to its call", () => {
  const invite = (txn: string, callId = "[call_id]") =>
    `<send start_txn="${txn}"><![CDATA[
      INVITE sip:x@[remote_ip] SIP/2.0
      Via: SIP/2.0/UDP [local_ip]:[local_port];branch=[branch]
      From: <sip:a@x>;tag=1
      To: <sip:x@x>
      Call-ID: ${callId}
      CSeq: [cseq] INVITE
      Max-Forwards: 70
      Content-Length: 0
    ]]></send>`;
  const ack = `<send ack_txn="a"><![CDATA[
      ACK sip:x@[remote_ip] SIP/2.0
      Via: SIP/2.0/UDP [local_ip]:[local_port];branch=[branch]
      From: <sip:a@x>;tag=1
      To: <sip:x@x>[peer_tag_param]
      Call-ID: x///[call_id]
      CSeq: 1 ACK
      Max-Forwards: 70
      Content-Length: 0
    ]]></send>`;
  const called = scenarioOf(
    BYELESS.replace('<recv request="BYE"/>', ""),
  );
  const { ok, failures } = play(
    `${invite("a", "x///[call_id]")}<recv response="180" optional="true"/>
    <recv response="200" response_txn="a"/>${ack}`,
    {},
    called,
  );
  assertEquals([ok, failures], [1, {}]);
});
/** A called side that is done with ACK. */
const BYELESS = `<recv request="INVITE"/><send retrans="500"><![CDATA[
  SIP/2.0 200 OK
  [last_Via:]
  [last_From:]
  [last_To:];tag=[local_tag]
  [last_Call-ID:]
  [last_CSeq:]
  Content-Length: 0
]]></send><recv request="ACK"/><recv request="BYE"/>`;

Deno.test("requests that belong to no call: the out-of-call scenario takes them", () => {
  const network = new TestNetwork(1);
  const ooc = scenarioOf(`<recv request=".*" regexp_match="true"/>
    <send><![CDATA[
      SIP/2.0 299 Out
      [last_Via:]
      [last_From:]
      [last_To:];tag=1
      [last_Call-ID:]
      [last_CSeq:]
    ]]></send>
    <timewait milliseconds="100"/>`);
  const called = network.engine({ scenario: UAS, outOfCall: ooc, local: CALLED });
  const caller = network.engine({
    scenario: scenarioOf(OPTIONS.replace("200", "299")),
    local: CALLER,
    remote: CALLED,
    calls: 3,
  });
  network.run(() => caller.done && called.open === 0, 5000);
  assertEquals([caller.statistics.ok, called.statistics.ok], [3, 3]);
});
