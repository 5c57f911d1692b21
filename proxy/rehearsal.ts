/**
 * Calls with a proxy in memory, before the real one serves: V8 compiles the way of a message while it is gone, some
 * thousand times until all of it is at full speed, and the first callers of the day would pay for that in delay and
 * processor time. Nothing of a rehearsal stays but the compiled code. Sans-I/O; the clock is an argument.
 */
import {
  type Address,
  chainSeed,
  type Credential,
  deriveCredential,
  ha1,
  ha1Algorithm,
  type HashBackend,
  type Identity,
  type Random,
  responseMac,
  toHex,
  writePcAnswer,
} from "../mod.ts";
import type { IssueOutcome } from "./issue_service.ts";
import type { ProxyValues } from "./options.ts";
import { Proxy } from "./proxy.ts";
import { readSettings } from "./settings.ts";

/** Addresses and names that nobody has (RFC 5737, RFC 2606). */
const LISTEN = "192.0.2.1:5060";
const REALM = "rehearsal.invalid";
const PHONE: Address = { host: "192.0.2.10", port: 5061 };
const CALLED: Address = { host: "192.0.2.20", port: 5080 };
const URI = `sip:service@${REALM}`;
const SDP = "v=0\r\no=- 1 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\n" +
  "m=audio 6000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n";

const USERS = 32;
const CHAIN = 10;
const PASSWORD = "nobody's";
/** Virtual time between two calls, ms: so many are remembered that all timers fire, and no more. */
const PACE_MS = 40;
/** Calls between two looks at the clock. */
const STRIDE = 16;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A credential and the tokens of it that are left. */
interface Issued {
  readonly credential: Credential;
  /** h_0 … h_n, one after the other. */
  readonly chain: Uint8Array;
  next: number;
}

/** A proxy with its callers, called side and DBclient. */
export class Rehearsal {
  readonly #proxy: Proxy;
  readonly #issued = new Map<string, Issued>();
  readonly #isPc: boolean;
  /** What the proxy sent last to the caller, and to the called side. */
  #toCaller = "";
  #toCalled = "";
  readonly #buffer = new Uint8Array(65_536);
  #at = 0;
  #now = 0;
  #calls = 0;

  constructor(values: ProxyValues, private readonly hashes: HashBackend, private readonly random: Random) {
    const staged = {
      ...values,
      listen: [`udp:${LISTEN}`],
      advertise: undefined,
      realm: [REALM],
      next_hop: `sip:${CALLED.host}:${CALLED.port}`,
      max_users: 4 * USERS,
      max_transactions: 16_384,
      from_alias: [],
      peers: [],
      // The way of a Digest answer leads through promises, which a rehearsal has no time for.
      auth: values.auth === "digest" ? "none" as const : values.auth,
      auth_methods: ["INVITE"],
      pc_enable: true,
    };
    const settings = readSettings(staged);
    this.#isPc = settings.auth === "pc" || settings.auth === "both";
    const environment = {
      random,
      now: 0,
      send: (buffer: Uint8Array, start: number, end: number, to: Address): boolean => {
        const text = decoder.decode(buffer.subarray(start, end));
        if (to.port === CALLED.port) this.#toCalled = text;
        else this.#toCaller = text;
        return true;
      },
      resolve: () => {},
      log: () => {},
    };
    this.#proxy = new Proxy(staged, settings, hashes, environment, {
      connected: true,
      issue: (algorithm, users, done) => done(users.map((user) => this.#issue(algorithm, user)), this.#now),
      verify: (answers, done) => done(answers.map(() => "ok"), this.#now),
    });
  }

  #issue(algorithm: Credential["algorithm"], user: Identity): IssueOutcome {
    const hash = this.hashes.get(algorithm);
    const secret = ha1(this.hashes.get(ha1Algorithm(algorithm)), user, PASSWORD);
    const nonce = this.random.bytes(16);
    const credential = deriveCredential(hash, secret, user, nonce, CHAIN);
    const chain = hash.chain(nonce, chainSeed(hash, secret, nonce, CHAIN), CHAIN);
    this.#issued.set(toHex(nonce), { credential, chain, next: CHAIN - 1 });
    return { status: "ok", credential, ttl: 3600, serial: 0 };
  }

  /** What the proxy has counted. */
  statistics(): Record<string, number> {
    return this.#proxy.statistics();
  }

