/** A worker of `--workers`: runs its share of the calls in a thread of its own, and says how it goes. */
import { now } from "../mod.ts";
import type { ChainStates } from "./authenticator.ts";
import { runOptions } from "./command_io.ts";
import { parseCommand } from "./flags.ts";
import { Run } from "./run_io.ts";
import type { Share } from "./share.ts";
import { type StatisticsState, Times, type TimesState } from "./statistics.ts";
import { BindError } from "./transports_io.ts";

/** What the worker is told. Rates are its own share. */
export type ToWorker =
  | {
    readonly type: "start";
    readonly args: readonly string[];
    readonly share: Share;
    readonly rate: number;
    readonly calls: number;
    readonly chainStates: ChainStates | undefined;
  }
  | { readonly type: "rate"; readonly rate: number }
  | { readonly type: "pause"; readonly paused: boolean }
  | { readonly type: "stop" }
  | { readonly type: "close" };

/** How it stands. Times in ms. */
export interface WorkerFigures {
  readonly statistics: StatisticsState;
  /** Since the last figures. */
  readonly setup: TimesState;
  readonly lag: TimesState;
  readonly open: number;
  readonly overdue: number;
  /** From the first start of a call to the last. */
  readonly startingMs: number;
}

/** What the worker says. */
export type FromWorker =
  | { readonly type: "ready"; readonly port: number }
  | { readonly type: "error"; readonly message: string; readonly bind: boolean }
  | { readonly type: "figures"; readonly figures: WorkerFigures }
  | {
    readonly type: "ended";
    readonly figures: WorkerFigures;
    readonly chainStates: ChainStates;
    readonly dropped: number;
    /** The scenario has ended the run at once. */
    readonly stopped: boolean;
  };

/** How often it says how it stands, ms. */
const EVERY_MS = 250;

const port = self as unknown as {
  postMessage(message: FromWorker): void;
  onmessage: ((event: MessageEvent<ToWorker>) => void) | null;
  close(): void;
};
const say = (line: string) => console.error(`uac: ${line}`);

async function start(message: Extract<ToWorker, { type: "start" }>): Promise<Run> {
  const { args, share, rate, calls, chainStates } = message;
  const command = parseCommand(args, (name) => Deno.env.get(name))!;
  const options = await runOptions(command, say, share);
  let stopped = false;
  const run = await Run.open({
    ...options,
    rate,
    calls,
    chainStates,
    onLog: command.values.quiet ? undefined : say,
    onError: command.values.trace_err ? say : undefined,
    onStop: () => {
      stopped = true;
      run.close();
    },
  });
  const { engine } = run;
  const interval = engine.statistics.interval = { setup: new Times(), lag: new Times() };
  const figures = (): WorkerFigures => {
    const { startingMs, overdue } = engine.progress(now());
    const all = {
      statistics: engine.statistics.state(),
      setup: interval.setup.state(),
      lag: interval.lag.state(),
      open: engine.open,
      overdue,
      startingMs,
    };
    interval.setup.reset();
    interval.lag.reset();
    return all;
  };
  const timer = setInterval(() => port.postMessage({ type: "figures", figures: figures() }), EVERY_MS);
  run.ended.then(async () => {
    clearInterval(timer);
    engine.abort(now());
    const last = figures();
    await run.close();
    const { dropped } = run;
    port.postMessage({ type: "ended", figures: last, chainStates: engine.chainStates(), dropped, stopped });
    port.close();
  });
  return run;
}

let run: Run | undefined;
port.onmessage = async ({ data }) => {
  switch (data.type) {
    case "start":
      try {
        run = await start(data);
        port.postMessage({ type: "ready", port: run.local.port });
      } catch (error) {
        if (!(error instanceof Error)) throw error;
        port.postMessage({ type: "error", message: error.message, bind: error instanceof BindError });
      }
      break;
    case "rate":
      run?.setRate(data.rate);
      break;
    case "pause":
      run?.pause(data.paused);
      break;
    case "stop":
      run?.stop();
      break;
    case "close":
      run?.close();
      break;
  }
};
