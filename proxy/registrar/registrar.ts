/** The registrar: RFC 3261 §10.3. It reads a REGISTER, has the location changed, and says how the request is answered. */
import { type Address, formatUri, parseUri, type SipMessage } from "../../mod.ts";
import type { LocalNames } from "../local_names.ts";
import type {
  Binding,
  Location,
  LocationOwner,
  RegistrationFault,
  RegistrationOutcome,
} from "../location.ts";
import type { AuthenticatedUser, LocationService, RelayTarget, ReplyParts } from "../route.ts";
import { type Aor, aorAt } from "./aor.ts";
import { readRegistration, type RegistrarOptions, supportsPath, tooManyContacts } from "./registration.ts";

export type { RegistrarOptions } from "./registration.ts";

/** Seconds that a phone is told to wait when there is no room for it. */
const RETRY_AFTER_FULL = 300;

const FAULTS: Readonly<Record<RegistrationFault, ReplyParts>> = {
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

/** Answers REGISTER, and knows where users are. */
export class Registrar implements LocationService {
  readonly counters: RegistrarCounters = { registrations: 0, registrationsRefused: 0 };

  /** @param subscriberName the name under which the user of To answers challenges: see `from_alias` */
  constructor(
    private readonly location: Location,
    private readonly owner: LocationOwner,
    private readonly names: LocalNames,
    private readonly options: RegistrarOptions,
    private readonly subscriberName: (user: string) => string,
  ) {}

  /** Changes the contacts of To as a REGISTER asks, all or none. */
  save(
    message: SipMessage,
    source: Address,
    user: AuthenticatedUser | undefined,
    now: number,
    done: (answer: ReplyParts, now: number) => void,
  ): void {
    const refuse = (refusal: ReplyParts) => {
      this.counters.registrationsRefused++;
      done(refusal, now);
    };
    const { to } = message;
    if (!/^sips?:/i.test(to.uriText)) {
      return refuse({ status: 400, reason: "Bad Request (To is no SIP URI)" });
    }
    const request = readRegistration(message, source, this.options);
    if ("status" in request) return refuse(request);
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

  /** The contacts of the Request-URI (RFC 3261 §16.5). */
  lookup({ buffer, requestUriStart, requestUriEnd }: SipMessage, now: number): readonly RelayTarget[] {
    const aor = aorAt(this.names, buffer, requestUriStart, requestUriEnd);
    if (aor === undefined) return [];
    const targets = this.location.lookup(aor.key, now).map(targetOf);
    // A request to a sips URI goes on securely or not at all (RFC 3261 §26.2.2).
    return aor.secure ? targets.filter(({ uri }) => /^sips:/i.test(uri)) : targets;
  }

  #isOwn({ user, realm }: Aor, { username, realm: authenticated }: AuthenticatedUser): boolean {
    if (realm !== authenticated) return false;
    return !this.options.checkTo || user === username || this.subscriberName(user) === username;
  }
}

/** RFC 3261 §10.3 step 8. */
function answerTo(outcome: RegistrationOutcome, path: readonly string[], now: number): ReplyParts {
  if ("fault" in outcome) return FAULTS[outcome.fault];
  const contacts = outcome.bindings.map((binding) => `Contact: ${contactValue(binding, now)}`);
  return { status: 200, headers: [...contacts, ...path.map((value) => `Path: ${value}`)] };
}

function contactValue({ uri, q, params, expires }: Binding, now: number): string {
  const seconds = Math.max(1, Math.ceil((expires - now) / 1000));
  return `<${uri}>${q === 1 ? "" : `;q=${q}`};expires=${seconds}${params}`;
}

/** The branch to a contact. A Request-URI has no headers and no method (RFC 3261 §19.1.1, table 1; §16.6 step 2). */
function targetOf({ uri: text, q, path, received }: Binding): RelayTarget {
  const uri = parseUri(text);
  const hasMethod = uri?.params.some(([name]) => name.toLowerCase() === "method");
  if (uri === undefined || (uri.headers.length === 0 && !hasMethod)) return { uri: text, q, path, received };
  const params = uri.params.filter(([name]) => name.toLowerCase() !== "method");
  return { uri: formatUri({ ...uri, headers: [], params }), q, path, received };
}
