/** The registrar: RFC 3261 §10.3. It reads a REGISTER, has the location changed, and says how the request is answered. */
import type { Address, SipMessage } from "../../mod.ts";
import type { LocalNames } from "../local_names.ts";
import type { Binding, LocationOwner, RegistrationFault, RegistrationOutcome } from "../location.ts";
import { type Aor, aorAt } from "./aor.ts";
import {
  readRegistration,
  type Refusal,
  type RegistrarOptions,
  supportsPath,
  tooManyContacts,
} from "./registration.ts";

export type { RegistrarOptions } from "./registration.ts";

/** Who was authenticated. */
export interface AuthenticatedUser {
  readonly username: string;
  readonly realm: string;
}

/** How a REGISTER is answered. */
export type SaveAnswer = Refusal;

/** Seconds that a phone is told to wait when there is no room for it. */
const RETRY_AFTER_FULL = 300;

const FAULTS: Readonly<Record<RegistrationFault, Refusal>> = {
  old_cseq: { status: 400, reason: "Bad Request (CSeq is not higher than that of the contact)" },
  too_many_contacts: tooManyContacts(),
  full: {
    status: 503,
    reason: "Service Unavailable (too many users)",
    headers: [`Retry-After: ${RETRY_AFTER_FULL}`],
  },
};

/** What a registrar counts. */
export interface RegistrarCounters {
  registrations: number;
  registrationsRefused: number;
}

/** Answers REGISTER. */
export class Registrar {
  readonly counters: RegistrarCounters = { registrations: 0, registrationsRefused: 0 };

  /** @param subscriberName the name under which the user of To answers challenges: see `from_alias` */
  constructor(
    private readonly owner: LocationOwner,
    private readonly names: LocalNames,
    private readonly options: RegistrarOptions,
    private readonly subscriberName: (user: string) => string,
  ) {}

  /**
   * Changes the contacts of To as a REGISTER asks, all or none.
   *
   * @param user who was authenticated; undefined when nobody was asked
   * @param done is called once, at once or later, with the answer; the message is used before this returns only
   */
  save(
    message: SipMessage,
    source: Address,
    user: AuthenticatedUser | undefined,
    now: number,
    done: (answer: SaveAnswer, now: number) => void,
  ): void {
    const refuse = (refusal: Refusal) => {
      this.counters.registrationsRefused++;
      done(refusal, now);
    };
    const request = readRegistration(message, source, this.options);
    if ("status" in request) return refuse(request);
    const { to } = message;
    const aor = aorAt(this.names, to.buffer, to.uriStart, to.uriEnd);
    if (aor === undefined) return refuse({ status: 404, reason: "Not Found (To is no user of this domain)" });
    if (user !== undefined && !this.#isOwn(aor, user)) {
      return refuse({ status: 403, reason: "Forbidden (To is not the authenticated user)" });
    }
    const { path } = request;
    const showsPath = path.length > 0 && this.options.pathMode > 0 && supportsPath(message);
    this.owner.register({ aor: aor.key, ...request }, now, (outcome, at) => {
      const answer = answerTo(outcome, showsPath ? path : [], at);
      if (answer.status === 200) this.counters.registrations++;
      else this.counters.registrationsRefused++;
      done(answer, at);
    });
  }

  #isOwn({ user, realm }: Aor, { username, realm: authenticated }: AuthenticatedUser): boolean {
    if (realm !== authenticated) return false;
    return !this.options.checkTo || user === username || this.subscriberName(user) === username;
  }
}

/** RFC 3261 §10.3 step 8. */
function answerTo(outcome: RegistrationOutcome, path: readonly string[], now: number): SaveAnswer {
  if ("fault" in outcome) return FAULTS[outcome.fault];
  const contacts = outcome.bindings.map((binding) => `Contact: ${contactValue(binding, now)}`);
  return { status: 200, headers: [...contacts, ...path.map((value) => `Path: ${value}`)] };
}

function contactValue({ uri, q, params, expires }: Binding, now: number): string {
  const seconds = Math.max(1, Math.ceil((expires - now) / 1000));
  return `<${uri}>${q === 1 ? "" : `;q=${q}`};expires=${seconds}${params}`;
}
