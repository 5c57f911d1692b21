/**
 * For tests: a proxy in memory and on virtual time, with a DBclient under the test's control, and a caller that knows PC.
 * Everything passes through the text of real messages.
 */
import {
  type Address,
  type ChainAlgorithm,
  chainSeed,
  type Credential,
  deriveCredential,
  type DigestAlgorithm,
  type DigestAnswer,
  DigestHasher,
  digestMatches,
  type DigestQop,
  type Exchange,
  ha1,
  ha1Algorithm,
  type Identity,
  isMalformed,
  loadHashBackend,
  type Located,
  parseAuth,
  parseFlags,
  parsePcChallenge,
  parsePcInfo,
  PcAgent,
  type PcAnswer,
  type PcChallenge,
  type PcInfo,
  renewMac,
  responseMac,
  seededRandom,
  SipMessage,
  type SipTarget,
  toHex,
  type VerifyStatus,
  writePcAnswer,
} from "../mod.ts";
import type { IssueOutcome, IssueService } from "./issue_service.ts";
import type { VerifyService } from "./digest_authenticator.ts";
import { PROXY_FLAGS } from "./options.ts";
import { Proxy } from "./proxy.ts";
import type { ProxyEnvironment } from "./proxy_environment.ts";
import type { RouteFunction } from "./route.ts";
import { readSettings } from "./settings.ts";
import { RECEIVED, record, SENT } from "./test_record.ts";

export const { backend } = await loadHashBackend();

/** The proxy, a phone, the called side, and somebody else. */
export const PROXY: Address = { host: "192.0.2.1", port: 5060 };
export const PHONE: Address = { host: "192.0.2.10", port: 5070 };
export const CALLED: Address = { host: "192.0.2.20", port: 5080 };
export const STRANGER: Address = { host: "198.51.100.66", port: 5060 };

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const hasher = new DigestHasher(backend);

/** A DBclient that answers as the test wants. */
export class FakeDbclient implements IssueService, VerifyService {
  connected = true;
  /** "answer" at once, "hold" until {@linkcode release}, "fail" as an outage, or an error code of ISSUED. */
  mode: "answer" | "hold" | "fail" | "unavailable" | "invalid_name" = "answer";
  n = 10;
  /** s */
  ttl = 3600;
  serial = 0;
  now = 0;
  /** Passwords by "username@realm"; all others get decoys. */
  readonly passwords = new Map([["alice@example.com", "secret"], ["bob@example.com", "geheim"]]);
  /** The users of each ISSUE frame. */
  readonly asked: string[][] = [];
  /** The answers of each VERIFY frame. */
  readonly verified: DigestAnswer[][] = [];
  /** Every credential issued. */
  readonly issued: Credential[] = [];
  readonly #held: (() => void)[] = [];
  readonly #random = seededRandom(4711);

  issue(
    algorithm: ChainAlgorithm,
    users: readonly Identity[],
    done: (outcomes: readonly IssueOutcome[] | undefined, now: number) => void,
  ): void {
    this.asked.push(users.map(({ username, realm }) => `${username}@${realm}`));
    const { serial } = this;
    this.#reply(() => {
      if (this.mode === "fail") return done(undefined, this.now);
      done(users.map((user) => this.#outcome(algorithm, user, serial)), this.now);
    });
  }

  verify(
    answers: readonly DigestAnswer[],
    done: (statuses: readonly VerifyStatus[] | undefined, now: number) => void,
  ): void {
    this.verified.push([...answers]);
    this.#reply(() => {
      if (this.mode === "fail") return done(undefined, this.now);
      done(
        answers.map((answer) => this.mode === "unavailable" ? "unavailable" : this.#check(answer)),
        this.now,
      );
    });
  }

  /** Gives the answers that were held back, oldest first, and answers at once from now on. */
  release(mode: FakeDbclient["mode"] = "answer"): void {
    this.mode = mode;
    for (const answer of this.#held.splice(0)) answer();
  }

  #reply(answer: () => void): void {
    if (this.mode === "hold") this.#held.push(answer);
    else answer();
  }

  #outcome(algorithm: ChainAlgorithm, identity: Identity, serial: number): IssueOutcome {
    if (this.mode === "unavailable" || this.mode === "invalid_name") {
      return { status: "error", code: this.mode };
    }
    const password = this.passwords.get(`${identity.username}@${identity.realm}`) ?? "decoy of nobody";
    const secret = ha1(backend.get(ha1Algorithm(algorithm)), identity, password);
    const credential = deriveCredential(
      backend.get(algorithm),
      secret,
      identity,
      this.#random.bytes(16),
      this.n,
    );
    this.issued.push(credential);
    return { status: "ok", credential, ttl: this.ttl, serial };
  }

  #check(answer: DigestAnswer): VerifyStatus {
    const password = this.passwords.get(`${answer.username}@${answer.realm}`);
    if (password === undefined) return "wrong";
    const algorithm = answer.algorithm as DigestAlgorithm;
    const secret = hasher.text(algorithm, `${answer.username}:${answer.realm}:${password}`);
    const { nonce, method, uri, nc, cnonce, bodyHash } = answer;
    const qop = answer.qop === "" ? undefined : answer.qop as DigestQop;
    const input = { algorithm, nonce, method, uri, qop, nc, cnonce, bodyHash };
    return digestMatches(hasher, secret, input, answer.response) ? "ok" : "wrong";
  }
}

