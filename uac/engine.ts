/**
 * The traffic generator without its sockets and clocks: datagrams and the time go in, datagrams come out. Calls start
 * on schedule whatever the answers do (open loop), so latencies count from the scheduled time.
 */
import {
  type Address,
  type ByteWriter,
  DigestHasher,
  formatAddress,
  type HashBackend,
  HeaderId,
  type Random,
  response,
  responseAddress,
  SipMessage,
  TimerWheel,
  toHex,
  writeHexWord,
} from "../mod.ts";
import { type ActionHost, CONTINUE } from "./actions.ts";
import { Authenticator, type AuthOptions, type ChainStates } from "./authenticator.ts";
import { Call, SentPool } from "./call.ts";
import { CallTable, RecentCalls } from "./call_table.ts";
import { InjectionFiles } from "./injection.ts";
import { readParameters, type RunFacts } from "./keywords.ts";
import { type CompiledStep, compileOrThrow, type Program } from "./program.ts";
import { type Behaviors, CallRunner } from "./runner.ts";
import type { Scenario } from "./scenario.ts";
import { type Report, Statistics } from "./statistics.ts";
import { type Value, Variables } from "./variables.ts";

/** How a run goes. Times in ms. */
export interface EngineOptions {
  readonly scenario: Scenario;
  /** Name of its file, for messages. */
  readonly file?: string;
  /** Takes requests that belong to no call: `-oocsf`. */
  readonly outOfCall?: Scenario;
  readonly outOfCallFile?: string;
  readonly local: Address;
  /** Where calls go; a called side has none. */
  readonly remote?: Address;
  /** What is the same in all messages; what is missing follows from the rest. */
  readonly facts?: Partial<RunFacts>;
  /** Messages go over connections. */
  readonly reliable?: boolean;
  /** Calls per `period`: `-r`, `-rp`. */
  readonly rate?: number;
  readonly period?: number;
  /** Calls in all, 0: no end: `-m`. */
  readonly calls?: number;
  /** Calls open at once: `-l`. */
  readonly limit?: number;
  /** So many users call without a break, instead of a rate: `-users`. */
  readonly users?: number;
  /** Length of a pause that has none of its own: `-d`. */
  readonly pause?: number;
  /** How long an expected message may take, 0: for ever: `-recv_timeout`. */
  readonly recvTimeout?: number;
  readonly retransmit?: boolean;
  readonly maxInviteRetrans?: number;
  readonly maxRetrans?: number;
  readonly t2?: number;
  readonly lost?: number;
  readonly behaviors?: Partial<Behaviors>;
  readonly ignoreInPause?: boolean;
  readonly baseCseq?: number;
  /** Pattern of Call-IDs: `-cid_str`. */
  readonly callIdPattern?: string;
  readonly files?: InjectionFiles;
  /** Values of global variables: `-set`. */
  readonly set?: Readonly<Record<string, string>>;
  /** `-tdmmap` */
  readonly circuits?: readonly string[];
  /** `-au`, `-ap` */
  readonly username?: string;
  readonly password?: string;
  readonly auth?: Partial<AuthOptions>;
  readonly authUri?: string;
  readonly chainStates?: ChainStates;
  readonly sendTo?: Address;
  /** For authentication; without it, no challenge is answered. */
  readonly hashes?: HashBackend;
  readonly random: Random;
  /** ms since 1970. */
  readonly wallClock?: () => number;
  /** Files that `[file]` may read. @throws {Error} one line */
  readonly readFile?: (name: string) => Uint8Array;
  /** Does `<exec command>`; absent: it is not allowed. */
  readonly exec?: (command: string) => void;
  /** What went wrong with a call or message, a line each: `-trace_err`. */
  readonly onError?: (line: string) => void;
  /** Is told of every message; the bytes are only valid during the call. */
  readonly onMessage?: (sent: boolean, bytes: Uint8Array, start: number, end: number, peer: Address) => void;
  /** Is told of every call's end; `failure` is "" when it succeeded. */
  readonly onEnd?: (callId: string, failure: string) => void;
  /** The scenario's own log. */
  readonly onLog?: (line: string) => void;
  /** The scenario ends the run at once. */
  readonly onStop?: () => void;
}

