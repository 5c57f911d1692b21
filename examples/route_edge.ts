/**
 * An edge proxy before Kamailio, OpenSIPS or Asterisk: it authenticates what comes from outside, and passes it on without
 * credentials and with the name that was proven. What comes from inside goes out unasked.
 *
 *     deno task proxy --realm example.com --next_hop sip:192.0.2.20:5060 --route examples/route_edge.ts
 *
 * Behind it, Kamailio believes P-Asserted-Identity from this address alone.
 */
import type { RouteActions, RouteRequest } from "../proxy/route.ts";

/** Hosts behind this proxy. */
const INSIDE: readonly string[] = ["192.0.2.20"];
/** Methods that begin a dialog: the proxy stays on the way of it. */
const DIALOGS: readonly string[] = ["INVITE", "SUBSCRIBE", "REFER"];

export default function route(request: RouteRequest, proxy: RouteActions): void {
  const { method } = request;
  // More than anybody needs: no answer, so that a flooder gains nothing.
  if (!proxy.pike_check_req()) return proxy.drop();
  if (method === "OPTIONS" && request.isForUs && !request.message.requestUri.includes("@")) {
    return proxy.options_reply();
  }
  // Nobody outside says who he is but by his password.
  if (!INSIDE.includes(request.source.host)) proxy.remove_hf("P-Asserted-Identity");
  // Inside a dialog that this proxy stayed in, its Route and Request-URI say where to.
  if (request.isInDialog) return request.isForUs ? proxy.relay_to_next_hop() : proxy.relay();
  // Nothing is known of the call that these belong to, or the INVITE went by without a transaction.
  // They prove nothing, so no Route of theirs is followed.
  if (method === "ACK" || method === "CANCEL") {
    return request.hasForeignRoute ? proxy.drop() : proxy.relay_to_next_hop();
  }
  if (request.hasToTag || request.hasForeignRoute) return proxy.reply(404, "Not Here");

  if (INSIDE.includes(request.source.host)) {
    // From the server behind: to whom its Request-URI names, as the phone has registered there.
    if (DIALOGS.includes(method)) proxy.record_route();
    return proxy.relay();
  }

  if (request.realm === undefined) return proxy.reply(403, "Forbidden (From is not of a domain served here)");
  const register = method === "REGISTER";
  const verdict = register
    ? proxy.www_authorize_pc(request.realm, "subscriber")
    : proxy.proxy_authorize_pc(request.realm, "subscriber");
  if (verdict !== "ok") {
    return register ? proxy.www_challenge_pc(request.realm, 0) : proxy.proxy_challenge_pc(request.realm, 0);
  }
  proxy.consume_credentials();
  proxy.remove_hf("P-Preferred-Identity");
  proxy.append_hf(`P-Asserted-Identity: <sip:${encodeURIComponent(request.fromUser)}@${request.realm}>`);
  if (DIALOGS.includes(method)) proxy.record_route();
  return proxy.relay_to_next_hop();
}
