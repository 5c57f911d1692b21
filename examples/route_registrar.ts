/**
 * A routing function for a proxy that stands alone: its users register, and call each other.
 *
 *     deno task proxy --realm example.com --registrar 1 --location_db sqlite:location.db --route examples/route_registrar.ts
 */
import type { RouteActions, RouteRequest } from "../proxy/route.ts";

export default function route(request: RouteRequest, proxy: RouteActions): void {
  proxy.loose_route();
  if (request.method === "ACK") return request.isInDialog ? proxy.relay() : proxy.drop();
  if (request.isInDialog) return proxy.relay();
  if (request.hasToTag || request.hasForeignRoute) return proxy.reply(404, "Not Here");
  if (request.realm === undefined) return proxy.reply(403, "Forbidden (From is not of a domain served here)");

  if (request.method === "REGISTER") {
    // 401 instead of 407: the registrar is not a proxy on the way, but who the phone talks to.
    if (proxy.www_authorize_pc(request.realm, "subscriber") !== "ok") {
      return proxy.www_challenge_pc(request.realm, 0);
    }
    return proxy.save();
  }

  if (proxy.proxy_authorize_pc(request.realm, "subscriber") !== "ok") {
    return proxy.proxy_challenge_pc(request.realm, 0);
  }
  proxy.consume_credentials();
  // Nobody calls out from here; an operator with a gateway would relay it there.
  if (!proxy.lookup()) return proxy.reply(480);
  proxy.record_route();
  proxy.relay();
}
