/** From flag values to the options of registrar and location. */
import type { LocationOptions } from "../location.ts";
import type { ProxyValues } from "../options.ts";
import type { RegistrarOptions } from "./registration.ts";

/** What the flags say of the registrar. */
export function registrarOptions(values: ProxyValues): RegistrarOptions {
  return {
    defaultExpires: Math.min(values.default_expires, values.max_expires),
    minExpires: values.min_expires,
    maxExpires: values.max_expires,
    maxContacts: values.max_contacts,
    maxContactSize: values.max_contact_size,
    checkTo: values.check_to,
    pathMode: values.path_mode as RegistrarOptions["pathMode"],
  };
}

/** What the flags say of the location. */
export function locationLimits(values: ProxyValues): LocationOptions {
  return { maxContacts: values.max_contacts, maxAors: values.max_aors };
}
