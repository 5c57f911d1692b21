/** linphonec registers at the proxy, and calls another, and baresip, through it. */
import { withServices } from "../services_io.ts";
import { Baresip } from "./baresip_io.ts";
import { linphone } from "./linphone_io.ts";
import { peerTest } from "./programs_io.ts";

const USERS = { alice: "password-alice", bob: "password-bob" };
const FLAGS = ["--auth", "digest", "--registrar", "1"];

peerTest(
  "linphonec: registers with Digest, calls with audio, hangs up, cancels, is busy",
  ["linphonec"],
  () =>
    withServices(USERS, [FLAGS], async ({ dir, proxies: [proxy] }) => {
      const address = `127.0.0.1:${proxy.port}`;
      const alice = await linphone(dir, "alice", USERS.alice, address);
      const bob = await linphone(dir, "bob", USERS.bob, address).catch(async (error) => {
        await alice.end();
        throw error;
      });
      try {
        // Calls have numbers: 1 is taken, 2 rejected, 3 cancelled.
        await alice.type("call sip:bob@example.com");
        await bob.says(/incoming call from sip:alice@example\.com, assigned id 1/);
        await alice.says(/Call 1 .* ringing/);
        await bob.type("answer 1");
        for (const phone of [alice, bob]) {
          await phone.says(/Media streams established .* for call 1 \(audio\)/);
        }
        await alice.type("terminate 1");
        for (const phone of [alice, bob]) await phone.says(/Call 1 with .* ended \(No error\)/);

        await alice.type("call sip:bob@example.com");
        await bob.says(/incoming call from sip:alice@example\.com, assigned id 2/);
        await bob.type("terminate 2");
        await alice.says(/Call 2 .*(declined|busy|ended|failed|refused)/i);

        await alice.type("call sip:bob@example.com");
        await bob.says(/incoming call from sip:alice@example\.com, assigned id 3/);
        await alice.says(/Call 3 .* ringing/);
        await alice.type("terminate 3");
        await bob.says(/Call 3 with .* ended/);
      } finally {
        await alice.end();
        await bob.end();
      }
    }),
);

peerTest(
  "linphonec and baresip call each other, and each hangs up",
  ["linphonec", "baresip"],
  () =>
    withServices(USERS, [FLAGS], async ({ dir, proxies: [proxy] }) => {
      const address = `127.0.0.1:${proxy.port}`;
      const alice = await linphone(dir, "alice", USERS.alice, address);
      const bob = await Baresip.start(dir, "bob", USERS.bob, { proxy: address }).catch(async (error) => {
        await alice.end();
        throw error;
      });
      try {
        await alice.type("call sip:bob@example.com");
        await bob.event("CALL_INCOMING");
        await bob.command("accept");
        await bob.event("CALL_ESTABLISHED");
        await alice.says(/Media streams established .* for call 1 \(audio\)/);
        await alice.type("play tone.wav");
        await bob.event("CALL_RTPESTAB");
        await bob.command("hangup");
        await alice.says(/Call 1 with .* ended \(No error\)/);
        await bob.event("CALL_CLOSED");

        await bob.command("dial", "sip:alice@example.com");
        await alice.says(/incoming call from .*sip:bob@example\.com.*, assigned id 2/);
        await bob.event("CALL_RINGING");
        await alice.type("answer 2");
        await bob.event("CALL_ESTABLISHED");
        await alice.type("terminate 2");
        await bob.event("CALL_CLOSED");
      } finally {
        await alice.end();
        await bob.end();
      }
    }),
);
