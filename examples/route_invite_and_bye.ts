/**
 * A routing function for the proxy: calls and their ends are authenticated with PC, and nothing else is served.
 *
 *     deno task proxy --realm example.com --next_hop sip:192.0.2.20:5060 --route examples/route_invite_and_bye.ts
 *
 * The proxy calls it for each request but CANCEL and the ACK of a failed INVITE, which it answers by itself. Each request
 * ends with exactly one of a challenge, `reply`, `relay` and `drop`.
 */
import type { RouteActions, RouteRequest } from "../proxy/route.ts";

export default function route(request: RouteRequest, proxy: RouteActions): void {
  // Requests inside a dialog carry the Route that record_route() put there: take this proxy's own value away.
  proxy.loose_route();

  // The ACK of an accepted INVITE is never challenged: nobody could answer a challenge to it (RFC 3261 §22.1).
  if (request.method === "ACK") return request.isInDialog ? proxy.relay() : proxy.drop();

  if (request.method !== "INVITE" && request.method !== "BYE") {
    return proxy.reply(405, undefined, ["Allow: INVITE, ACK, CANCEL, BYE"]);
  }
  // Whose user is it? An unserved domain has no subscribers here.
  if (request.realm === undefined) return proxy.reply(403, "Forbidden (From is not of a domain served here)");

  // From memory: DBclient is not asked for a request that carries a good token.
  if (proxy.proxy_authorize_pc(request.realm, "subscriber") !== "ok") {
    return proxy.proxy_challenge_pc(request.realm, 0); // 407, or 400, 403, 503 as the verdict asks.
  }
  proxy.consume_credentials();

  if (request.method === "INVITE" && !request.hasToTag && !request.hasForeignRoute) {
    proxy.record_route(); // Stay on the way, so that the BYE comes by.
    return proxy.relay_to_next_hop();
  }
  // Inside a dialog: to where the Route and the Request-URI lead, and not for those who only say that they are in one.
  return request.isInDialog ? proxy.relay() : proxy.reply(404, "Not Here");
}
