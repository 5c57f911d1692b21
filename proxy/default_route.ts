/**
 * The route that is used without `--route`: what the example configuration of the original did. Authenticate the chosen
 * methods, record-route, relay to the next hop.
 */
import type { RouteActions, RouteFunction, RouteRequest } from "./route.ts";

/** Which authentication is asked for: `--auth`. */
export type AuthMode = "pc" | "digest" | "both" | "none";

/** What the default route needs to know. */
export interface DefaultRouteOptions {
  readonly auth: AuthMode;
  /** Methods that are authenticated: INVITE when it begins a dialog, all others always. */
  readonly methods: ReadonlySet<string>;
  readonly recordRoute: boolean;
  /** What happens to a request to be authenticated whose From is of a domain that is not served. */
  readonly foreignFrom: "reject" | "relay";
  /** Whether the proxy is the registrar of its domains. */
  readonly registrar: boolean;
  /** Whether there is a next hop: for users who are not registered. */
  readonly hasNextHop: boolean;
}

/** Methods that begin a dialog, so that the proxy stays on the way (RFC 3261 §16.6 step 4; RFC 6665; RFC 3515). */
const DIALOG_METHODS: ReadonlySet<string> = new Set(["INVITE", "SUBSCRIBE", "REFER"]);

/** Makes the default route. */
export function defaultRoute(options: DefaultRouteOptions): RouteFunction {
  const { methods, auth, foreignFrom } = options;
  return (request, proxy) => {
    proxy.loose_route();
    if (isBare(request)) return onward(request, proxy, options);
    if (request.method === "OPTIONS" && request.isForUs && isForProxyItself(request)) {
      return proxy.options_reply();
    }
    if (!request.isInDialog && request.hasForeignRoute) {
      return proxy.reply(403, "Forbidden (Route leads elsewhere)");
    }
    if (auth === "none") return onward(request, proxy, options);
    // Who is known may call anybody; others must not use the proxy to send what they like to where they like.
    const leadsAnywhere = !request.isInDialog && request.leadsAnywhere;
    const asked = leadsAnywhere || isForRegistrar(request, options) ||
      methods.has(request.method.toUpperCase()) && !(request.isInDialog && request.method === "INVITE");
    if (!asked) return onward(request, proxy, options);
    if (request.realm === undefined) {
      const relayed = foreignFrom === "relay" && !leadsAnywhere && !isForRegistrar(request, options);
      if (relayed) return onward(request, proxy, options);
      return proxy.reply(403, "Forbidden (From is not of a domain served here)");
    }
    return authenticate(request, proxy, request.realm, options);
  };
}

/** A REGISTER for a domain that this proxy keeps the contacts of (RFC 3261 §10.3 step 1). */
function isForRegistrar({ method, isForUs }: RouteRequest, { registrar }: DefaultRouteOptions): boolean {
  return registrar && method === "REGISTER" && isForUs;
}

/** Is never challenged (RFC 3261 §22.1): it proves nothing, and goes no way that its sender chooses. */
function isBare({ method }: RouteRequest): boolean {
  return method === "ACK" || method === "CANCEL";
}

/** A Request-URI without a user names the proxy, not somebody behind it. */
function isForProxyItself({ message }: RouteRequest): boolean {
  return !message.requestUri.includes("@");
}

function authenticate(
  request: RouteRequest,
  proxy: RouteActions,
  realm: string,
  options: DefaultRouteOptions,
): void | Promise<void> {
  const register = request.method === "REGISTER";
  if (options.auth === "digest") return authenticateDigest(request, proxy, realm, options);
  const verdict = register
    ? proxy.www_authorize_pc(realm, "subscriber")
    : proxy.proxy_authorize_pc(realm, "subscriber");
  if (verdict === "ok") {
    proxy.consume_credentials();
    return onward(request, proxy, options);
  }
  if (options.auth === "both" && verdict === "no_credentials") {
    if (proxy.has_digest_answer(realm, register)) return authenticateDigest(request, proxy, realm, options);
    return proxy.challenge_both(realm, register);
  }
  return register ? proxy.www_challenge_pc(realm, 0) : proxy.proxy_challenge_pc(realm, 0);
}

async function authenticateDigest(
  request: RouteRequest,
  proxy: RouteActions,
  realm: string,
  options: DefaultRouteOptions,
): Promise<void> {
  const register = request.method === "REGISTER";
  const verdict =
    await (register ? proxy.www_authorize(realm, "subscriber") : proxy.proxy_authorize(realm, "subscriber"));
  if (verdict === "ok") {
    proxy.consume_credentials();
    return onward(request, proxy, options);
  }
  if (options.auth === "both") return proxy.challenge_both(realm, register);
  return register ? proxy.www_challenge(realm, 1) : proxy.proxy_challenge(realm, 1);
}

function onward(request: RouteRequest, proxy: RouteActions, options: DefaultRouteOptions): void {
  const { method, hasToTag, isForUs } = request;
  if (isForRegistrar(request, options)) return proxy.save();
  if (request.isInDialog) return isForUs ? proxy.relay_to_next_hop() : proxy.relay();
  if (hasToTag && !isForUs && !request.isForNextHop) {
    // Not of a dialog that this proxy stayed in: relaying it would make this an open relay (as in OpenSIPS). The next hop
    // may be one that gives no Record-Route back, and callers send what is for it through their outbound proxy.
    return method === "ACK" ? proxy.drop() : proxy.reply(404, "Not Here");
  }
  // An ACK or CANCEL: all else was answered or authenticated before.
  if (request.hasForeignRoute || isBare(request) && request.leadsAnywhere) {
    return method === "ACK" ? proxy.drop() : proxy.reply(481);
  }
  // What Record-Route carries leads past authentication later on: it is for those who have proved who they are.
  const known = options.auth === "none" || request.isAuthenticated;
  if (!hasToTag && options.recordRoute && known && DIALOG_METHODS.has(method)) proxy.record_route();
  if (options.registrar && isForUs) {
    if (proxy.lookup()) return proxy.relay();
    if (!options.hasNextHop) return method === "ACK" ? proxy.drop() : proxy.reply(480);
  }
  return proxy.relay_to_next_hop();
}
