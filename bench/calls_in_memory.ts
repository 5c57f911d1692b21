/**
 * What whole calls cost in the proxy's core, without sockets: INVITE, 407, ACK, INVITE, 180, 200, ACK, BYE, 200 in virtual
 * time at 2,000 calls/s, so that as many transactions live as in a real proxy. CPU time of all threads around the
 * proxy's own calls; that of the agents is not counted.
 *
 *     deno run -A bench/calls_in_memory.ts [pc|preemptive|none] [auto|lanes|hash-wasm|noble] [calls]
 */
import process from "node:process";
import {
  type Address,
  ByteWriter,
  deriveCredential,
  ha1,
  ha1Algorithm,
  type HashChoice,
  HeaderId,
  loadHashBackend,
  type Located,
  parseFlags,
  response,
  seededRandom,
  SipMessage,
  type SipTarget,
  toHex,
} from "../mod.ts";
import { PROXY_FLAGS } from "../proxy/options.ts";
import { Proxy } from "../proxy/proxy.ts";
import { readSettings } from "../proxy/settings.ts";
import { Authenticator, RequestAuth } from "../uac/authenticator.ts";
import { Statistics } from "../uac/statistics.ts";

const [mode = "pc", choice = "auto", count = "60000"] = Deno.args;
const PHONE: Address = { host: "192.0.2.10", port: 5061 };
const CALLED: Address = { host: "192.0.2.20", port: 5080 };
const REALM = "example.com";
const URI = "sip:service@example.com:5060";
const PASSWORD = "5b1f0e6c9d";
const USERS = 1000;
const CHAIN = 10;
/** Calls that go side by side. */
const ROUND = 64;
const CALLS_PER_MS = 2;
/** Lines that are printed, one after the other. */
const SLICES = 6;
const CONTACT = `Contact: <sip:service@${CALLED.host}:${CALLED.port}>`;
const SDP =
  "v=0\r\no=user1 53655765 2353687637 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\n" +
  "m=audio 6000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n";

interface Call {
  readonly auth: RequestAuth;
  readonly callId: string;
  readonly username: string;
  cseq: number;
  message: Uint8Array;
  from: Address;
  /** What the proxy sent when it got the message. */
  sent: Uint8Array[];
}

const { backend } = await loadHashBackend(choice as HashChoice);
const random = seededRandom(1);
const userAt = (i: number) => ({ username: `user${String(i + 1).padStart(6, "0")}`, password: PASSWORD });
const encoder = new TextEncoder();
const writer = new ByteWriter(4096);
const view = new SipMessage();
let now = 0;
let calls = 0;
let spentUs = 0;
let sent = 0;
let current: Call;

const cpuUs = () => {
  const { user, system } = process.cpuUsage();
  return user + system;
};

const { values } = parseFlags(PROXY_FLAGS, [
  ...["--listen", "udp:192.0.2.1:5060", "--realm", REALM, "--next_hop", `sip:${CALLED.host}:${CALLED.port}`],
  ...["--auth", mode === "none" ? "none" : "pc"],
]);
const environment = {
  random,
  now: 0,
  send: (buffer: Uint8Array, start: number, end: number) => {
    sent++;
    current.sent.push(buffer.slice(start, end));
    return true;
  },
  locate: (_: SipTarget, done: Located) => done([], now),
  log: (event: string, fields: unknown) => console.log(event, fields),
};
const proxy = new Proxy(values, readSettings(values), backend, environment, {
  connected: true,
  issue: (algorithm, identities, done) => {
    const outcomes = identities.map((user) => {
      const secret = ha1(backend.get(ha1Algorithm(algorithm)), user, PASSWORD);
      const credential = deriveCredential(backend.get(algorithm), secret, user, random.bytes(16), CHAIN);
      return { status: "ok", credential, ttl: 1e6, serial: 0 } as const;
    });
    done(outcomes, now);
  },
  verify: (answers, done) => done(answers.map(() => "ok"), now),
});
const agentOptions = {
  mode: "pc",
  preemptive: mode === "preemptive",
  bye: false,
  realms: [REALM],
  hop: "proxy",
} as const;
const agents = mode === "none"
  ? undefined
  : new Authenticator(agentOptions, backend, random, new Statistics().auth);

function newCall(): Call {
  const i = calls++ % USERS;
  const user = userAt(i);
  const auth = new RequestAuth();
  agents?.assign(auth, user);
  const callId = `${calls}-${toHex(random.bytes(8))}@${PHONE.host}`;
  return { auth, callId, username: user.username, cseq: 1, message: writer.buffer, from: PHONE, sent: [] };
}

function expect(right: boolean, what: string): void {
  if (!right) throw new Error(`the proxy did not send ${what}`);
}

