/**
 * A rule for each method, two servers behind that take turns, and voicemail for calls that nobody takes.
 *
 *     deno task proxy --realm example.com --route examples/route_per_method.ts
 */
import type { RelayFailure, RouteActions, RouteRequest } from "../proxy/route.ts";

/** Who is asked for credentials, and by what. */
const RULES: Readonly<Record<string, "pc" | "digest" | "nobody" | "refused">> = {
  INVITE: "pc",
  BYE: "pc",
  MESSAGE: "digest",
  REFER: "pc",
  SUBSCRIBE: "nobody",
  REGISTER: "refused",
  PUBLISH: "refused",
};
const SERVERS: readonly string[] = ["sip:192.0.2.20:5060", "sip:192.0.2.21:5060"];
const VOICEMAIL = "192.0.2.30:5060";
let turn = 0;

export default async function route(request: RouteRequest, proxy: RouteActions): Promise<void> {
  const { method, realm } = request;
  const rule = RULES[method] ?? "nobody";
  if (method === "ACK" || method === "CANCEL") {
    if (request.isInDialog) return proxy.relay();
    // They prove nothing, so no Route of theirs is followed.
    return request.hasForeignRoute ? proxy.drop() : onward(request, proxy);
  }
  if (rule === "refused") {
    return proxy.reply(405, undefined, ["Allow: INVITE, ACK, CANCEL, BYE, MESSAGE, REFER, SUBSCRIBE"]);
  }
  if (rule !== "nobody") {
    if (realm === undefined) return proxy.reply(403);
    if (rule === "pc" && proxy.proxy_authorize_pc(realm) !== "ok") return proxy.proxy_challenge_pc(realm);
    if (rule === "digest" && await proxy.proxy_authorize(realm) !== "ok") {
      return proxy.proxy_challenge(realm, 1);
    }
    proxy.consume_credentials();
  }
  if (request.isInDialog) return proxy.relay();
  if (request.hasToTag || request.hasForeignRoute) return proxy.reply(404, "Not Here");
  if (method === "INVITE" || method === "SUBSCRIBE" || method === "REFER") proxy.record_route();
  if (method === "INVITE") proxy.onFailure(toVoicemail(request));
  return onward(request, proxy);
}

/** To one server after the other. With `--dispatcher` that is `dsSelect(1)` and `relay()`, which sees who is up. */
function onward(_request: RouteRequest, proxy: RouteActions): void {
  proxy.relay(SERVERS[turn++ % SERVERS.length]);
}

/** What is tried when nobody has taken the call: busy, no answer, or nobody there. */
function toVoicemail(request: RouteRequest): (failure: RelayFailure, proxy: RouteActions) => void {
  const called = /^sips?:([^@;?]+)@/.exec(request.message.requestUri)?.[1];
  return ({ status }, proxy) => {
    if (called !== undefined && [408, 480, 486].includes(status)) {
      proxy.relay([{ uri: `sip:${called}@${VOICEMAIL}` }]);
    }
  };
}
