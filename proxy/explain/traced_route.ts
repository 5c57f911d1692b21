/** A route that tells what it looks at and what it does. */
import type { RouteActions, RouteFunction, RouteRequest } from "../route.ts";

/** Where the lines of a trace go. */
export type Tell = (line: string) => void;

const NONCES = "the nonces of the running proxy are not known here";

/** What a verdict or a look-up can tell without the running proxy's memory. */
const REMARKS: Readonly<Record<string, string>> = {
  "proxy_authorize_pc stale": "no credential is in memory here; the running proxy looks into its cache",
  "www_authorize_pc stale": "no credential is in memory here; the running proxy looks into its cache",
  "proxy_authorize bad_nonce": NONCES,
  "www_authorize bad_nonce": NONCES,
  "lookup false": "the contacts of the running registrar are not known here",
};

function shown(value: unknown): string {
  if (typeof value === "function") return "…";
  return JSON.stringify(value) ?? String(value);
}

/** What a route reads of a request, told once each. */
function tracedRequest(request: RouteRequest, tell: Tell): RouteRequest {
  const told = new Set<string>();
  return new Proxy(request, {
    get(target, name) {
      const value = Reflect.get(target, name, target);
      const line = `${String(name)} is ${shown(value)}`;
      if (typeof value !== "object" && typeof value !== "function" && !told.has(line)) {
        told.add(line);
        tell(line);
      }
      return value;
    },
  });
}

function tracedActions(actions: RouteActions, tell: Tell): RouteActions {
  return new Proxy(actions, {
    get(target, name) {
      const method = Reflect.get(target, name, target);
      if (typeof method !== "function") return method;
      return (...args: unknown[]) => {
        const call = `${String(name)}(${args.map(shown).join(", ")})`;
        const tellResult = (result: unknown) => {
          const remark = REMARKS[`${String(name)} ${String(result)}`];
          const outcome = result === undefined ? "" : `: ${shown(result)}`;
          tell(`${call}${outcome}${remark === undefined ? "" : ` (${remark})`}`);
          return result;
        };
        try {
          const result = Reflect.apply(method, target, args);
          return result instanceof Promise ? result.then(tellResult) : tellResult(result);
        } catch (error) {
          tell(`${call} throws: ${error instanceof Error ? error.message : String(error)}`);
          throw error;
        }
      };
    },
  });
}

/** The route, with what it does told. @param ended is called when it has come to its end */
export function tracedRoute(route: RouteFunction, tell: Tell, ended: () => void): RouteFunction {
  return (request, actions) => {
    const pending = route(tracedRequest(request, tell), tracedActions(actions, tell));
    if (pending !== undefined) return pending.finally(ended);
    ended();
    return undefined;
  };
}