function head(call: Call, method: string, uri: string, branch: string, to: string, lines: string): string {
  const { callId, username, cseq } = call;
  return `${method} ${uri} SIP/2.0\r\nVia: SIP/2.0/UDP ${PHONE.host}:${PHONE.port};rport;branch=z9hG4bK${branch}\r\n` +
    `${lines}From: ${username} <sip:${username}@${REALM}>;tag=${callId}\r\nTo: ${to}\r\nCall-ID: ${callId}\r\n` +
    `CSeq: ${cseq} ${method}\r\nContact: <sip:${username}@${PHONE.host}:${PHONE.port}>\r\nMax-Forwards: 70\r\n`;
}

/** Writes the INVITE of a call; whether it carries an answer. */
function invite(call: Call): boolean {
  const { callId, cseq } = call;
  writer.clear();
  writer.text(head(call, "INVITE", URI, `${callId}-${cseq}`, `service <${URI}>`, ""));
  const before = writer.length;
  agents?.write(writer, call.auth, { method: "INVITE", uri: URI, callId, cseq }, true);
  const answered = writer.length > before;
  if (answered) writer.crlf();
  writer.text(`Content-Type: application/sdp\r\nContent-Length: ${SDP.length}\r\n\r\n${SDP}`);
  call.message = writer.buffer.slice(0, writer.length);
  call.from = PHONE;
  return answered;
}

function bare(call: Call, method: string, uri: string, branch: string, to: string, lines: string): void {
  call.message = encoder.encode(`${head(call, method, uri, branch, to, lines)}Content-Length: 0\r\n\r\n`);
  call.from = PHONE;
}

function answer(call: Call, request: Uint8Array, status: number, body?: string): void {
  const headers = body === undefined ? [CONTACT] : [CONTACT, "Content-Type: application/sdp"];
  call.message = response(parse(request), status, undefined, { toTag: "1", source: CALLED, headers, body });
  call.from = CALLED;
}

function parse(bytes: Uint8Array): SipMessage {
  expect(view.parse(bytes, 0, bytes.length) === undefined, "a well-formed message");
  return view;
}

const last = (call: Call) => call.sent[call.sent.length - 1];

/** The proxy gets the message of each call. */
function feed(round: readonly Call[]): void {
  for (const call of round) call.sent.length = 0;
  const before = cpuUs();
  for (const call of round) {
    current = call;
    proxy.receive(call.message, 0, call.message.length, call.from, now);
    proxy.flush(now);
  }
  spentUs += cpuUs() - before;
}

function challenge(round: readonly Call[]): void {
  feed(round);
  for (const call of round) {
    const message = parse(last(call));
    expect(message.status === 407, "407");
    agents!.challenged(call.auth, message);
    bare(call, "ACK", URI, `${call.callId}-${call.cseq}`, message.value(HeaderId.TO)!, "");
  }
  feed(round);
  for (const call of round) {
    call.cseq++;
    expect(invite(call), "a challenge that is answered");
  }
}

function oneRound(): void {
  const round = Array.from({ length: ROUND }, newCall);
  now += ROUND / CALLS_PER_MS;
  const before = cpuUs();
  proxy.advance(now);
  spentUs += cpuUs() - before;
  const unanswered = round.filter((call) => !invite(call));
  if (agents !== undefined) challenge(unanswered);
  feed(round);
  const invites = round.map(last);
  for (const [i, call] of round.entries()) answer(call, invites[i], 180);
  feed(round);
  for (const [i, call] of round.entries()) answer(call, invites[i], 200, SDP);
  feed(round);
  const dialogs = round.map((call) => {
    const message = parse(last(call));
    expect(message.status === 200, "200");
    expect(
      (message.first(HeaderId.PROXY_AUTHENTICATION_INFO) >= 0) === (agents !== undefined),
      "a confirmation",
    );
    agents?.answered(call.auth, message);
    const route = `Route: ${message.value(HeaderId.RECORD_ROUTE)}\r\n`;
    return { to: message.value(HeaderId.TO)!, route };
  });
  for (const method of ["ACK", "BYE"]) {
    for (const [i, call] of round.entries()) {
      if (method === "BYE") call.cseq++;
      const uri = `sip:service@${CALLED.host}:${CALLED.port}`;
      bare(call, method, uri, `${method}${call.callId}`, dialogs[i].to, dialogs[i].route);
    }
    feed(round);
  }
  for (const call of round) answer(call, last(call), 200);
  feed(round);
  for (const call of round) expect(parse(last(call)).status === 200, "200 for BYE");
}

for (let slice = 0; slice < SLICES; slice++) {
  spentUs = sent = 0;
  const before = calls;
  while (calls - before < Number(count) / SLICES) oneRound();
  const done = calls - before;
  const { size } = proxy.core.layer;
  console.log(
    `${mode} ${choice}: ${(spentUs / done).toFixed(1)} µs per call, ${
      (sent / done).toFixed(2)
    } sent, ${size} live`,
  );
}
