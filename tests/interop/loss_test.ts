/** SIPp calls through the proxy while both ways lose, double and reorder datagrams: retransmissions of all sides. */
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { freePort } from "../../proxy/test_process.ts";
import { withServices } from "../services_io.ts";
import { CALLERS, digestCalls, SCENARIOS, sipp } from "../sipp/callers_io.ts";
import { LossyRelay } from "./lossy_relay_io.ts";
import { peerTest } from "./programs_io.ts";

const CALLS = 60;
const LOSS = { lost: 0.1, doubled: 0.05, late: 0.05 };

peerTest(`${CALLS} Digest calls of SIPp, with every tenth datagram lost on each way`, ["sipp"], () => {
  const [proxyPort, calledPort] = [freePort(), freePort()];
  // All that comes to the proxy and goes from it: the called side and the callers know the relays alone.
  const caller = new LossyRelay(proxyPort, LOSS, 1);
  const called = new LossyRelay(calledPort, LOSS, 2);
  const flags = [
    ...["--listen", `udp:127.0.0.1:${proxyPort}`, "--advertise", caller.address],
    ...["--auth", "digest", "--next_hop", `sip:${called.address}`],
  ];
  return withServices(CALLERS, [flags], async ({ dir }) => {
    // An ACK that was lost is made up for by the next 200, and the BYE may come before.
    const scenario = await Deno.readTextFile(`${SCENARIOS}called.xml`);
    const patient = scenario.replace('<recv request="ACK"/>', '<recv request="ACK" optional="true"/>');
    assertNotEquals(patient, scenario);
    await Deno.writeTextFile(`${dir}/called.xml`, patient);
    const side = sipp(dir, "-sf", `${dir}/called.xml`, "-p", String(calledPort));
    try {
      const at = { dir, proxy: caller.address };
      const calls = await digestCalls(at, CALLS, (user) => `password-${user}`, 30_000);
      assertEquals(calls, { code: 0, successful: CALLS, failed: 0 });
    } finally {
      side.kill("SIGKILL");
      await side.status;
      await Promise.all([caller.close(), called.close()]);
    }
    assert(caller.lost > CALLS / 4 && called.lost > CALLS / 10, `${caller.lost} and ${called.lost} lost`);
  });
});
