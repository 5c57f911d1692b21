/** Which addresses never leave the machine: only there may the DBclient link do without TLS and key (docs/PROTOCOL.md §9). */

/**
 * Whether an address or host name means this machine.
 *
 * @example
 * ```ts
 * import { isLoopback } from "../../mod.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(["127.0.0.1", "127.9.9.9", "::1", "localhost"].every(isLoopback), true);
 * assertEquals(["192.0.2.1", "127.example.com", "::"].some(isLoopback), false);
 * ```
 */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}$/.test(host);
}