/** Something that the proxy sent. */
export interface Sent {
  readonly at: number;
  readonly to: Address;
  readonly text: string;
  readonly bytes: Uint8Array;
}

/** What a harness is made with. */
export interface HarnessOptions {
  /** Usual flags that are left out. */
  readonly without?: readonly string[];
  readonly route?: RouteFunction;
  /** Addresses of names; a name that is missing has none. */
  readonly names?: Readonly<Record<string, string | readonly string[]>>;
  /** Where users are, instead of a location of the proxy's own. */
  readonly location?: ProxyEnvironment["location"];
}

const USUAL = [
  "--listen",
  "udp:192.0.2.1:5060",
  "--realm",
  "example.com",
  "--next_hop",
  "sip:192.0.2.20:5080",
];

/** A proxy built from flags as the program builds it. */
export class ProxyHarness {
  now = 0;
  readonly dbclient = new FakeDbclient();
  readonly sent: Sent[] = [];
  readonly logs: string[] = [];
  /** Lines of the log that tell of refused requests. */
  readonly refusals: string[] = [];
  readonly proxy: Proxy;
  /** What `send` returns. */
  transportWorks = true;
  /** Look-ups of names that wait, when the test holds them back. */
  readonly lookUps: { readonly host: string; done(...addresses: string[]): void }[] = [];
  holdLookUps = false;

  /** @param flags added to the usual ones; a flag given again replaces it */
  constructor(flags: readonly string[] = [], options: HarnessOptions = {}) {
    const usual: string[] = [];
    for (let i = 0; i < USUAL.length; i += 2) {
      if (!flags.includes(USUAL[i]) && options.without?.includes(USUAL[i]) !== true) {
        usual.push(USUAL[i], USUAL[i + 1]);
      }
    }
    const { values } = parseFlags(PROXY_FLAGS, [...usual, ...flags]);
    const environment = {
      random: seededRandom(1),
      now: 0,
      location: options.location,
      send: (buffer: Uint8Array, start: number, end: number, to: Address): boolean => {
        const bytes = buffer.slice(start, end);
        record(bytes, SENT);
        this.sent.push({ at: this.now, to, text: decoder.decode(bytes), bytes });
        return this.transportWorks;
      },
      locate: ({ host, port, transport }: SipTarget, done: Located) => {
        const finish = (...addresses: string[]) =>
          done(
            addresses.map((ip) => ({
              host: ip,
              port: port || 5060,
              ...transport === undefined ? {} : { transport },
            })),
            this.now,
          );
        if (this.holdLookUps) this.lookUps.push({ host, done: finish });
        else finish(...[options.names?.[host] ?? []].flat());
      },
      log: (event: string, fields: Readonly<Record<string, string | number>>) =>
        void (event === "refused" ? this.refusals : this.logs).push(`${event} ${JSON.stringify(fields)}`),
    };
    this.proxy = new Proxy(values, readSettings(values), backend, environment, this.dbclient, options.route);
  }

  /** A datagram comes in; everything that needs no waiting happens. */
  receive(text: string | Uint8Array, from: Address = PHONE): void {
    const content = typeof text === "string" ? encoder.encode(this.#tagged(text)) : text;
    record(content, RECEIVED);
    const buffer = new Uint8Array(content.length + 20).fill(0x78);
    buffer.set(content, 7);
    this.dbclient.now = this.now;
    this.proxy.receive(buffer, 7, 7 + content.length, from, this.now);
    buffer.fill(0x78); // Nobody may have kept the bytes.
    this.proxy.flush(this.now);
  }

  /** Lets a `Route:` line bring back the dialog's tag, as an agent does with Record-Route. `route:` is left alone. */
  #tagged(text: string): string {
    const callId = /^Call-ID: (.*)$/m.exec(text)?.[1].trim() ?? "";
    const did = this.proxy.core.dialogTags.tag(callId);
    return text.replace(/^(Route: .*?<sip:192\.0\.2\.1(?::5060)?;lr)(?!;did)/gm, `$1;did=${did}`);
  }

