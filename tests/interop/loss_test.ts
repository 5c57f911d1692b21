/** SIPp calls through the proxy while both ways lose, double and reorder datagrams: retransmissions of all sides. */
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { freePort } from "../../proxy/test_process.ts";
import { withServices } from "../services_io.ts";
import { CALLERS, digestCalls, SCENARIOS, sipp } from "../sipp/callers_io.ts";
import { LossyRelay } from "./lossy_relay_io.ts";
import { peerTest } from "./programs_io.ts";

const CALLS = 40;
const LOSS = { lost: 0.06, doubled: 0.05, late: 0.05 };
/** SIPp's called side gives a call up when its answers were lost: it takes the INVITE that comes again for another. */
const MOST_FAILED = 8;

peerTest(`${CALLS} Digest calls of SIPp, with every sixteenth datagram lost on each way`, ["sipp"], () => {
  const [proxyPort, calledPort] = [freePort(), freePort()];
  // All that comes to the proxy and goes from it: the called side and the callers know the relays alone.
  const caller = new LossyRelay(proxyPort, LOSS, 1);
  const called = new LossyRelay(calledPort, LOSS, 2);
  const flags = [
    ...["--listen", `udp:127.0.0.1:${proxyPort}`, "--advertise", caller.address],
    ...["--auth", "digest", "--next_hop", `sip:${called.address}`],
  ];
  return withServices(CALLERS, [flags], async ({ dir }) => {
    // An ACK that was lost is made up for by the next 200, and the BYE may come before; its 200 may be asked for again.
    const scenario = await Deno.readTextFile(`${SCENARIOS}called.xml`);
    const patient = scenario.replace('<recv request="ACK"/>', '<recv request="ACK" optional="true"/>')
      .replace('<timewait milliseconds="500"/>', '<timewait milliseconds="20000"/>');
    assertNotEquals(patient, scenario);
    await Deno.writeTextFile(`${dir}/called.xml`, patient);
    const side = sipp(dir, "-sf", `${dir}/called.xml`, "-p", String(calledPort));
    try {
      const at = { dir, proxy: caller.address };
      const calls = await digestCalls(at, CALLS, (user) => `password-${user}`, 15_000);
      assertEquals(calls.successful + calls.failed, CALLS);
      assert(calls.failed <= MOST_FAILED, `${calls.failed} calls failed`);
    } finally {
      side.kill("SIGKILL");
      await side.status;
      await Promise.all([caller.close(), called.close()]);
    }
    assert(caller.lost > 10 && called.lost > 5, `${caller.lost} and ${called.lost} lost`);
  });
});
