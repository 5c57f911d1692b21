/** Every message that the proxy sends in the conformance, torture and transport tests, as Wireshark reads it. */
import { assert, assertEquals } from "@std/assert";
import { inTempDir, ROOT } from "../../proxy/test_process.ts";
import { beginCapture, capturedPacket, RECEIVED, SENT } from "../../proxy/test_record.ts";
import { request, response } from "../../proxy/testing.ts";
import { peerTest, runPeer } from "./programs_io.ts";

/** Tests whose messages are looked at; they run once more for it. */
const RECORDED: readonly string[] = [
  "proxy/conformance/",
  "proxy/digest_authenticator_test.ts",
  "proxy/pc_authenticator_test.ts",
  "proxy/proxy_core_test.ts",
  "proxy/registrar/registrar_test.ts",
  "tests/torture/",
  "tests/transports_test.ts",
];
/** Fewer would mean that nothing was recorded. */
const LEAST_MESSAGES = 5000;
/** PI_WARN of epan/proto.h. */
const WARNING = 0x600000;

/** A message with what Wireshark has to say about it. */
interface Frame {
  readonly source: string;
  readonly callId: string;
  readonly isSip: boolean;
  /** Malformed, or what experts have said of warning and above. */
  readonly marks: readonly string[];
  readonly text: string;
}

async function decoded(dir: string, file: string): Promise<Frame[]> {
  const fields = ["exported_pdu.ipv4_src", "sip.Call-ID", "sip.Request-Line", "sip.Status-Line"];
  const marks = ["_ws.malformed", "_ws.expert.severity", "_ws.expert.message"];
  const columns = [...fields, ...marks].flatMap((field) => ["-e", field]);
  const { code, said } = await runPeer(
    "tshark",
    ["-r", file, "-T", "fields", "-E", "separator=/t", "-E", "aggregator=\x01", ...columns],
    { cwd: dir },
  );
  assertEquals(code, 0, said.slice(-2000));
  return said.split("\n").filter((line) => line.startsWith("192.0.2.")).map((line) => {
    const [source, callId, request, status, malformed, severities, messages] = line.split("\t");
    const texts = messages.split("\x01");
    const found = severities.split("\x01").flatMap((severity, i) =>
      Number(severity) >= WARNING ? [texts[i]] : []
    );
    // A note of the group "malformed" has no text in the field _ws.malformed.
    if (malformed !== "") found.push(...texts);
    return {
      source,
      callId: callId.split("\x01")[0],
      isSip: request !== "" || status !== "",
      marks: [...new Set(found)],
      text: `${request}${status}`,
    };
  });
}

/**
 * Messages with marks that are the proxy's own. What somebody else has written the proxy must not change: a mark of what
 * was received, in its copy or in the header lines that a response repeats, is theirs.
 */
function ownMarks(frames: readonly Frame[]): Frame[] {
  const theirs = new Map<string, Set<string>>();
  let last: readonly string[] = [];
  const own: Frame[] = [];
  for (const frame of frames) {
    const known = theirs.get(frame.callId) ?? new Set();
    if (frame.source === SENT.join(".")) {
      if (frame.marks.some((mark) => !last.includes(mark) && !known.has(mark))) own.push(frame);
      continue;
    }
    last = frame.marks;
    for (const mark of last) known.add(mark);
    if (known.size > 0) theirs.set(frame.callId, known);
  }
  return own;
}

peerTest("tshark decodes every message that the proxy sends", ["tshark"], () =>
  inTempDir(async (dir) => {
    const file = `${dir}/messages.pcap`;
    await beginCapture(file);
    const tests = await new Deno.Command(Deno.execPath(), {
      args: ["test", "-A", "--quiet", "--no-check", ...RECORDED],
      cwd: ROOT,
      stdin: "null",
      stdout: "piped",
      stderr: "null",
      env: { PROXYCHAIN_CAPTURE: file, NO_COLOR: "1" },
    }).output();
    assertEquals(tests.code, 0, new TextDecoder().decode(tests.stdout).slice(-4000));

    const frames = await decoded(dir, file);
    const sent = frames.filter(({ source }) => source === SENT.join("."));
    assert(sent.length > LEAST_MESSAGES, `${sent.length} messages`);
    assertEquals(sent.filter(({ isSip }) => !isSip), []);
    assertEquals(ownMarks(frames), []);
  }));

peerTest("tshark marks what is malformed", ["tshark"], () =>
  inTempDir(async (dir) => {
    const file = `${dir}/messages.pcap`;
    await beginCapture(file);
    const good = response(request("OPTIONS"), 200);
    const bad = good.replace("Content-Length: 0", "Content-Length 0");
    const packets: [string, readonly number[]][] = [
      [bad, SENT],
      [good, SENT],
      [bad, RECEIVED],
      [bad, SENT],
    ];
    for (const [text, source] of packets) {
      await Deno.writeFile(file, capturedPacket(new TextEncoder().encode(text), source), { append: true });
    }
    const frames = await decoded(dir, file);
    assertEquals(frames.map(({ marks }) => marks.length > 0), [true, false, true, true]);
    assertEquals(ownMarks(frames), [frames[0]]);
  }));