  /** Lets time pass. */
  runTo(time: number): void {
    while (this.now < time) {
      this.now = Math.min(time, this.now + 10);
      this.dbclient.now = this.now;
      this.proxy.advance(this.now);
      this.proxy.flush(this.now);
    }
  }

  /** DBclient gives the answers that it held back. */
  release(mode?: FakeDbclient["mode"]): void {
    this.dbclient.now = this.now;
    this.dbclient.release(mode);
  }

  /** Lets routes that wait for a promise go on. */
  async settled(): Promise<void> {
    for (let i = 0; i < 20; i++) await Promise.resolve();
    this.proxy.flush(this.now);
    for (let i = 0; i < 20; i++) await Promise.resolve();
  }

  /** Everything sent since the last call. */
  take(): Sent[] {
    return this.sent.splice(0);
  }

  /** First lines of what was sent since the last call, with the port that it went to. */
  takeLines(): string[] {
    return this.take().map(({ text, to }) => `${to.port} ${firstLine(text)}`);
  }

  /** The only thing sent since the last call. */
  takeOne(): string {
    const sent = this.take();
    if (sent.length !== 1) {
      throw new Error(`${sent.length} messages instead of one: ${sent.map(({ text }) => firstLine(text))}`);
    }
    return sent[0].text;
  }

  /** A request comes in and is answered: sends it, and gives back the one response, a 100 aside. */
  ask(text: string, from: Address = PHONE): string {
    this.receive(text, from);
    const sent = this.take().filter(({ text }) => !text.startsWith("SIP/2.0 100"));
    if (sent.length !== 1) {
      throw new Error(`${sent.length} messages instead of one: ${sent.map(({ text }) => firstLine(text))}`);
    }
    return sent[0].text;
  }
}

/** The first line of a message. */
export function firstLine(text: string): string {
  return text.slice(0, text.indexOf("\r\n"));
}

/** The status of a response; 0 for a request. */
export function statusOf(text: string): number {
  return text.startsWith("SIP/2.0 ") ? Number(text.slice(8, 11)) : 0;
}

/** All values of the header lines with this name. */
export function headers(text: string, name: string): string[] {
  const head = text.slice(0, text.indexOf("\r\n\r\n") + 2);
  const lines = head.split("\r\n").slice(1);
  const start = `${name.toLowerCase()}:`;
  return lines.filter((line) => line.toLowerCase().startsWith(start)).map((line) =>
    line.slice(start.length).trim()
  );
}

/** The only value of a header. */
export function header(text: string, name: string): string {
  const values = headers(text, name);
  if (values.length !== 1) throw new Error(`${values.length} ${name} in\n${text}`);
  return values[0];
}

/** A message without the header lines of this name. */
export function without(text: string, name: string): string {
  return text.split("\r\n").filter((line) => !line.toLowerCase().startsWith(`${name.toLowerCase()}:`)).join(
    "\r\n",
  );
}

/** What a request of these tests can have otherwise than the usual. */
export interface RequestParts {
  readonly uri?: string;
  readonly branch?: string;
  readonly via?: string;
  readonly from?: string;
  readonly to?: string;
  /** The values of Contact, one line each. */
  readonly contacts?: readonly string[];
  readonly toTag?: string;
  readonly callId?: string;
  readonly cseq?: number;
  readonly maxForwards?: number | "none";
  readonly headers?: readonly string[];
  readonly body?: string;
}

let branches = 0;

