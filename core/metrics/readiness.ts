/** Whether a program can do its work, and what that depends on. */

/** One thing that a program depends on. */
export interface ReadinessCheck {
  /** A word in snake_case: database, listening. */
  readonly name: string;
  readonly ok: boolean;
  /** What there is to say about it, one line without a secret. */
  readonly detail?: string;
  /** For a thing of several parts, of which not all have to be well: a database cluster's nodes. */
  readonly parts?: readonly ReadinessCheck[];
}

/** Ready: all is well that it depends on. */
export interface Readiness {
  readonly ready: boolean;
  readonly checks: readonly ReadinessCheck[];
}

/** Ready when every check is ok. */
export function readiness(checks: readonly ReadinessCheck[]): Readiness {
  return { ready: checks.every(({ ok }) => ok), checks };
}