/** What carries the messages. A socket is a number; 0 is the one that all calls share, unless each has its own. */
export interface Transport {
  /** The bytes are only valid during the call. */
  send(bytes: Uint8Array, start: number, end: number, to: Address, socket: number): void;
  /** Whether a call may start: it has a socket. When that changes, {@linkcode Engine.advance} is called. */
  ready?(): boolean;
  /** A socket for a new call, and its address; undefined: the shared one. */
  take?(call: Call): { readonly socket: number; readonly local: Address } | undefined;
  give?(socket: number): void;
  closeConnection?(socket: number): void;
  /** @throws {Error} one line */
  setDestination?(call: Call, to: Address, protocol: string): void;
}

/** Sends a datagram; the bytes are only valid during the call. */
export type Send = (bytes: Uint8Array, start: number, end: number, to: Address) => void;

/** After a stall the missing calls start in portions of this, so that answers are read in between. */
const MAX_STARTS = 256;
/** Ended call records kept for reuse. */
const MAX_SPARE_CALLS = 16_384;
/** Random bytes are fetched in such portions. */
const RANDOM_BYTES = 2048;
/** SIPp's caller. */
const NOBODY = "sipp";
const DEFAULT_PASSWORD = "password";
const DEFAULT_BEHAVIORS: Behaviors = { bye: true, abortUnexpected: true, reply: true, autoAnswer: false };
/** SIPp's defaults of `[dynamic_id]`. */
const DYNAMIC = { start: 10_000, max: 12_000, step: 4 };
const SLASH = 0x2f;
const encoder = new TextEncoder();

function stepName({ kind, template, response, request }: CompiledStep<Call>): string {
  const what = kind === "send"
    ? template!.method || template!.status
    : kind === "recv"
    ? request || response
    : "";
  return `${kind} ${what}`.trim();
}

/** What others see of a run. */
export type RunView = Pick<
  Engine,
  "statistics" | "program" | "variables" | "open" | "rate" | "paused" | "startedAt" | "report"
>;

/** A run of one scenario, as caller or as called side. */
export class Engine {
  readonly statistics: Statistics = new Statistics();
  readonly program: Program<Call>;
  readonly variables: Variables = new Variables();
  readonly #outOfCall: Program<Call> | undefined;
  readonly #init: readonly CompiledStep<Call>[];
  readonly #options: EngineOptions;
  readonly #transport: Transport;
  readonly #wheel: TimerWheel;
  readonly #calls: CallTable;
  readonly #recent: RecentCalls;
  readonly #spare: Call[] = [];
  readonly #pool = new SentPool();
  readonly #runner: CallRunner;
  readonly #authenticator: Authenticator | undefined;
  readonly #message = new SipMessage();
  readonly #files: InjectionFiles;
  readonly #startAt: number;
  readonly #limit: number;
  readonly #callIdTail: Uint8Array;
  readonly #userValues: Value[][] = [];
  readonly #freeUsers: number[] = [];
  readonly #freeCircuits: string[];
  readonly #hex = new Uint8Array(8);
  #randomPool: Uint8Array = new Uint8Array(0);
  #randomUsed = RANDOM_BYTES;
  #maxSteps = 1;
  #interval: number;
  /** The call number at which the rate was set last, and when it is due. */
  #rateFrom = 0;
  #rateAt: number;
  #toStart: number;
  #open = 0;
  #lingering = 0;
  #lastStartAt: number;
  /** Since when calls wait for room, and since when they have had it again. */
  #full = false;
  #roomAt = -Infinity;
  #dynamicId: number;
  #now: number;
  #stopped = false;
  #paused = false;
  #overdueAtStop = 0;

