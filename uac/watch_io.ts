/** All that looks at a run and steers it while it goes on: screens, keys, trace files, the rate that grows. */
import { formatAddress, now } from "../mod.ts";
import type { EngineOptions } from "./engine.ts";
import type { Command } from "./flags.ts";
import { Ladder } from "./ladder.ts";
import type { Fleet } from "./fleet_io.ts";
import type { Run } from "./run_io.ts";
import type { ScreenFacts } from "./screens.ts";
import { Series } from "./series.ts";
import { snapshot } from "./sipp_figures.ts";
import { progressLine } from "./summary.ts";
import { type Controls, ControlSocket, hasTerminal, Screens } from "./terminal_io.ts";
import { Traces } from "./trace_io.ts";
import { BindError } from "./transports_io.ts";

/** What a watch may do to the run. */
export interface Steering {
  /** No new calls; a second time, the end at once. */
  end(): void;
  endNow(): void;
}

/** Name of the scenario in names of files. */
function scenarioName({ sf, sn }: Command["values"]): string {
  if (sf === undefined) return sn;
  const name = sf.slice(sf.lastIndexOf("/") + 1);
  return name.endsWith(".xml") ? name.slice(0, -4) : name;
}

/** Watches a run. */
export class Watch {
  readonly ladder: Ladder | undefined;
  series: Series | undefined;
  readonly #values: Command["values"];
  readonly #traces: Traces;
  readonly #terminal: boolean;
  readonly #timers: ReturnType<typeof setInterval>[] = [];
  #screens: Screens | undefined;
  #socket: ControlSocket | undefined;
  #run: Run | Fleet | undefined;
  #state: ScreenFacts["state"] = "running";
  #remote: string | undefined;

