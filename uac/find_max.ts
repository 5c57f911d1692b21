/** The search for the highest rate at which less than 1 % of the calls fail. */
import type { Limit, Report } from "./statistics.ts";

/** A share of failed calls from which on a rate is too high. */
const MAX_FAILED = 0.01;
/** The search ends when the lowest rate that is too high is so little above the highest that is not. */
const PRECISION = 1.05;
/** Rates above are not tried, calls per second. */
const HIGHEST = 1_000_000;

/** What a rate has come to. */
export interface RateStep {
  /** Wanted and achieved, calls per second. */
  readonly rate: number;
  readonly achieved: number;
  readonly calls: number;
  readonly failed: number;
  /** ms */
  readonly setupP99: number;
  readonly lagP99: number;
  /** What was too much; "" if nothing was. */
  readonly limit: "" | "failed calls" | "generator" | "call limit";
}

/** What a search has found. */
export interface RateResult {
  /** The highest rate that was good, calls per second; 0: none was. */
  readonly rate: number;
  /** What the next higher rate failed by. */
  readonly limit: RateStep["limit"];
}

/** Judges a run at a rate. A generator that was late is to blame first: what failed may have failed by it. */
export function judge(report: Report): RateStep {
  const { calls, rate, setupMs, lagMs, limitedBy } = report;
  const limits: Record<Limit, RateStep["limit"]> = {
    nothing: "",
    generator: "generator",
    "call limit": "call limit",
  };
  const failed = calls.failed >= calls.started * MAX_FAILED ? "failed calls" : "";
  return {
    rate: Math.round(rate.wanted * 10) / 10,
    achieved: rate.achieved,
    calls: calls.started,
    failed: calls.failed,
    setupP99: setupMs.p99,
    lagP99: lagMs.p99,
    limit: limitedBy === "generator" ? limits[limitedBy] : failed || limits[limitedBy],
  };
}

/** Doubles the rate until it is too high, then halves the gap. A rate that was too high is tried a second time. */
export class RateSearch {
  readonly steps: RateStep[] = [];
  #good = 0;
  #bad = Infinity;
  #limit: RateStep["limit"] = "";
  #next: number;
  #again = false;

  /** @param first the rate to begin with, calls per second */
  constructor(first: number) {
    this.#next = first;
  }

  /** The rate to try next; undefined: the search is over. */
  get next(): number | undefined {
    return this.#next > 0 ? this.#next : undefined;
  }

  get result(): RateResult {
    return { rate: this.#good, limit: this.#limit };
  }

  /** Takes the outcome of {@linkcode next}. */
  took(step: RateStep): void {
    this.steps.push(step);
    const rate = this.#next;
    if (step.limit === "") {
      this.#good = rate;
      this.#again = false;
    } else if (!this.#again) {
      this.#again = true;
      return;
    } else {
      this.#bad = rate;
      this.#limit = step.limit;
      this.#again = false;
    }
    this.#next = this.#following();
  }

  #following(): number {
    if (this.#bad === Infinity) return this.#good >= HIGHEST ? 0 : Math.min(HIGHEST, this.#good * 2);
    if (this.#good === 0) return this.#bad > 1 ? this.#bad / 2 : 0;
    if (this.#bad <= this.#good * PRECISION) return 0;
    return Math.sqrt(this.#good * this.#bad);
  }
}

const SAID: Readonly<Record<RateStep["limit"], string>> = {
  "": "good",
  "failed calls": "too many failed calls",
  generator: "this program was too slow, not the remote",
  "call limit": "calls waited for room under -l",
};

/** A step as a line. */
export function stepLine(step: RateStep): string {
  const failed = step.calls === 0 ? 0 : step.failed / step.calls * 100;
  return `find-max: ${step.rate.toFixed(1)} calls/s: ${step.calls} calls, ${failed.toFixed(2)} % failed, ` +
    `set-up p99 ${step.setupP99.toFixed(1)} ms, own lag p99 ${step.lagP99.toFixed(1)} ms: ${
      SAID[step.limit]
    }`;
}

/** The result as a line. */
export function resultLine({ rate, limit }: RateResult): string {
  const found = rate === 0 ? "no rate was good" : `${rate.toFixed(1)} calls/s with less than 1 % failed`;
  return `find-max: ${found}; beyond: ${limit === "" ? "not tried" : SAID[limit]}`;
}