  /**
   * @param send what carries the messages; a function is a single socket
   * @param now the time in ms: a caller's first call is due at once
   * @throws {ScenarioError} if the scenario cannot be run
   */
  constructor(options: EngineOptions, send: Send | Transport, now: number) {
    this.#options = options;
    this.#transport = typeof send === "function" ? { send } : send;
    this.#now =
      this.#startAt =
      this.#lastStartAt =
      this.#rateAt =
        now;
    this.#wheel = new TimerWheel(now);
    this.#recent = new RecentCalls(now);
    const { local, remote, scenario, random, facts = {} } = options;
    this.#calls = new CallTable(random.bytes(8));
    this.#files = options.files ?? new InjectionFiles();
    const client = scenario.role === "client";
    if (client && remote === undefined) throw new TypeError("a caller needs a remote address");
    const prefix = toHex(random.bytes(4));
    this.#callIdTail = encoder.encode(`@${local.host}`);
    const all: RunFacts = {
      service: "service",
      remoteHost: facts.remoteHost,
      remoteIp: remote?.host,
      remotePort: remote?.port,
      localIp: local.host,
      localPort: local.port,
      transport: options.reliable ? "TCP" : "UDP",
      pid: random.below(2 ** 31),
      domain: options.auth?.realms?.[0] ?? remote?.host ?? local.host,
      branchPrefix: prefix,
      ...facts,
    };
    this.#dynamicId = all.dynamicStart ?? DYNAMIC.start;
    if (options.hashes !== undefined) {
      const auth: AuthOptions = {
        mode: "any",
        preemptive: true,
        bye: false,
        hop: remote === undefined ? "" : formatAddress(remote),
        ...options.auth,
      };
      this.#authenticator = new Authenticator(auth, options.hashes, random, this.statistics.auth);
      if (options.chainStates !== undefined) this.#authenticator.restore(options.chainStates);
    }
    this.#runner = new CallRunner({
      statistics: this.statistics,
      authenticator: this.#authenticator,
      wheel: this.#wheel,
      pool: this.#pool,
      variables: this.variables,
      random,
      pause: options.pause ?? 0,
      recvTimeout: options.recvTimeout ?? 0,
      reliable: options.reliable ?? false,
      retransmit: options.retransmit ?? true,
      maxInviteRetrans: options.maxInviteRetrans ?? Infinity,
      maxRetrans: options.maxRetrans ?? Infinity,
      t2: options.t2 ?? 4000,
      lost: options.lost ?? 0,
      behaviors: { ...DEFAULT_BEHAVIORS, ...options.behaviors },
      authUri: options.authUri ?? "",
      sendTo: options.sendTo,
      ignoreInPause: options.ignoreInPause ?? false,
      branchPrefix: encoder.encode(`z9hG4bK-${all.branchPrefix}-`),
      credentials: (call) => this.#credentials(call),
      writeUser: (call, out) => this.#writeUser(call, out),
      send: (call, bytes, length, to) => {
        this.statistics.sent++;
        this.#options.onMessage?.(true, bytes, 0, length, to);
        this.#transport.send(bytes, 0, length, to, call.socket);
      },
      ended: (call, failure, now) => this.#end(call, failure, now),
      lingers: (call, now) => this.#linger(call, now),
      problem: (call, text) => this.#problem(call.callId.toString(), text),
    });
    const host = this.#host(all);
    const { program, init } = compileOrThrow(scenario, host, options.file ?? scenario.name);
    this.program = program;
    this.#init = init;
    if (options.outOfCall !== undefined) {
      const file = options.outOfCallFile ?? options.outOfCall.name;
      this.#outOfCall = compileOrThrow(options.outOfCall, host, file).program;
    }
    this.#maxSteps = Math.max(program.steps.length, this.#outOfCall?.steps.length ?? 0, init.length, 1);
    this.statistics.steps = program.counts;
    this.statistics.prepare(program.timers.length, scenario.responseTimes, scenario.callLengths);
    this.#interval = (options.period ?? 1000) / (options.rate ?? 10);
    this.#limit = options.users ?? (options.limit || Infinity);
    this.#toStart = options.calls || Infinity;
    for (let user = (options.users ?? 0) - 1; user >= 0; user--) this.#freeUsers.push(user);
    this.#freeCircuits = [...options.circuits ?? []];
    for (const [name, value] of Object.entries(options.set ?? {})) {
      const ref = this.variables.ref(name);
      this.variables.globals[ref.slot] = value;
    }
    this.#initialize(now);
  }

  /** Calls that have not ended. */
  get open(): number {
    return this.#open;
  }

  /** As many calls as were asked for have been made or taken, and all have ended. */
  get done(): boolean {
    return this.#open === 0 && (this.#stopped || this.statistics.started >= this.#toStart) &&
      (this.program.role === "client" || this.#lingering === 0);
  }

  /** The clock at the start, ms. */
  get startedAt(): number {
    return this.#startAt;
  }

  /** Calls per second. */
  get rate(): number {
    return 1000 / this.#interval;
  }

  /** Another rate from now on, in calls per `period`; 0: no calls. */
  setRate(rate: number, now: number): void {
    this.#rateFrom = this.statistics.started;
    this.#rateAt = now;
    this.#interval = rate > 0 ? (this.#options.period ?? 1000) / rate : Infinity;
  }

  /** Whether no calls start for now. */
  get paused(): boolean {
    return this.#paused;
  }

  /** Starts no calls for a while, or goes on: what was due meanwhile is left out. */
  pause(paused: boolean, now: number): void {
    this.#paused = paused;
    this.setRate(this.rate * (this.#options.period ?? 1000) / 1000, now);
  }

  /** What the agents remember, for a later run. */
  chainStates(): ChainStates {
    return this.#authenticator?.states() ?? {};
  }

  /** Takes in buffer[start, end), a message from `from` by a socket. Never throws. */
  receive(buffer: Uint8Array, start: number, end: number, from: Address, now: number, socket = 0): void {
    this.#now = now;
    const { statistics } = this;
    statistics.received++;
    this.#options.onMessage?.(false, buffer, start, end, from);
    const message = this.#message;
    const problem = message.parse(buffer, start, end);
    if (problem !== undefined) {
      if (end - start <= 4) return void statistics.received--; // A keep-alive: CRLF CRLF.
      statistics.malformed++;
      this.#problem("", problem.text);
      return;
    }
    const line = message.first(HeaderId.CALL_ID);
    const call = this.#find(buffer, message.valueStart(line), message.valueEnd(line));
    if (call !== undefined) {
      if (message.isRequest) this.#runner.request(call, message, from, now);
      else this.#runner.response(call, message, from, now);
    } else if (message.isRequest) this.#newRequest(message, from, now, socket);
    else {
      const { low, high } = this.#calls.hash;
      if (this.#recent.has(low, high)) return void statistics.deadCall++;
      statistics.unexpected++;
      statistics.outOfCall++;
      this.#problem(message.callId, `a ${message.status} response that belongs to no call`);
    }
  }

  /** The call of a Call-ID; with what stands before "///" left out, as in SIPp. */
  #find(bytes: Uint8Array, start: number, end: number): Call | undefined {
    const call = this.#calls.find(bytes, start, end);
    if (call !== undefined) return call;
    for (let at = start; at + 3 < end; at++) {
      if (bytes[at] === SLASH && bytes[at + 1] === SLASH && bytes[at + 2] === SLASH) {
        return this.#calls.find(bytes, at + 3, end);
      }
    }
    return undefined;
  }

  /** Starts the calls that are due and fires the timers. Call it when {@linkcode nextDue} has come, or later. */
  advance(now: number): void {
    this.#now = now;
    this.#wheel.advance(now);
    this.#recent.advance(now);
    if (this.program.role !== "client") return;
    for (let room = MAX_STARTS; room > 0; room--) {
      const full = !this.#hasRoom();
      if (this.#full && !full) this.#roomAt = now;
      this.#full = full;
      if (full || !this.#mayStart()) break;
      const due = this.#nextStart(now);
      if (due > now) break;
      this.#startCall(due, now);
    }
  }

  #mayStart(): boolean {
    return !this.#stopped && !this.#paused && this.statistics.started < this.#toStart && this.#hasRoom();
  }

  /** A further call is allowed, and has a circuit and a socket. */
  #hasRoom(): boolean {
    return this.#open < this.#limit &&
      (this.#options.circuits === undefined || this.#freeCircuits.length > 0) &&
      (this.#transport.ready?.() ?? true);
  }

  /** When the next call is due. */
  #nextStart(now: number): number {
    if (this.#options.users !== undefined) return now;
    if (this.#interval === Infinity) return Infinity;
    return this.#rateAt + (this.statistics.started - this.#rateFrom) * this.#interval;
  }

  /** When to call {@linkcode advance} next, ms; undefined: not before the next datagram. */
  nextDue(): number | undefined {
    const timer = this.#wheel.nextDue();
    if (this.program.role !== "client" || !this.#mayStart()) return timer;
    const start = this.#nextStart(this.#now);
    return timer === undefined || start < timer ? start : timer;
  }

  /** No further calls; those that are open go on. */
  stop(now: number): void {
    if (this.#stopped) return;
    this.#overdueAtStop = this.#overdue(now);
    this.#stopped = true;
  }

  /** Ends all open calls as failed, without a word to the other side. */
  abort(now: number): void {
    this.stop(now);
    for (const call of this.#calls.all()) if (!call.ended) this.#end(call, "aborted", now);
  }

  /** The figures so far. */
  report(now: number): Report {
    return this.reportOf(this.statistics, {
      ...this.progress(now),
      durationMs: now - this.#startAt,
      open: this.#open,
      rate: this.rate,
    });
  }

  /** How the starts of calls stand: ms from the first to the last, and how many are overdue. */
  progress(now: number): { readonly startingMs: number; readonly overdue: number } {
    const startingMs = this.statistics.started > 1 ? this.#lastStartAt - this.#startAt : 0;
    return { startingMs, overdue: this.#overdue(now) };
  }

  /** A report of this scenario with these figures; the rate in calls per second. */
  reportOf(
    statistics: Statistics,
    { rate, ...about }: {
      readonly durationMs: number;
      readonly startingMs: number;
      readonly overdue: number;
      readonly open: number;
      readonly rate: number;
    },
  ): Report {
    const { program } = this;
    return statistics.report({
      ...about,
      scenario: program.name,
      role: program.role,
      wantedRate: program.role === "client" && this.#options.users === undefined ? rate : 0,
      timers: program.timers,
      counters: program.counters,
      steps: program.steps.map(stepName),
    });
  }

  /** Calls that were due by now, have room, and have not started. */
  #overdue(now: number): number {
    if (this.#stopped) return this.#overdueAtStop;
    if (this.program.role !== "client" || this.#options.users !== undefined || !this.#mayStart()) return 0;
    const due = this.#rateFrom + Math.floor((now - this.#rateAt) / this.#interval) + 1;
    return Math.max(0, Math.min(due, this.#toStart) - this.statistics.started);
  }

  /** What keywords and actions may use. */
  #host(facts: RunFacts): ActionHost<Call> {
    const { options, engine } = { options: this.#options, engine: this };
    const { hashes, random } = options;
    const dynamicStart = facts.dynamicStart ?? DYNAMIC.start;
    return {
      facts,
      variables: this.variables,
      files: this.#files,
      random,
      hasher: hashes === undefined ? undefined : new DigestHasher(hashes),
      mayExec: options.exec !== undefined,
      wallClock: options.wallClock ?? (() => 0),
      clockTick: () => Math.round(engine.#now - engine.#startAt),
      users: () => options.users ?? 0,
      dynamicId: () => {
        const id = engine.#dynamicId;
        engine.#dynamicId += facts.dynamicStep ?? DYNAMIC.step;
        if (engine.#dynamicId > (facts.dynamicMax ?? DYNAMIC.max)) engine.#dynamicId = dynamicStart;
        return id;
      },
      readFile: options.readFile ?? (() => {
        throw new Error("no files may be read");
      }),
      exec: (command) => options.exec?.(command),
      log: (text) => options.onLog?.(text),
      warn: (call, text) => engine.#problem(call.callId.toString(), text),
      fail: (call, reason) => engine.#runner.abort(call, reason, engine.#now),
      stop: (atOnce) => {
        engine.stop(engine.#now);
        if (atOnce) options.onStop?.();
      },
      setDestination: (call, to, protocol) => {
        if (engine.#transport.setDestination !== undefined) {
          engine.#transport.setDestination(call, to, protocol);
        } else if (protocol.toLowerCase() !== (options.reliable ? "tcp" : "udp")) {
          throw new Error(`<setdest>: a call cannot change to ${protocol}`);
        }
        call.remote = to;
      },
      closeConnection: (call) => engine.#transport.closeConnection?.(call.socket),
    };
  }

  /** Does the scenario's `<init>`, once. */
  #initialize(now: number): void {
    if (this.#init.length === 0) return;
    const call = new Call(this.#runner, this.#options.local, this.#maxSteps);
    call.program = this.program;
    let at = 0;
    for (let done = 0; at < this.#init.length && done < 100_000; done++) {
      const step = this.#init[at];
      const { condexec, condexecInverse, test } = step;
      let next = at + 1;
      if (condexec === undefined || this.variables.isSet(call, condexec) !== condexecInverse) {
        for (const action of step.actions) {
          const jump = action(call);
          if (jump !== CONTINUE && jump >= 0) next = jump;
        }
        if (step.jumps && (test === undefined || this.variables.isSet(call, test))) next = step.next;
      }
      at = next;
    }
    this.#now = now;
  }

  #startCall(due: number, now: number): void {
    const { remote, random, users, callIdPattern } = this.#options;
    const call = this.#newCall(remote!);
    const { statistics } = this;
    call.callNumber = ++statistics.started;
    call.cseq = (this.#options.baseCseq ?? 1) - 1;
    if (callIdPattern === undefined) this.#writeCallId(call, random);
    else call.callId.setText(this.#formatCallId(callIdPattern, call));
    call.scheduledAt = due;
    call.startedAt = this.#lastStartAt = now;
    // What a call waited for room is not this program's fault.
    if (this.#roomAt > due) statistics.held++;
    statistics.lag(now - Math.max(due, this.#roomAt));
    if (users !== undefined) call.userId = this.#freeUsers.pop()!;
    if (this.#freeCircuits.length > 0) call.circuit = this.#freeCircuits.shift()!;
    this.#begin(call, this.program, due);
    const own = this.#transport.take?.(call);
    if (own !== undefined) {
      call.socket = own.socket;
      call.local = own.local;
    }
    this.#calls.add(call);
    this.#opened(now);
    this.#runner.run(call, now);
  }

  #opened(now: number): void {
    const { statistics } = this;
    if (++this.#open <= statistics.peak) return;
    statistics.peak = this.#open;
    statistics.peakAt = now - this.#startAt;
  }

  /** What a call has from its start. */
  #begin(call: Call, program: Program<Call>, start: number): void {
    call.program = program;
    call.steps = program.steps;
    const { files } = this.#files;
    if (files.length > 0) {
      call.lines = [];
      for (let i = 0; i < files.length; i++) {
        call.lines.push(files[i].pick(call.userId, this.#options.random));
      }
    }
    // Timers run from the start of the call until a step starts them again.
    for (let i = 0; i < program.timers.length; i++) call.timers[i] = start;
    if (this.variables.userCount > 0) call.userVariables = this.#userValues[call.userId] ??= [];
  }

  /** `number-random@host`: at least 64 random bits (docs/PROTOCOL.md §5), which the number only helps to read. */
  #writeCallId(call: Call, random: Random): void {
    const { callId } = call;
    const out = this.#runner.scratch;
    out.clear();
    if (this.#randomUsed === RANDOM_BYTES) {
      this.#randomPool = random.bytes(RANDOM_BYTES);
      this.#randomUsed = 0;
    }
    const bytes = this.#randomPool;
    out.number(call.callNumber).text("-");
    for (let i = 0; i < 2; i++, this.#randomUsed += 4) {
      const at = this.#randomUsed;
      writeHexWord(bytes[at] << 24 | bytes[at + 1] << 16 | bytes[at + 2] << 8 | bytes[at + 3], this.#hex, 0);
      out.bytes(this.#hex);
    }
    out.bytes(this.#callIdTail);
    callId.set(out.buffer, 0, out.length);
  }

  #formatCallId(pattern: string, { callNumber, local }: Call): string {
    const pid = this.#options.facts?.pid ?? 0;
    return pattern.replace(
      /%([upsq%])/g,
      (_, letter) =>
        letter === "u"
          ? String(callNumber)
          : letter === "p"
          ? String(pid)
          : letter === "s"
          ? local.host
          : "%",
    );
  }

  /** A request that belongs to no open call. */
  #newRequest(message: SipMessage, from: Address, now: number, socket: number): void {
    const { method } = message;
    if (method === "ACK") return;
    const { low, high } = this.#calls.hash;
    const ended = this.#recent.has(low, high);
    const program = ended || message.to.tagStart >= 0 && this.#outOfCall === undefined
      ? undefined
      : this.#programFor(message);
    if (program !== undefined) {
      const call = this.#newCall(from);
      const line = message.first(HeaderId.CALL_ID);
      call.callId.set(message.buffer, message.valueStart(line), message.valueEnd(line));
      call.socket = socket;
      call.scheduledAt = call.startedAt = this.#lastStartAt = now;
      call.callNumber = ++this.statistics.started;
      this.statistics.incoming++;
      this.#begin(call, program, now);
      this.#calls.add(call);
      this.#opened(now);
      return this.#runner.request(call, message, from, now);
    }
    // An INVITE that comes again after its call is over has been answered; a BYE that does lost its answer.
    if (ended) {
      this.statistics.retransmissionsReceived++;
      this.statistics.deadCall++;
    } else {
      this.statistics.unexpected++;
      this.statistics.outOfCall++;
      this.#problem(message.callId, `${method} that belongs to no call`);
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
    this.statistics.sent++;
    const to = responseAddress(message.topVia()!, from, this.#options.reliable ?? false);
    this.#options.onMessage?.(true, bytes, 0, bytes.length, to);
    this.#transport.send(bytes, 0, bytes.length, to, socket);
  }

  /** The scenario that takes a request which begins a call. */
  #programFor(message: SipMessage): Program<Call> | undefined {
    if (this.program.role === "server" && !this.#stopped && message.to.tagStart < 0) {
      // What is optional at the beginning may come, or what follows it.
      for (const step of this.program.steps) {
        if (step.kind === "nop") continue;
        if (step.kind !== "recv") break;
        const { method } = message;
        if (step.pattern === undefined ? step.request === method : step.pattern.test(method)) {
          return this.program;
        }
        if (step.optional === 0) break;
      }
    }
    return this.#outOfCall;
  }

  #newCall(remote: Address): Call {
    const { local } = this.#options;
    const call = this.#spare.pop() ?? new Call(this.#runner, remote, this.#maxSteps);
    call.ended = false;
    call.remote = call.receivedFrom = remote;
    call.local = local;
    call.localTag = this.#options.random.below(2 ** 32) | 0;
    return call;
  }

  /** The credentials of a call: of its line of the first injection file, else those of the command line. */
  #credentials(call: Call): { readonly username: string; readonly password: string } {
    const { username, password, facts } = this.#options;
    const file = this.#files.files[0];
    if (username === undefined && file !== undefined) {
      const line = call.lines[0];
      const name = file.text(line, 0);
      const secret = file.text(line, 1);
      if (secret.startsWith("[authentication")) {
        // SIPp's form: the field is the keyword with its parameters.
        const { username = name, password = "" } = readParameters(secret.slice("[authentication".length, -1));
        return { username, password };
      }
      if (secret !== "") return { username: name, password: secret };
    }
    return { username: username ?? facts?.service ?? "service", password: password ?? DEFAULT_PASSWORD };
  }

  #writeUser(call: Call, out: ByteWriter): void {
    const { username } = this.#options;
    const file = this.#files.files[0];
    if (username !== undefined || file === undefined) out.text(username ?? NOBODY);
    else file.write(out, call.lines[0], 0);
  }

  /** A call is over, but for what may come again. */
  #linger(call: Call, now: number): void {
    if (call.ended) return;
    call.ended = true;
    this.#count(call, "", now);
    this.#lingering++;
  }

  #count(call: Call, failure: string, now: number): void {
    this.#open--;
    if (this.#full && this.#hasRoom()) {
      this.#full = false;
      this.#roomAt = now;
    }
    this.statistics.callLength(now - call.startedAt);
    this.#options.onEnd?.(call.callId.toString(), failure);
    if (failure === "") this.statistics.ok++;
    else {
      this.statistics.fail(failure);
      this.#problem(call.callId.toString(), failure);
    }
    if (this.#options.users !== undefined) this.#freeUsers.push(call.userId);
    if (call.circuit !== "") this.#freeCircuits.push(call.circuit);
  }

  #end(call: Call, failure: string, now: number): void {
    this.#wheel.cancel(call);
    if (call.ended) this.#lingering--;
    else this.#count(call, failure, now);
    call.ended = true;
    this.#calls.delete(call);
    this.#recent.add(call.hashLow, call.hashHigh);
    if (call.socket !== 0) this.#transport.give?.(call.socket);
    call.reset(this.#pool);
    // Who called this is still at work with it: ended, and not to be used again before.
    call.ended = true;
    if (this.#spare.length < MAX_SPARE_CALLS) this.#spare.push(call);
  }

  #problem(callId: string, text: string): void {
    this.statistics.warnings++;
    const { onError } = this.#options;
    if (onError === undefined) return;
    const seconds = ((this.#now - this.#startAt) / 1000).toFixed(3);
    onError(`${seconds} s: ${callId === "" ? "" : `call ${callId}: `}${text}`);
  }
}
