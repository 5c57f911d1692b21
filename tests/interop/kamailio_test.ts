/** Kamailio as the next hop behind the proxy, and as a dispatcher before two of them. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { freePort } from "../../proxy/test_process.ts";
import { uac } from "../../uac/test_process.ts";
import { withServices } from "../services_io.ts";
import { CALLERS, digestCalls, SCENARIOS, sipp } from "../sipp/callers_io.ts";
import { PeerProcess, peerTest } from "./programs_io.ts";

const CALLS = 40;
const CONFIGURATIONS = new URL("./kamailio/", import.meta.url).pathname;

/** Starts Kamailio, and waits until it answers. */
async function kamailio(
  dir: string,
  configuration: string,
  port: number,
  defines: Readonly<Record<string, string>>,
): Promise<PeerProcess> {
  const named = Object.entries(defines).flatMap(([name, value]) => ["-A", `${name}="${value}"`]);
  const memory = ["-m", "64", "-M", "8"];
  const runtime = await Deno.makeTempDir({ dir, prefix: "kamailio" });
  const process = new PeerProcess("kamailio", [
    ...["-f", `${CONFIGURATIONS}${configuration}`, "-DD", "-E", "-Y", runtime, "-l", `udp:127.0.0.1:${port}`],
    ...[...memory, ...named],
  ], { cwd: dir });
  await answers(port);
  return process;
}

/** Waits until something answers OPTIONS at a port. */
async function answers(port: number): Promise<void> {
  const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  const own = `127.0.0.1:${(socket.addr as Deno.NetAddr).port}`;
  const options = [
    `OPTIONS sip:127.0.0.1:${port} SIP/2.0`,
    `Via: SIP/2.0/UDP ${own};branch=z9hG4bKready`,
    "Max-Forwards: 70",
    "From: <sip:test@example.com>;tag=t",
    `To: <sip:127.0.0.1:${port}>`,
    `Call-ID: ready@${own}`,
    "CSeq: 1 OPTIONS",
    "Content-Length: 0",
    "",
    "",
  ].join("\r\n");
  const answer = socket.receive();
  const timer = setInterval(() => {
    socket.send(new TextEncoder().encode(options), { transport: "udp", hostname: "127.0.0.1", port })
      .catch(() => {}); // Nobody listens yet.
  }, 100);
  try {
    await answer;
  } finally {
    clearInterval(timer);
    socket.close();
  }
}

peerTest(
  `Kamailio behind the proxy gets authenticated requests without credentials: ${CALLS} calls by PC`,
  ["kamailio", "sipp"],
  () => {
    const [port, calledPort] = [freePort(), freePort()];
    const flags = ["--auth", "both", "--auth_methods", "INVITE,BYE", "--next_hop", `sip:127.0.0.1:${port}`];
    return withServices(CALLERS, [flags], async ({ dir, proxies: [proxy] }) => {
      const side = sipp(dir, "-sf", `${SCENARIOS}called.xml`, "-p", String(calledPort));
      const server = await kamailio(dir, "behind.cfg", port, { NEXT_HOP: `sip:127.0.0.1:${calledPort}` });
      const address = `127.0.0.1:${proxy.port}`;
      try {
        const users = [
          "--user_pattern",
          "user%d",
          "--password",
          "password-%d",
          "--from",
          "0",
          "--count",
          "20",
        ];
        const run = ["-r", "50", "-m", String(CALLS), "--realm", "example.com", "--auth", "pc", "--quiet"];
        const { code, out, err } = await uac([...run, ...users, address]);
        assertEquals(code, 0, out + err + server.said);
        assertStringIncludes(out, `ok ${CALLS}   failed 0`);
      } finally {
        await server.end("SIGTERM");
        side.kill("SIGKILL");
        await side.status;
      }
      const calls = server.said.match(/CALL INVITE from=user\d+ credentials=\S+/g) ?? [];
      assertEquals(calls.length, CALLS);
      assert(calls.every((call) => call.endsWith("credentials=[<null>][<null>]")), calls[0]);
      const inside = server.said.match(/INSIDE \w+ credentials=\S+/g) ?? [];
      assertEquals(
        new Set(inside),
        new Set(["INSIDE ACK credentials=[<null>]", "INSIDE BYE credentials=[<null>]"]),
      );
      assert(!/INSANE|NO ROUTE|ERROR|CRITICAL/.test(server.said), server.said);
    });
  },
);

peerTest(
  "Kamailio before two proxies: Digest calls through both, and through one when the other was killed",
  ["kamailio", "sipp"],
  () => {
    const [port, calledPort] = [freePort(), freePort()];
    const flags = ["--auth", "digest", "--next_hop", `sip:127.0.0.1:${calledPort}`];
    return withServices(CALLERS, [flags, flags], async ({ dir, proxies }) => {
      const list = `${dir}/dispatcher.list`;
      const lines = proxies.map((proxy) => `1 sip:127.0.0.1:${proxy.port}`);
      await Deno.writeTextFile(list, `${lines.join("\n")}\n`);
      const side = sipp(dir, "-sf", `${SCENARIOS}called.xml`, "-p", String(calledPort));
      const server = await kamailio(dir, "before.cfg", port, { LIST: list });
      const at = { dir, proxy: `127.0.0.1:${port}` };
      // By itself SIPp answers for the address that it sends to, which is Kamailio's.
      const uri = ["-auth_uri", "service@example.com"];
      const call = (count: number) => digestCalls(at, count, (user) => `password-${user}`, 10_000, "u1", uri);
      try {
        assertEquals(await call(CALLS), { code: 0, successful: CALLS, failed: 0 });
        for (const proxy of proxies) await server.says(new RegExp(`TO sip:127.0.0.1:${proxy.port}\\b`));
        const [killed] = proxies.splice(0, 1);
        await killed.end("SIGKILL");
        assertEquals(await call(CALLS), { code: 0, successful: CALLS, failed: 0 });
        await server.says(new RegExp(`DOWN sip:127.0.0.1:${killed.port}\\b`));
        assertEquals(await call(CALLS), { code: 0, successful: CALLS, failed: 0 });
      } finally {
        await server.end("SIGTERM");
        side.kill("SIGKILL");
        await side.status;
      }
      assert(!/ERROR|CRITICAL/.test(server.said), server.said);
    });
  },
);