/** A request of the phone as text; a new branch each time unless one is given. */
export function request(method: string, parts: RequestParts = {}): string {
  const toTag = parts.toTag === undefined ? "" : `;tag=${parts.toTag}`;
  const body = parts.body ?? "";
  return [
    `${method} ${parts.uri ?? "sip:bob@example.com"} SIP/2.0`,
    `Via: ${parts.via ?? `SIP/2.0/UDP 192.0.2.10:5070;branch=${parts.branch ?? `z9hG4bK-t${++branches}`}`}`,
    ...(parts.maxForwards === "none" ? [] : [`Max-Forwards: ${parts.maxForwards ?? 70}`]),
    ...(parts.headers ?? []),
    `From: ${parts.from ?? "Alice <sip:alice@example.com>"};tag=a1`,
    `To: ${parts.to ?? "Bob <sip:bob@example.com>"}${toTag}`,
    `Call-ID: ${parts.callId ?? "7f3a9c@192.0.2.10"}`,
    `CSeq: ${parts.cseq ?? 1} ${method}`,
    ...(parts.contacts ?? ["<sip:alice@192.0.2.10:5070>"]).map((value) => `Contact: ${value}`),
    `Content-Length: ${encoder.encode(body).length}`,
    "",
    body,
  ].join("\r\n");
}

/** A response to a request as it arrived, as text. */
export function response(
  request: string,
  status: number,
  extra: readonly string[] = [],
  toTag = "b1",
): string {
  const lines = request.split("\r\n").filter((line) => /^(Via|Record-Route|From|Call-ID|CSeq):/i.test(line));
  const to = request.split("\r\n").find((line) => line.startsWith("To:"))!.replace(/;tag=.*/, "");
  return [
    `SIP/2.0 ${status} Reason`,
    ...lines,
    `${to}${status === 100 ? "" : `;tag=${toTag}`}`,
    ...extra,
    "Content-Length: 0",
    "",
    "",
  ].join("\r\n");
}

/** The ACK of a failure response, by the rules of a client transaction (RFC 3261 §17.1.1.3). */
export function ackOf(request: string, response: string): string {
  const lines = request.split("\r\n").filter((line) => /^(Via|Max-Forwards|From|Call-ID):/i.test(line));
  const [cseq] = header(request, "CSeq").split(" ");
  return [
    firstLine(request).replace("INVITE", "ACK"),
    ...lines,
    `To: ${header(response, "To")}`,
    `CSeq: ${cseq} ACK`,
    "Content-Length: 0",
    "",
    "",
  ].join("\r\n");
}

/** The CANCEL of an INVITE (RFC 3261 §9.1). */
export function cancelOf(request: string): string {
  const lines = request.split("\r\n").filter((line) => /^(Via|Max-Forwards|From|To|Call-ID):/i.test(line));
  const [cseq] = header(request, "CSeq").split(" ");
  return [
    firstLine(request).replace("INVITE", "CANCEL"),
    ...lines,
    `CSeq: ${cseq} CANCEL`,
    "Content-Length: 0",
    "",
    "",
  ].join("\r\n");
}

/** The PC challenges of a 401 or 407. */
export function challengesOf(text: string): PcChallenge[] {
  return [...headers(text, "Proxy-Authenticate"), ...headers(text, "WWW-Authenticate")]
    .filter((value) => value.startsWith("PC "))
    .map((value) => {
      const challenge = parsePcChallenge(parseAuth(value));
      if (isMalformed(challenge)) {
        throw new Error(`malformed challenge: ${challenge.field} ${challenge.problem}`);
      }
      return challenge;
    });
}

/** The only PC challenge. */
export function challengeOf(text: string): PcChallenge {
  const challenges = challengesOf(text);
  if (challenges.length !== 1) throw new Error(`${challenges.length} challenges in\n${text}`);
  return challenges[0];
}

/** The PC confirmations of a response. */
export function infosOf(text: string): PcInfo[] {
  return [...headers(text, "Proxy-Authentication-Info"), ...headers(text, "Authentication-Info")].map(
    (value) => {
      const info = parsePcInfo(parseAuth(value));
      if (isMalformed(info)) throw new Error(`malformed info: ${info.field} ${info.problem}`);
      return info;
    },
  );
}

/** Reads a text as a message; an error when it is none. */
export function parse(text: string): SipMessage {
  const message = new SipMessage();
  const bytes = encoder.encode(text);
  const problem = message.parse(bytes, 0, bytes.length);
  if (problem !== undefined) throw new Error(`${problem.text} in\n${text}`);
  return message;
}

/** A user agent that knows PC: makes requests with answers, and reads what comes back. */
export class PcCaller {
  readonly agent: PcAgent;
  exchange: Exchange;
  cseq = 0;

  constructor(
    readonly username = "alice",
    password = "secret",
    seed = 9,
    readonly answerHeader = "Proxy-Authorization",
  ) {
    this.agent = new PcAgent(backend, seededRandom(seed), [{ username, realm: "example.com", password }]);
    this.exchange = this.agent.begin("proxy");
  }

