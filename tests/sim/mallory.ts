/** A stranger who sees requests and sends them again as his own. */
import { type Address, type Random, toHex } from "../../mod.ts";
import type { World } from "./world.ts";

/** His address. */
export const MALLORY: Address = { host: "203.0.113.66", port: 5060 };

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** Makes of a recorded request another transaction, whose responses come to {@linkcode MALLORY}. */
export function otherBranch(random: Random): (text: string) => string {
  return (text) =>
    text.replace(/branch=[^;\r]*/, `branch=z9hG4bK${toHex(random.bytes(6))}`)
      .replace(/SIP\/2.0\/UDP [^;]*/, "SIP/2.0/UDP 203.0.113.66:5060");
}

/**
 * Has every request with an answer sent again, to the same proxy or another, within seconds, in another transaction: at
 * times before the original, at times where the original is lost.
 */
export function mimic({ network, proxies, queue, random }: World): void {
  network.taps.push(({ from, to, bytes }) => {
    if (from === MALLORY || !proxies.some(({ address }) => address.host === to.host)) return;
    const text = decoder.decode(bytes);
    if (!/^Proxy-Authorization:/m.test(text)) return;
    for (let copies = random.below(4); copies > 0; copies--) {
      const proxy = random.below(4) > 0 ? to : proxies[random.below(proxies.length)].address;
      const again = encoder.encode(otherBranch(random)(text));
      queue.after(random.below(6000), () => network.send(MALLORY, proxy, again));
    }
  });
}
