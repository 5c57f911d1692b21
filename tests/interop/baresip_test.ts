/** baresip registers at the proxy, and calls another through it. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { withServices } from "../services_io.ts";
import { Baresip } from "./baresip_io.ts";
import { peerTest } from "./programs_io.ts";

const USERS = { alice: "password-alice", bob: "password-bob", carol: "password-carol" };

for (const transport of ["udp", "tcp"] as const) {
  peerTest(
    `baresip over ${transport}: registers with Digest, calls with audio, hangs up, cancels, is busy`,
    ["baresip"],
    () => {
      const flags = ["--listen", "tcp:127.0.0.1:0", "--auth", "digest", "--registrar", "1"];
      return withServices(USERS, [flags], async ({ dir, proxies: [proxy] }) => {
        const address = new RegExp(`ready on .*${transport}:([^ ,]*)`).exec(proxy.err)![1];
        const started: Baresip[] = [];
        const start = async (user: keyof typeof USERS) => {
          const phone = await Baresip.start(dir, user, USERS[user], { proxy: address, transport });
          started.push(phone);
          return phone;
        };
        try {
          const [alice, bob, carol] = [await start("alice"), await start("bob"), await start("carol")];

          await alice.command("dial", "sip:bob@example.com");
          const incoming = await bob.event("CALL_INCOMING");
          assertEquals(incoming.param, "sip:alice@example.com");
          await alice.event("CALL_RINGING");
          await bob.command("accept");
          await alice.event("CALL_ESTABLISHED");
          await bob.event("CALL_ESTABLISHED");
          // Audio comes in at both.
          await alice.event("CALL_RTPESTAB");
          await bob.event("CALL_RTPESTAB");

          // Who is in a call says that he is busy, and the call that goes on is not touched.
          await carol.command("dial", "sip:bob@example.com");
          await bob.event("CALL_INCOMING");
          await bob.command("hangup");
          assertMatch((await carol.event("CALL_CLOSED")).param!, /^486 /);
          await bob.event("CALL_CLOSED");
          assertStringIncludes(await alice.command("callstat"), "ESTABLISHED");

          await alice.command("hangup");
          assertEquals((await bob.event("CALL_CLOSED")).param, "Connection reset by peer");
          await alice.event("CALL_CLOSED");

          // The other side hangs up: the BYE goes the way back.
          await bob.command("dial", "sip:alice@example.com");
          await alice.event("CALL_INCOMING");
          await alice.command("accept");
          await bob.event("CALL_ESTABLISHED");
          await alice.event("CALL_ESTABLISHED");
          await alice.command("hangup");
          assertEquals((await bob.event("CALL_CLOSED")).param, "Connection reset by peer");

          // Cancelled while it rings.
          await alice.command("dial", "sip:carol@example.com");
          await carol.event("CALL_INCOMING");
          await alice.event("CALL_RINGING");
          await alice.command("hangup");
          assertEquals((await carol.event("CALL_CLOSED")).param, "Connection reset by peer");
        } finally {
          for (const phone of started) await phone.end();
        }
      });
    },
  );
}
