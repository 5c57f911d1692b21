/** For the conformance tests: a proxy with an open route, and what is told of its messages. */
import { assertEquals } from "@std/assert";
import type { Address } from "../../mod.ts";
import type { FailureHook, RelayOptions, RelayTarget, ReplyHook, RouteFunction } from "../route.ts";
import { firstLine, type HarnessOptions, headers, ProxyHarness, type Sent } from "../testing.ts";

/** Called sides of a fork. */
export const A: Address = { host: "203.0.113.1", port: 5061 };
export const B: Address = { host: "203.0.113.2", port: 5062 };
export const C: Address = { host: "203.0.113.3", port: 5063 };

/** A target at one of them. */
export function targetAt({ host, port }: Address, q?: number): RelayTarget {
  return { uri: `sip:bob@${host}:${port}`, ...(q === undefined ? {} : { q }) };
}

/** A proxy without authentication, with the default route. */
export function open(flags: readonly string[] = [], options: HarnessOptions = {}): ProxyHarness {
  return new ProxyHarness(["--auth", "none", ...flags], options);
}

/** A proxy with a route of the test. */
export function routed(route: RouteFunction, flags: readonly string[] = []): ProxyHarness {
  return open(flags, { route });
}

/** A proxy that relays all requests to these targets. */
export function forking(
  targets: readonly RelayTarget[],
  more: { readonly options?: RelayOptions; readonly onFailure?: FailureHook; readonly onReply?: ReplyHook } =
    {},
): ProxyHarness {
  return routed((_request, proxy) => {
    if (more.onFailure !== undefined) proxy.onFailure(more.onFailure);
    if (more.onReply !== undefined) proxy.onReply(more.onReply);
    proxy.relay(targets, more.options);
  });
}

/** What was sent to an address since the last `take`. */
export function sentTo(sent: readonly Sent[], { host, port }: Address): string[] {
  return sent.filter(({ to }) => to.host === host && to.port === port).map(({ text }) => text);
}

/** First lines by address, for reading: "5061 INVITE …", without 100. */
export function lines(sent: readonly Sent[]): string[] {
  return sent.map(({ text, to }) => `${to.port} ${firstLine(text)}`).filter((line) =>
    !line.includes(" SIP/2.0 100 ")
  );
}

/** The branch of the topmost Via. */
export function branchOf(text: string): string {
  return /;branch=([^;\s,]+)/.exec(headers(text, "Via")[0])![1];
}

/** Everything is over and nothing is left behind. */
export function assertEmpty({ proxy: { core } }: ProxyHarness): void {
  const { layer, contexts, forks } = core;
  assertEquals(
    [layer.size, layer.slotsInUse, layer.timersRunning, contexts.tokens, contexts.open, forks.size],
    [0, 0, 0, 0, 0, 0],
  );
}
