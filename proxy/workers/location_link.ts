/**
 * The location as a worker has it: a copy that the main thread keeps up to date. Registrations go to the main thread,
 * which owns the location, so that two phones of a user that came to two workers both count.
 */
import {
  Location,
  type LocationChange,
  type LocationOptions,
  type LocationOwner,
  type Registration,
  type RegistrationOutcome,
} from "../location.ts";
import type { FromWorker, ToWorker } from "./messages.ts";

type Done = (outcome: RegistrationOutcome, now: number) => void;

/** A worker's end. */
export class LocationLink implements LocationOwner {
  readonly location: Location;
  readonly #waiting = new Map<number, Done>();
  #last = 0;

  /** @param changes where users are at the beginning */
  constructor(
    now: number,
    limits: LocationOptions,
    changes: readonly LocationChange[],
    private readonly send: (message: Extract<FromWorker, { readonly kind: "register" }>) => void,
  ) {
    this.location = new Location(now, limits);
    for (const change of changes) this.location.take(change);
  }

  register(registration: Registration, _now: number, done: Done): void {
    const id = ++this.#last;
    this.#waiting.set(id, done);
    this.send({ kind: "register", id, registration: withoutConnection(registration) });
  }

  /** Takes what the main thread says. */
  told(message: Extract<ToWorker, { readonly kind: "location" | "registered" }>, now: number): void {
    if (message.kind === "location") return this.location.take(message.change);
    const done = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    done?.(message.outcome, now);
  }
}

/** The number of a connection says nothing to other threads: it would lead to somebody else there. */
function withoutConnection(registration: Registration): Registration {
  const { received } = registration;
  if (received === undefined || (received.flow ?? 0) <= 0) return registration;
  return { ...registration, received: { ...received, flow: 0 } };
}
