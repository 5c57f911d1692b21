/** How the proxy finds next hops by name. */
import { DnsClient, firstLine, isReliable, now, parseNameServer, SipLocator, systemRandom } from "../mod.ts";
import type { ProxyValues } from "./options.ts";
import { type LogFields, QuietLog } from "./quiet_log.ts";
import type { Settings } from "./settings.ts";

/** A locator over the name servers of `--dns_servers`, or of this machine. */
export function newLocator(
  values: ProxyValues,
  settings: Settings,
  log: (event: string, fields: LogFields) => void,
): SipLocator {
  const quiet = new QuietLog(log);
  const servers = values.dns_servers.map((text) => parseNameServer(text)!);
  const families = settings.listen.map(({ host }) => host.includes(":"));
  const udp = settings.listen.some((address) => !isReliable(address));
  return new SipLocator({
    source: new DnsClient({ servers: servers.length === 0 ? undefined : servers }),
    random: systemRandom,
    now,
    transports: udp ? ["udp", "tcp", "tls"] : ["tcp", "tls"],
    ipv4: families.includes(false),
    ipv6: families.includes(true),
    onFailure: ({ host }, error) => quiet.say("next_hop_unknown", { host, error: firstLine(error) }, now()),
  });
}
