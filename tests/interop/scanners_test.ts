/** sipsak asks whether the proxy lives; sipvicious looks for users and passwords. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import type { Running } from "../../proxy/test_process.ts";
import { withServices } from "../services_io.ts";
import { peerTest, runPeer } from "./programs_io.ts";

const USERS = { alice: "password-alice", bob: "password-bob", "101": "password-101" };
// sipsak cuts a port of five digits off in its URI: it asks for the address alone.
const FLAGS = ["--auth", "both", "--registrar", "1", "--realm", "example.com,127.0.0.1"];

/** Whether the proxy lives, as sipsak says. */
async function ping(dir: string, proxy: Running): Promise<void> {
  const to = ["-s", "sip:127.0.0.1", "-r", String(proxy.port)];
  const { code, said } = await runPeer("sipsak", ["-vv", ...to], { cwd: dir });
  assertEquals(code, 0, said);
  assertMatch(said, /SIP\/2\.0 200 OK/);
}

peerTest(
  "sipsak: OPTIONS is answered with 200",
  ["sipsak"],
  () => withServices(USERS, [FLAGS], ({ dir, proxies: [proxy] }) => ping(dir, proxy)),
);

for (const [method, names] of [["REGISTER", "-d names"], ["INVITE", "-e 100-105"]]) {
  peerTest(
    `sipvicious svwar with ${method} finds none of the users`,
    ["svwar"],
    () =>
      withServices(USERS, [FLAGS], async ({ dir, proxies: [proxy] }) => {
        await Deno.writeTextFile(`${dir}/names`, "alice\nnobody\nbob\nsomebody\n");
        const at = ["-m", method, "-p", String(proxy.port), "--domain=example.com", "--maximumtime=2"];
        // Forced, since it gives up by itself: all answers are the same.
        const { said } = await runPeer("svwar", ["--force", ...names.split(" "), ...at, "127.0.0.1"], {
          cwd: dir,
        });
        assertMatch(said, /found nothing/, said);
        assert(!/\| (alice|bob|101) /.test(said), said);
      }),
  );
}

peerTest(
  "sipvicious svcrack gets no password that it does not know",
  ["svcrack", "sipsak"],
  () =>
    withServices(USERS, [FLAGS], async ({ dir, proxies: [proxy] }) => {
      const passwords = Array.from({ length: 10 }, (_, i) => `guess-${i}\n`);
      await Deno.writeTextFile(`${dir}/passwords`, passwords.join(""));
      const at = ["-p", String(proxy.port), "--domain=example.com", "--maximumtime=3"];
      const { said } = await runPeer("svcrack", ["-u", "alice", "-d", "passwords", ...at, "127.0.0.1"], {
        cwd: dir,
      });
      assertMatch(said, /found nothing/, said);
      await ping(dir, proxy);
    }),
);
