/**
 * The traffic generator without its sockets and clocks: datagrams and the time go in, datagrams come out. Calls start
 * on schedule whatever the answers do (open loop), so latencies count from the scheduled time.
 */
import {
  type Address,
  formatAddress,
  type HashBackend,
  type Random,
  response,
  responseAddress,
  SipMessage,
  TimerWheel,
  toHex,
} from "../mod.ts";
import { Authenticator, type AuthOptions } from "./authenticator.ts";
import { Call, SentPool } from "./call.ts";
import { RecentCalls } from "./recent_calls.ts";
import { CallRunner } from "./runner.ts";
import { type CompiledScenario, compileScenario, type Scenario } from "./scenario.ts";
import { type Report, Statistics } from "./statistics.ts";
import { oneUser, type Users } from "./users.ts";

/** How a run goes. Times in ms. */
export interface EngineOptions {
  readonly scenario: Scenario;
  readonly local: Address;
  /** Where calls go; a called side has none. */
  readonly remote?: Address;
  /** `-s` */
  readonly service?: string;
  /** Calls per `period`: `-r`, `-rp`. */
  readonly rate?: number;
  readonly period?: number;
  /** Calls in all, 0: no end: `-m`. */
  readonly calls?: number;
  /** Calls open at once: `-l`. */
  readonly limit?: number;
  /** Length of a pause that has none of its own: `-d`. */
  readonly pause?: number;
  /** How long an expected message may take, 0: for ever: `-recv_timeout`. */
  readonly recvTimeout?: number;
  /** Who calls; default: "sipp" without a password. */
  readonly users?: Users;
  readonly auth?: Partial<AuthOptions>;
  /** Domain of From, and realm; default: the remote host. */
  readonly domain?: string;
  /** `[pid]` */
  readonly pid?: number;
  readonly keys?: Readonly<Record<string, string>>;
  /** For authentication; without it, no challenge is answered. */
  readonly hashes?: HashBackend;
  readonly random: Random;
  /** What went wrong with a call or message, a line each: `-trace_err`. */
  readonly onError?: (line: string) => void;
}

/** Sends a datagram; the bytes are only valid during the call. */
export type Send = (bytes: Uint8Array, start: number, end: number, to: Address) => void;

/** After a stall the missing calls start in portions of this, so that answers are read in between. */
const MAX_STARTS = 256;
/** Ended call records kept for reuse. */
const MAX_SPARE_CALLS = 16_384;
/** SIPp's caller. */
const NOBODY = oneUser("sipp", undefined);

/** A run of one scenario, as caller or as called side. */
export class Engine {
  readonly statistics: Statistics = new Statistics();
  readonly scenario: CompiledScenario;
  readonly #options: EngineOptions;
  readonly #wheel: TimerWheel;
  readonly #calls = new Map<string, Call>();
  readonly #recent: RecentCalls;
  readonly #spare: Call[] = [];
  readonly #pool = new SentPool();
  readonly #runner: CallRunner;
  readonly #authenticator: Authenticator | undefined;
  readonly #message = new SipMessage();
  readonly #send: Send;
  readonly #startAt: number;
  readonly #interval: number;
  readonly #limit: number;
  #toStart: number;
  #lastStartAt: number;
  #now: number;

