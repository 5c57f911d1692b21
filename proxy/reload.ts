/** What can change while a proxy serves (SIGHUP), and what cannot. */
import { PROXY_FLAGS, type ProxyValues } from "./options.ts";

/** Flags of routing: they take effect for the requests that come after. */
export const RELOADABLE: readonly (keyof ProxyValues)[] = [
  "route",
  "next_hop",
  "auth",
  "auth_methods",
  "pc_enable",
  "foreign_from",
  "record_route",
  "dispatcher_list",
  "ds_set",
  "ds_alg",
  "tls_certificate",
  "tls_private_key",
  "drain",
];
/** Where the others come from: read again each time. */
const SOURCES: readonly (keyof ProxyValues)[] = ["config", "modparams"];

/** Names of the flags that were changed and need a new start to take effect. */
export function needRestart(before: ProxyValues, after: ProxyValues): string[] {
  const names = Object.keys(PROXY_FLAGS) as (keyof ProxyValues)[];
  return names.filter((name) =>
    !RELOADABLE.includes(name) && !SOURCES.includes(name) &&
    JSON.stringify(before[name]) !== JSON.stringify(after[name])
  );
}

/** `before` with what can change as it is in `after`. */
export function reloaded(before: ProxyValues, after: ProxyValues): ProxyValues {
  const values: Record<string, unknown> = { ...before };
  for (const name of RELOADABLE) values[name] = after[name];
  return values as ProxyValues;
}
