/** For tests: linphonec as a phone that plays and records files. */
import { freePort } from "../../proxy/test_process.ts";
import { PeerProcess } from "./programs_io.ts";
import { tone } from "./tone.ts";

const ASKING_MS = 200;

/** Starts it with one account; it registers by itself. */
export async function linphone(
  dir: string,
  user: string,
  password: string,
  /** host:port */
  proxy: string,
): Promise<PeerProcess> {
  const home = await Deno.makeTempDir({ dir, prefix: "linphone" });
  // Without the folder of its database it does not start, and says nothing of it.
  for (const folder of [".local/share/linphone", ".config/linphone", "linphone"]) {
    await Deno.mkdir(`${home}/${folder}`, { recursive: true });
  }
  await Deno.writeFile(`${home}/tone.wav`, tone());
  const lines = [
    "[sip]",
    `sip_port=${freePort()}`,
    "sip_tcp_port=0",
    "sip_tls_port=0",
    "use_ipv6=0",
    "default_proxy=0",
    "[rtp]",
    `audio_rtp_port=${freePort()}`,
    "[net]",
    "dns_srv_enabled=0",
    "[video]",
    "display=0",
    "capture=0",
    "automatically_initiate=0",
    "automatically_accept=0",
    "[proxy_0]",
    `reg_proxy=<sip:${proxy};transport=udp>`,
    `reg_route=<sip:${proxy};transport=udp;lr>`,
    `reg_identity=<sip:${user}@example.com>`,
    "reg_expires=120",
    "reg_sendregister=1",
    "publish=0",
    "[auth_info_0]",
    `username=${user}`,
    `userid=${user}`,
    `passwd=${password}`,
    "realm=example.com",
    "domain=example.com",
  ];
  await Deno.writeTextFile(`${home}/linphonerc`, `${lines.join("\n")}\n`, { mode: 0o600 });
  const phone = new PeerProcess("linphonec", ["-c", `${home}/linphonerc`], { cwd: home });
  try {
    await phone.type("soundcard use files");
    await phone.says(/Using wav files/);
    const asking = setInterval(() => phone.type("status register").catch(() => {}), ASKING_MS);
    await phone.says(/registered, identity=/).finally(() => clearInterval(asking));
  } catch (error) {
    await phone.end();
    throw error;
  }
  return phone;
}