  /**
   * @param now the time in ms: a caller's first call is due at once
   * @throws {ScenarioError} if the scenario cannot be run
   */
  constructor(options: EngineOptions, send: Send, now: number) {
    this.#options = options;
    this.#send = send;
    this.#now = this.#startAt = this.#lastStartAt = now;
    this.#wheel = new TimerWheel(now);
    this.#recent = new RecentCalls(now);
    const { local, remote, scenario, service = "service", random } = options;
    if (scenario.role === "client" && remote === undefined) {
      throw new TypeError("a caller needs a remote address");
    }
    const domain = options.domain ?? remote?.host ?? local.host;
    this.scenario = compileScenario(scenario, {
      service,
      remoteIp: remote?.host,
      remotePort: remote?.port,
      localIp: local.host,
      localPort: local.port,
      transport: "UDP",
      pid: options.pid ?? random.below(2 ** 31),
      domain,
      keys: options.keys ?? {},
    });
    if (options.hashes !== undefined) {
      const auth: AuthOptions = {
        mode: "any",
        preemptive: true,
        bye: false,
        realm: domain,
        hop: remote === undefined ? "" : formatAddress(remote),
        ...options.auth,
      };
      this.#authenticator = new Authenticator(auth, options.hashes, random, this.statistics.auth);
    }
    this.#runner = new CallRunner({
      scenario: this.scenario,
      statistics: this.statistics,
      authenticator: this.#authenticator,
      wheel: this.#wheel,
      pool: this.#pool,
      pause: options.pause ?? 0,
      recvTimeout: options.recvTimeout ?? 0,
      send: (bytes, length, to) => this.#transmit(bytes, length, to),
      ended: (call, failure, now) => this.#end(call, failure, now),
      problem: (call, text) => this.#problem(call.callId, text),
    });
    this.#interval = (options.period ?? 1000) / (options.rate ?? 10);
    this.#limit = options.limit || Infinity;
    this.#toStart = scenario.role === "client" ? options.calls || Infinity : 0;
  }

  /** Calls that have not ended. */
  get open(): number {
    return this.#calls.size;
  }

  /** A caller has placed all its calls and all have ended. A called side is never done. */
  get done(): boolean {
    return this.scenario.role === "client" && this.statistics.started >= this.#toStart &&
      this.#calls.size === 0;
  }

  /** Takes in buffer[start, end), a datagram from `from`. Never throws. */
  receive(buffer: Uint8Array, start: number, end: number, from: Address, now: number): void {
    this.#now = now;
    const { statistics } = this;
    statistics.received++;
    const message = this.#message;
    const problem = message.parse(buffer, start, end);
    if (problem !== undefined) {
      if (end - start <= 4) return void statistics.received--; // A keep-alive: CRLF CRLF.
      statistics.malformed++;
      this.#problem("", problem.text);
      return;
    }
    const call = this.#calls.get(message.callId);
    if (call !== undefined) {
      if (message.isRequest) this.#runner.request(call, message, from, now);
      else this.#runner.response(call, message, from, now);
    } else if (message.isRequest) this.#newRequest(message, from, now);
    else if (!this.#recent.has(message.callId)) {
      statistics.unexpected++;
      this.#problem(message.callId, `a ${message.status} response that belongs to no call`);
    }
  }

  /** Starts the calls that are due and fires the timers. Call it when {@linkcode nextDue} has come, or later. */
  advance(now: number): void {
    this.#now = now;
    this.#wheel.advance(now);
    this.#recent.advance(now);
    let room = MAX_STARTS;
    while (this.statistics.started < this.#toStart && this.#calls.size < this.#limit && room-- > 0) {
      const due = this.#startAt + this.statistics.started * this.#interval;
      if (due > now) break;
      this.#startCall(due, now);
    }
  }

  /** When to call {@linkcode advance} next, ms; undefined: not before the next datagram. */
  nextDue(): number | undefined {
    const timer = this.#wheel.nextDue();
    if (this.statistics.started >= this.#toStart || this.#calls.size >= this.#limit) return timer;
    const start = this.#startAt + this.statistics.started * this.#interval;
    return timer === undefined || start < timer ? start : timer;
  }

  /** No further calls; those that are open go on. */
  stop(): void {
    this.#toStart = this.statistics.started;
  }

  /** Ends all open calls as failed, without a word to the other side. */
  abort(now: number): void {
    this.stop();
    for (const call of [...this.#calls.values()]) this.#end(call, "aborted", now);
  }

  /** The figures so far. */
  report(now: number): Report {
    const { statistics, scenario } = this;
    return statistics.report({
      scenario: scenario.name,
      role: scenario.role,
      durationMs: now - this.#startAt,
      startingMs: statistics.started > 1 ? this.#lastStartAt - this.#startAt : 0,
      wantedRate: scenario.role === "client" ? 1000 / this.#interval : 0,
      open: this.#calls.size,
    });
  }

  #startCall(due: number, now: number): void {
    const { users = NOBODY, remote, local, random } = this.#options;
    const call = this.#newCall(remote!);
    const { statistics } = this;
    call.callNumber = ++statistics.started;
    // At least 64 random bits (docs/PROTOCOL.md §5), which the number only helps to read.
    call.callId = `${call.callNumber}-${toHex(random.bytes(8))}@${local.host}`;
    call.scheduledAt = due;
    call.startedAt = this.#lastStartAt = now;
    statistics.lag(now - due);
    const index = users.pick(call.callNumber - 1, random);
    call.user = users.get(index);
    this.#authenticator?.assign(call.auth, index, call.user);
    this.#calls.set(call.callId, call);
    this.#runner.run(call, now);
  }

  /** A request that belongs to no open call. */
  #newRequest(message: SipMessage, from: Address, now: number): void {
    const { method, callId } = message;
    if (method === "ACK") return;
    const ended = this.#recent.has(callId);
    const first = this.scenario.steps[0];
    if (
      !ended && message.toTag === "" && this.scenario.role === "server" && first.kind === "recv" &&
      first.request === method
    ) {
      const call = this.#newCall(from);
      call.callNumber = ++this.statistics.started;
      call.callId = callId;
      call.scheduledAt = call.startedAt = this.#lastStartAt = now;
      this.#calls.set(callId, call);
      this.#runner.request(call, message, from, now);
      return;
    }
    // An INVITE that comes again after its call is over has been answered; a BYE that does lost its answer.
    if (ended) this.statistics.retransmissionsReceived++;
    else {
      this.statistics.unexpected++;
      this.#problem(callId, `${method} that belongs to no call`);
    }
    if (ended && method === "INVITE") return;
    const status = ended || method === "OPTIONS"
      ? 200
      : message.toTag === "" && method !== "CANCEL"
      ? 405
      : 481;
    const toTag = toHex(this.#options.random.bytes(4));
    const bytes = response(message, status, undefined, {
      toTag,
      source: from,
      headers: status === 405 ? ["Allow: INVITE, ACK, CANCEL, BYE, OPTIONS"] : [],
    });
    this.#transmit(bytes, bytes.length, responseAddress(message.topVia()!, from, false));
  }

  #newCall(remote: Address): Call {
    const call = this.#spare.pop() ?? new Call(this.#runner, remote);
    call.remote = call.receivedFrom = remote;
    const random = toHex(this.#options.random.bytes(8));
    call.localTag = random.slice(0, 8);
    call.branchBase = `z9hG4bK${random.slice(8)}-`;
    return call;
  }

  #transmit(bytes: Uint8Array, length: number, to: Address): void {
    this.statistics.sent++;
    this.#send(bytes, 0, length, to);
  }

  #end(call: Call, failure: string, now: number): void {
    this.#wheel.cancel(call);
    if (failure === "") this.statistics.ok++;
    else {
      this.statistics.fail(failure);
      this.#problem(call.callId, failure);
    }
    this.#calls.delete(call.callId);
    this.#recent.add(call.callId, now);
    call.reset(this.#pool);
    if (this.#spare.length < MAX_SPARE_CALLS) this.#spare.push(call);
  }

  #problem(callId: string, text: string): void {
    const { onError } = this.#options;
    if (onError === undefined) return;
    const seconds = ((this.#now - this.#startAt) / 1000).toFixed(3);
    onError(`${seconds} s: ${callId === "" ? "" : `call ${callId}: `}${text}`);
  }
}
