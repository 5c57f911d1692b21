/**
 * Authentication of calls alone: an INVITE that begins one needs a PC or a Digest answer, all else passes.
 *
 *     deno task proxy --realm example.com --next_hop sip:192.0.2.20:5060 --route examples/route_invite_only.ts
 *
 * A route that waits (`await`) is an `async` function; the others answer from memory.
 */
import type { RouteActions, RouteRequest } from "../proxy/route.ts";

export default async function route(request: RouteRequest, proxy: RouteActions): Promise<void> {
  const { method, realm } = request;
  if (request.isInDialog) return proxy.relay();
  // To one of the next hop without a Route of ours, or of no dialog at all: not to anywhere.
  if (request.hasToTag && !request.isForUs && !request.isForNextHop) {
    return method === "ACK" ? proxy.drop() : proxy.reply(404, "Not Here");
  }
  if (request.hasForeignRoute) return proxy.reply(403, "Forbidden (Route leads elsewhere)");
  if (method === "INVITE" && !await isProven(request, proxy)) {
    return realm === undefined
      ? proxy.reply(403, "Forbidden (From is not of a domain served here)")
      : proxy.challenge_both(realm);
  }
  if (method === "INVITE" || method === "SUBSCRIBE") proxy.record_route();
  return proxy.relay_to_next_hop();
}

/** Whether the caller is who From says. What was accepted does not go on. */
async function isProven({ realm }: RouteRequest, proxy: RouteActions): Promise<boolean> {
  if (realm === undefined) return false;
  let verdict: string = proxy.proxy_authorize_pc(realm, "subscriber");
  if (verdict === "no_credentials" && proxy.has_digest_answer(realm)) {
    verdict = await proxy.proxy_authorize(realm, "subscriber");
  }
  if (verdict !== "ok") return false;
  proxy.consume_credentials();
  return true;
}