  /** One call from INVITE to the answer of BYE. */
  call(): void {
    const number = ++this.#calls;
    this.#now += PACE_MS;
    this.#proxy.advance(this.#now);
    const call = {
      id: `${number}-${toHex(this.random.bytes(8))}@${PHONE.host}`,
      user: `user${number % USERS}`,
    };
    const invite = (cseq: number, answer: string) =>
      this.#receive(
        this.#request("INVITE", URI, call, cseq, `-${cseq}`, "", answer) +
          `Content-Type: application/sdp\r\nContent-Length: ${SDP.length}\r\n\r\n${SDP}`,
        PHONE,
      );
    let cseq = 1;
    invite(cseq, "");
    if (this.#isPc) {
      const challenge = this.#toCaller;
      this.#receive(
        `${this.#request("ACK", URI, call, cseq, `-${cseq}`, ";tag=x", "")}Content-Length: 0\r\n\r\n`,
        PHONE,
      );
      cseq++;
      invite(cseq, this.#answer(challenge, call, cseq));
    }
    const forwarded = this.#toCalled;
    const contact = `Contact: <sip:${CALLED.host}:${CALLED.port};transport=UDP>\r\n`;
    this.#receive(`${response(180, forwarded)}${contact}Content-Length: 0\r\n\r\n`, CALLED);
    this.#receive(
      `${
        response(200, forwarded)
      }${contact}Content-Type: application/sdp\r\nContent-Length: ${SDP.length}\r\n\r\n${SDP}`,
      CALLED,
    );
    const route = headerLine(this.#toCaller, "Record-Route").replace("Record-Route", "Route");
    for (const method of ["ACK", "BYE"]) {
      if (method === "BYE") cseq++;
      const uri = `sip:${CALLED.host}:${CALLED.port};transport=UDP`;
      const request = this.#request(method, uri, call, cseq, method, ";tag=called", route);
      this.#receive(`${request}Content-Length: 0\r\n\r\n`, PHONE);
    }
    this.#receive(`${response(200, this.#toCalled)}Content-Length: 0\r\n\r\n`, CALLED);
  }

  #request(
    method: string,
    uri: string,
    call: { readonly id: string; readonly user: string },
    cseq: number,
    branch: string,
    toTag: string,
    lines: string,
  ): string {
    return `${method} ${uri} SIP/2.0\r\nVia: SIP/2.0/UDP ${PHONE.host}:${PHONE.port};rport;branch=z9hG4bK-${call.id}${branch}\r\n` +
      `From: "${call.user}" <sip:${call.user}@${REALM}>;tag=caller\r\nTo: <${URI}>${toTag}\r\nCall-ID: ${call.id}\r\n` +
      `CSeq: ${cseq} ${method}\r\nContact: <sip:${call.user}@${PHONE.host}:${PHONE.port}>\r\nMax-Forwards: 70\r\n${lines}`;
  }

  /** The answer to a challenge as a header line. */
  #answer(challenge: string, call: { readonly id: string; readonly user: string }, cseq: number): string {
    const nonce = /: PC .*nonce="([0-9a-f]+)"/.exec(challenge)?.[1] ?? "";
    const opaque = /opaque="([0-9a-f]+)"/.exec(challenge)?.[1] ?? "";
    const issued = this.#issued.get(nonce);
    if (issued === undefined || issued.next < 0) return "";
    const { credential: { algorithm, key, username, realm }, chain } = issued;
    const hash = this.hashes.get(algorithm);
    const seq = issued.next--;
    if (seq === 0) this.#issued.delete(nonce);
    const request = { method: "INVITE", uri: URI, callId: call.id, cseq };
    const qop = challenge.includes("auth-int") ? "auth-int" as const : undefined;
    const bodyHash = qop === undefined ? undefined : toHex(hash.digest(encoder.encode(SDP)));
    const token = chain.slice(seq * hash.size, (seq + 1) * hash.size);
    const mac = responseMac(hash, key, opaque, seq, request, bodyHash);
    const answer = { username, realm, algorithm, nonce, opaque, seq, token, uri: URI, response: mac, qop };
    return `Proxy-Authorization: ${writePcAnswer(answer)}\r\n`;
  }

  /** The proxy gets a message, in a place of a large buffer as from a socket. */
  #receive(text: string, from: Address): void {
    if (this.#at + 4096 > this.#buffer.length) this.#at = 0;
    const start = this.#at;
    const { written } = encoder.encodeInto(text, this.#buffer.subarray(start));
    this.#at += written;
    this.#proxy.receive(this.#buffer, start, start + written, from, this.#now);
    this.#proxy.flush(this.#now);
  }
}

/** A response of the called side up to its last header lines. */
function response(status: number, request: string): string {
  const lines = request.split("\r\n").filter((line) => /^(Via|Record-Route|From|Call-ID|CSeq):/.test(line));
  const to = headerLine(request, "To").trimEnd();
  return `SIP/2.0 ${status} Reason\r\n${lines.join("\r\n")}\r\n${to}${
    to.includes(";tag=") ? "" : ";tag=called"
  }\r\n`;
}

/** The first line of a header with its end; "" when there is none. */
function headerLine(message: string, name: string): string {
  const line = message.split("\r\n").find((line) => line.startsWith(`${name}:`));
  return line === undefined ? "" : `${line}\r\n`;
}

/**
 * Rehearses.
 *
 * @param values of the proxy; names and addresses in them are not used
 * @param most calls at most
 * @param clock ms
 * @param budget ms after which it ends
 * @returns how many calls were made
 */
export function rehearse(
  values: ProxyValues,
  hashes: HashBackend,
  random: Random,
  most: number,
  clock: () => number,
  budget: number,
): number {
  const rehearsal = new Rehearsal(values, hashes, random);
  const end = clock() + budget;
  let calls = 0;
  while (calls < most && clock() < end) {
    for (let i = 0; i < STRIDE; i++) rehearsal.call();
    calls += STRIDE;
  }
  return calls;
}
