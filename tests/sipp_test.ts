/** The whole system with real SIPp in the place of one side. Skipped by name where SIPp is missing, but for CI. */
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { freePort } from "../proxy/test_process.ts";
import { uac } from "../uac/test_process.ts";
import { ignore, present, why } from "../uac/test_sipp.ts";
import { withServices } from "./services_io.ts";
import { CALLERS, counts, digestCalls, SCENARIOS, sipp } from "./sipp/callers_io.ts";

const CALLS = 100;

/** DBclient with 20 users and "service", the proxy, and a called side of SIPp. */
interface System {
  readonly dir: string;
  /** host:port of the proxy */
  readonly proxy: string;
  /** The same of its TCP listener. */
  readonly tcp: string | undefined;
  readonly calledPort: number;
}

async function withSystem(
  called: readonly string[],
  flags: readonly string[],
  use: (system: System) => Promise<void>,
  /** What the next hop's URI has behind its port. */
  hopParameters = "",
): Promise<void> {
  const calledPort = freePort();
  const hop = ["--next_hop", `sip:127.0.0.1:${calledPort}${hopParameters}`];
  const users = { ...CALLERS, service: "password-service" };
  await withServices(users, [[...hop, ...flags]], async ({ dir, proxies: [proxy] }) => {
    const side = sipp(dir, ...called, "-p", String(calledPort));
    try {
      const tcp = /ready on .*tcp:([^ ,]*)/.exec(proxy.err)?.[1];
      await use({ dir, proxy: `127.0.0.1:${proxy.port}`, tcp, calledPort });
    } finally {
      side.kill("SIGKILL");
      await side.status;
    }
  });
}

/** Registers users with SIPp and Digest for the called side. */
async function register(
  { dir, proxy, calledPort }: System,
  users: readonly string[],
  password = (user: string) => user.replace(/^(?:user)?/, "password-"),
): Promise<{ readonly code: number; readonly successful: number; readonly failed: number }> {
  const lines = users.map((user) => `${user};[authentication username=${user} password=${password(user)}]`);
  await Deno.writeTextFile(`${dir}/phones.csv`, ["SEQUENTIAL", ...lines, ""].join("\n"));
  const phones = sipp(
    dir,
    ...["-sf", `${SCENARIOS}register.xml`, "-inf", `${dir}/phones.csv`, "-p", String(freePort())],
    ...["-key", "called_port", String(calledPort), "-m", String(users.length), "-r", "100"],
    ...["-recv_timeout", "5000", "-timeout", "30", "-timeout_error"],
    ...["-trace_stat", "-stf", `${dir}/stat.csv`, proxy],
  );
  const { code } = await phones.status;
  return { code, ...await counts(dir) };
}

Deno.test({
  name: `SIPp is there where it has to be${why}`,
  ignore,
  fn: () => assert(present, "sipp is not installed, and CI=true asks for it"),
});

for (const auth of ["pc", "both"]) {
  Deno.test({
    name: `PC callers through the proxy (--auth ${auth}) to sipp -sn uas: ${CALLS} calls${why}`,
    ignore,
    // The built-in scenario gives no Record-Route back; our callers send everything to the proxy, as SIPp does.
    fn: () =>
      withSystem(["-sn", "uas"], ["--auth", auth], async ({ proxy }) => {
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
        const { code, out, err } = await uac(
          [
            ...["-r", "100", "-m", String(CALLS), "--realm", "example.com", "--auth", "pc", "--quiet"],
            ...users,
            proxy,
          ],
        );
        assertEquals(code, 0, out + err);
        assert(out.includes(`ok ${CALLS}   failed 0`), out);
      }),
  });
}