  /**
   * Opens the files.
   *
   * @throws {Error} one line
   */
  constructor(private readonly command: Command, private readonly say: (line: string) => void) {
    const { values } = command;
    this.#values = values;
    this.#terminal = !values.quiet && hasTerminal();
    this.#traces = new Traces({
      prefix: `${scenarioName(values)}_${Deno.pid}_`,
      stat: values.trace_stat,
      statFile: values.stf,
      delimiter: values.stat_delimiter,
      counts: values.trace_counts,
      errorCodes: values.trace_error_codes,
      messages: values.trace_msg,
      messageFile: values.message_file,
      shortMessages: values.trace_shortmsg,
      shortMessageFile: values.shortmessage_file,
      rtt: values.trace_rtt,
      rttFreq: values.rtt_freq,
      screen: values.trace_screen,
      screenFile: values.screen_file,
      logs: values.trace_logs,
      logFile: values.log_file,
      // Standard error would run through the screens.
      errors: values.trace_err && (this.#terminal || values.error_file !== undefined),
      errorFile: values.error_file,
      transport: values.t.startsWith("t") ? "TCP" : "UDP",
    });
    if (values.ladder) this.ladder = new Ladder();
  }

  /** What the engine tells. */
  hooks(): Pick<EngineOptions, "onMessage" | "onEnd" | "onLog" | "onError"> {
    const { ladder, say } = this;
    const traced = this.#traces.hooks();
    const { onMessage } = traced;
    return {
      onLog: this.#terminal ? () => {} : say,
      onError: this.#values.trace_err ? say : undefined,
      ...traced,
      ...ladder === undefined ? {} : {
        onMessage: (sent, bytes, start, end, peer) => {
          onMessage?.(sent, bytes, start, end, peer);
          ladder.message(sent, bytes, start, end, peer, now());
        },
        onEnd: (callId, failure) => ladder.ended(callId, failure),
      },
    };
  }

  /**
   * The run has begun.
   *
   * @throws {Error} one line
   */
  begin(
    run: Run | Fleet,
    remote: { readonly host: string; readonly port: number } | undefined,
    steer: Steering,
  ): void {
    this.#run = run;
    const { engine } = run;
    if (engine.program.role === "client" && remote !== undefined) this.#remote = formatAddress(remote);
    const values = this.#values;
    const wallOffset = performance.timeOrigin + performance.now() - now();
    this.#traces.begin(engine, { startedAt: engine.startedAt, wallOffset });
    if (this.#traces.periodic) this.#every(values.fd * 1000, () => this.#traces.period(now()));
    else this.#every(1000, () => this.#traces.flush());
    if (values.csv !== undefined || values.report !== undefined) {
      const series = this.series = new Series(engine);
      this.#every(1000, () => series.sample(now()));
    }
    const controls = this.#controls(run, steer);
    if (values.cp !== undefined) {
      try {
        this.#socket = new ControlSocket(values.ci, values.cp, controls);
      } catch (error) {
        throw new BindError(`-cp ${values.cp}: ${(error as Error).message.split("\n")[0]}`);
      }
    }
    this.#grow(run, steer);
    const facts = () => this.#facts(run, wallOffset);
    this.#current = facts;
    if (this.#terminal) this.#screens = new Screens(facts, values.f * 1000, !values.nostdin, controls);
    else if (!values.quiet) {
      let startedBefore = 0;
      this.#every(values.f * 1000, () => {
        const report = engine.report(now());
        this.say(progressLine(report, startedBefore, values.f));
        startedBefore = report.calls.started;
      });
    }
  }

  #current: () => Omit<ScreenFacts, "before"> = () => {
    throw new TypeError("the run has not begun");
  };

  /** No new calls start. */
  ending(): void {
    this.#state = "ending";
  }

  /** The run is over: closes the files and gives the terminal back. */
  end(at: number): void {
    for (const timer of this.#timers) clearInterval(timer);
    this.#socket?.close();
    this.#screens?.close();
    this.series?.sample(at, true);
    this.#state = "ended";
    this.#dump();
    this.#traces.close(at);
  }

  #every(ms: number, what: () => void): void {
    this.#timers.push(setInterval(what, ms));
  }

  #facts(run: Run | Fleet, wallOffset: number): Omit<ScreenFacts, "before"> {
    const values = this.#values;
    const { engine } = run;
    return {
      engine,
      now: now(),
      startedAt: engine.startedAt,
      wallOffset,
      localPort: run.local.port,
      remote: this.#remote,
      transport: values.t.startsWith("t") ? "TCP" : "UDP",
      period: values.rp,
      pause: values.d,
      limit: values.users ?? values.l,
      calls: values.m,
      state: this.#state,
    };
  }

  #dump(): void {
    if (this.#run === undefined) return;
    const facts = this.#current();
    this.#traces.screens({ ...facts, before: { ...snapshot(facts.engine, facts.now), at: facts.startedAt } });
  }

  /** Calls per period. */
  #rate(run: Run | Fleet): number {
    return run.engine.rate * this.#values.rp / 1000;
  }

  #controls(run: Run | Fleet, steer: Steering): Controls {
    const { rate_scale: scale, users } = this.#values;
    const setRate = (rate: number) => {
      if (users === undefined) run.setRate(Math.min(1_000_000, Math.max(0, rate)));
    };
    return {
      changeRate: (steps) => setRate(this.#rate(run) + steps * scale),
      setRate,
      pause: () => run.pause(!run.engine.paused),
      quit: (atOnce) => atOnce ? steer.endNow() : steer.end(),
      dump: () => this.#dump(),
      show: (number) => this.#screens?.show(number),
    };
  }

  /** `-rate_increase` */
  #grow(run: Run | Fleet, steer: Steering): void {
    const { rate_increase: step, rate_max: most, no_rate_quit: stay, rate_interval: interval, fd } =
      this.#values;
    if (step === 0) return;
    this.#every((interval ?? fd) * 1000, () => {
      const rate = this.#rate(run) + step;
      if (most === undefined || rate <= most) return run.setRate(rate);
      if (stay) run.setRate(most);
      else steer.end();
    });
  }
}