  /** A new request; with pre-emptive answers when the agent has a chain. */
  request(method: string, parts: RequestParts = {}): string {
    this.exchange = this.agent.begin("proxy");
    const answers = this.agent.preempt(this.exchange, this.#next(method, parts));
    return this.#write(method, parts, answers);
  }

  /** The same again with answers to the challenges of a response. */
  again(challenged: string, method: string, parts: RequestParts = {}): string {
    const before = {
      callId: header(challenged, "Call-ID"),
      cseq: Number(header(challenged, "CSeq").split(" ")[0]),
    };
    const next = this.#next(method, parts);
    const reaction = this.agent.challenged(this.exchange, challengesOf(challenged), before, next);
    if (reaction.kind === "refuse") throw new Error(`the agent refuses: ${reaction.reason}`);
    return this.#write(method, parts, reaction.answers);
  }

  /** What the agent makes of a final response. */
  confirm(text: string): string {
    const cseq = Number(header(text, "CSeq").split(" ")[0]);
    return this.agent.confirm(this.exchange, statusOf(text), infosOf(text), {
      callId: header(text, "Call-ID"),
      cseq,
    });
  }

  #next(method: string, parts: RequestParts) {
    this.cseq = parts.cseq ?? this.cseq + 1;
    return {
      method,
      uri: parts.uri ?? "sip:bob@example.com",
      callId: parts.callId ?? "7f3a9c@192.0.2.10",
      cseq: this.cseq,
      ...(parts.body === undefined ? {} : { body: encoder.encode(parts.body) }),
    };
  }

  #write(method: string, parts: RequestParts, answers: readonly PcAnswer[]): string {
    const lines = answers.map((answer) => `${this.answerHeader}: ${writePcAnswer(answer)}`);
    return request(method, {
      from: `<sip:${this.username}@example.com>`,
      ...parts,
      cseq: this.cseq,
      headers: [...lines, ...(parts.headers ?? [])],
    });
  }
}

/** What {@linkcode craftAnswer} answers for, and how. */
export interface CraftOptions {
  readonly method?: string;
  readonly uri?: string;
  readonly callId?: string;
  readonly cseq: number;
  readonly seq: number | "none";
  readonly password?: string;
  /** Puts auth-int in, over this body. */
  readonly body?: string;
  /** Replaced after the MAC was computed. */
  readonly changes?: Partial<PcAnswer>;
}

/** An answer made by hand from a credential, for what no agent would send. The value of the header. */
export function craftAnswer(credential: Credential, opaque: string, options: CraftOptions): string {
  const { algorithm, username, realm, nonce, n, key } = credential;
  const hash = backend.get(algorithm);
  const { seq, cseq, method = "INVITE", uri = "sip:bob@example.com", callId = "7f3a9c@192.0.2.10" } = options;
  const secret = ha1(backend.get(ha1Algorithm(algorithm)), credential, options.password ?? "secret");
  const chain = hash.chain(nonce, chainSeed(hash, secret, nonce, n), n);
  const bodyHash = options.body === undefined ? undefined : toHex(hash.digest(encoder.encode(options.body)));
  const identity = { method, uri, callId, cseq };
  const none = seq === "none";
  return writePcAnswer({
    username,
    realm,
    algorithm,
    nonce: toHex(nonce),
    opaque,
    uri,
    seq: none ? undefined : seq,
    token: none ? undefined : chain.slice(seq * hash.size, (seq + 1) * hash.size),
    response: none
      ? renewMac(hash, key, opaque, identity, bodyHash)
      : responseMac(hash, key, opaque, seq, identity, bodyHash),
    qop: bodyHash === undefined ? undefined : "auth-int",
    ...options.changes,
  });
}

/** Takes a call of a PC caller up to the INVITE as it was forwarded to the called side. */
export function forwardedCall(
  harness: ProxyHarness,
  caller: PcCaller,
  parts: RequestParts = {},
): { readonly invite: string; readonly forwarded: string } {
  let invite = caller.request("INVITE", parts);
  for (let attempt = 0; attempt < 6; attempt++) {
    const answer = harness.ask(invite);
    if (statusOf(answer) === 0) return { invite, forwarded: answer };
    if (statusOf(answer) !== 407) throw new Error(`unexpected: ${firstLine(answer)}`);
    harness.receive(ackOf(invite, answer));
    invite = caller.again(answer, "INVITE", parts);
  }
  throw new Error("challenged for ever");
}