Deno.test({
  name:
    `PC callers through the proxy to a SIPp that gives Record-Route back, BYE authenticated too: ${CALLS} calls${why}`,
  ignore,
  fn: () =>
    withSystem(["-sf", `${SCENARIOS}called.xml`], ["--auth_methods", "INVITE,BYE"], async ({ proxy }) => {
      const users = ["--user_pattern", "user%d", "--password", "password-%d", "--from", "0", "--count", "20"];
      const { code, out, err } = await uac(
        [
          ...["-r", "100", "-m", String(CALLS), "--realm", "example.com", "--auth", "pc", "--quiet"],
          ...users,
          proxy,
        ],
      );
      assertEquals(code, 0, out + err);
      assert(out.includes(`ok ${CALLS}   failed 0`), out);
    }),
});

for (const auth of ["digest", "both"]) {
  Deno.test({
    name: `SIPp as Digest caller through the proxy (--auth ${auth}) to SIPp: ${CALLS} calls${why}`,
    ignore,
    fn: () =>
      withSystem(["-sf", `${SCENARIOS}called.xml`], ["--auth", auth], async (system) => {
        const result = await digestCalls(system, CALLS, (user) => `password-${user}`);
        assertEquals(result, { code: 0, successful: CALLS, failed: 0 });
      }),
  });
}

Deno.test({
  name: `SIPp with wrong passwords gets nobody through${why}`,
  ignore,
  fn: () =>
    withSystem(["-sf", `${SCENARIOS}called.xml`], ["--auth", "both"], async (system) => {
      const { code, successful, failed } = await digestCalls(system, 10, () => "wrong", 1000);
      assertNotEquals(code, 0);
      assertEquals([successful, failed], [0, 10]);
    }),
});

for (const auth of ["digest", "both"]) {
  for (const [caller, called] of [["t1", "t1"], ["t1", "u1"], ["u1", "t1"], ["tn", "t1"]]) {
    Deno.test({
      name:
        `SIPp as Digest caller (-t ${caller}, --auth ${auth}) to SIPp (-t ${called}): ${CALLS} calls${why}`,
      ignore,
      // Where the transport changes the proxy stands twice in Record-Route, and both ends send by their own.
      fn: () =>
        withSystem(
          ["-sf", `${SCENARIOS}called.xml`, "-t", called],
          ["--auth", auth, "--listen", "tcp:127.0.0.1:0"],
          async ({ dir, proxy, tcp, calledPort }) => {
            const system = { dir, proxy: caller === "u1" ? proxy : tcp!, tcp, calledPort };
            const password = (user: number) => `password-${user}`;
            const result = await digestCalls(system, CALLS, password, 10_000, caller);
            assertEquals(result, { code: 0, successful: CALLS, failed: 0 });
          },
          called === "u1" ? "" : ";transport=tcp",
        ),
    });
  }
}

for (const auth of ["digest", "both"]) {
  Deno.test({
    name:
      `SIPp registers with Digest (--auth ${auth}), and is called where it registered: ${CALLS} calls${why}`,
    ignore,
    // Nobody listens at the next hop: who is called was found by its registration.
    fn: () =>
      withSystem(
        ["-sf", `${SCENARIOS}called.xml`],
        ["--auth", auth, "--registrar", "1", "--next_hop", `sip:127.0.0.1:${freePort()}`],
        async (system) => {
          const users = ["service", ...Array.from({ length: 20 }, (_, i) => `user${i}`)];
          assertEquals(await register(system, users), { code: 0, successful: 21, failed: 0 });
          const calls = await digestCalls(system, CALLS, (user) => `password-${user}`);
          assertEquals(calls, { code: 0, successful: CALLS, failed: 0 });
        },
      ),
  });
}

Deno.test({
  name: `SIPp does not register with wrong passwords${why}`,
  ignore,
  fn: () =>
    withSystem(
      ["-sf", `${SCENARIOS}called.xml`],
      ["--auth", "digest", "--registrar", "1"],
      async (system) => {
        const { successful, failed } = await register(system, ["service", "user0"], () => "wrong");
        assertEquals([successful, failed], [0, 2]);
      },
    ),
});
