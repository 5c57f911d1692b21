/**
 * The generator against the whole system: DBclient, proxy, called side. The experiment of Dacosta and Traynor with its
 * scenarios and an injection file, SIPp's own scenarios through the proxy, and the transports.
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { inTempDir, run, Running } from "../proxy/test_process.ts";
import { startUac, uac } from "../uac/test_process.ts";

const CALLS = 60;
const USERS = 20;

/** What a run counts, of `--json`. */
interface Figures {
  readonly calls: { readonly ok: number; readonly failed: number };
  readonly auth: Readonly<Record<string, number | string>>;
}

/** A proxy with 20 users, a called side, and a callers.inf. */
async function withSystem(
  flags: readonly string[],
  use: (dir: string, place: (args: readonly string[]) => Promise<Figures>) => Promise<void>,
): Promise<void> {
  await inTempDir(async (dir) => {
    const names = Array.from({ length: USERS }, (_, i) => `user${i}`);
    await Deno.writeTextFile(
      `${dir}/users.csv`,
      ["username,domain,password", ...names.map((name) => `${name},example.com,pw-${name}`), ""].join("\n"),
    );
    await Deno.writeTextFile(
      `${dir}/callers.inf`,
      [
        "SEQUENTIAL",
        ...names.map((name) => `${name};[authentication username=${name} password=pw-${name}]`),
        "",
      ]
        .join("\r\n"),
    );
    const imported = await run("dbclient", "users", "import", "--db", `sqlite:${dir}/db`, `${dir}/users.csv`);
    assertEquals(imported.code, 0, imported.err);
    const dbclient = await Running.start("dbclient", "--db", `sqlite:${dir}/db`, "-p", "0");
    const called = await startUac(["-sn", "uas", "-i", "127.0.0.1", "-p", "0", "--quiet"]);
    const proxy = await Running.start(
      ...["proxy", "--listen", "udp:127.0.0.1:0", "--realm", "example.com"] as const,
      ...["--dbclient_port", String(dbclient.port), "--next_hop", `sip:${called.address}`, ...flags],
    );
    try {
      await use(dir, async (args) => {
        const json = `${dir}/figures.json`;
        const { code, out, err } = await uac([
          ...["-inf", `${dir}/callers.inf`, "--realm", "example.com", "-i", "127.0.0.1", "-r", "100"],
          ...["-m", String(CALLS), "--quiet", "--trace_err", "--json", json, ...args],
          `127.0.0.1:${proxy.port}`,
        ]);
        const figures: Figures = JSON.parse(await Deno.readTextFile(json));
        assertEquals([code, figures.calls.ok, figures.calls.failed], [0, CALLS, 0], out + err);
        return figures;
      });
    } finally {
      const side = await called.end("SIGTERM");
      const ended = await proxy.end();
      await dbclient.end();
      assertEquals(ended.code, 0, ended.err);
      assertEquals(side.code, 0, side.out + side.err);
    }
  });
}

for (const [scenario, methods] of [["uac_INVITE_auth", "INVITE"], ["uac_INVITE_BYE_auth", "INVITE,BYE"]]) {
  const challenges = methods.split(",").length * CALLS;
  Deno.test(`${scenario} with a callers.inf: PC by the challenge, and the proxy proves itself each time`, () =>
    withSystem(["--auth", "pc", "--auth_methods", methods], async (_, place) => {
      const { auth } = await place(["-sn", scenario]);
      assertEquals([auth.challenges, auth.pcAnswers, auth.confirmed], [challenges, challenges, challenges]);
      assertEquals([auth.digestAnswers, auth.wrong, auth.serverAuthenticated], [0, 0, "yes"]);
    }));

  Deno.test(`${scenario} with a callers.inf: Digest by the challenge`, () =>
    withSystem(["--auth", "digest", "--auth_methods", methods], async (_, place) => {
      const { auth } = await place(["-sn", scenario]);
      assertEquals([auth.challenges, auth.digestAnswers, auth.pcAnswers], [challenges, challenges, 0]);
    }));
}

Deno.test("chain states go from one run to the next: no second challenge, and only the owner may read them", () =>
  withSystem(["--auth", "pc"], async (dir, place) => {
    const file = `${dir}/chains.json`;
    const first = await place(["--chain_state", file]);
    // On a busy machine a user's next call may begin before its first has an answer.
    const { challenges } = first.auth as { challenges: number };
    assert(challenges >= USERS && challenges < CALLS, `${challenges} challenges`);
    assertEquals(first.auth.confirmed, CALLS);
    const mode = (await Deno.stat(file)).mode! & 0o777;
    assertEquals(mode, 0o600);
    const text = await Deno.readTextFile(file);
    assert(!text.includes("pw-"), "no passwords");
    const second = await place(["--chain_state", file]);
    assertEquals([second.auth.challenges, second.auth.preemptiveAccepted], [0, CALLS]);
    await Deno.writeTextFile(`${dir}/damaged`, text.replace('"SHA-1"', '"SHA-9"'), { mode: 0o600 });
    const damaged = await uac(["--chain_state", `${dir}/damaged`, "127.0.0.1:9"]);
    assertEquals(damaged.code, 255);
    assertStringIncludes(damaged.err, "it is no file of chain states");
    await Deno.chmod(file, 0o644);
    const refused = await uac(["--chain_state", file, "127.0.0.1:9"]);
    assertEquals([refused.code, refused.err], [
      255,
      `uac: ${file}: others may read it; chmod 600 makes it yours alone\n`,
    ]);
  }));

Deno.test("-t un and ui through the proxy: a socket for each call, and for each address", () =>
  withSystem(["--auth", "pc"], async (dir, place) => {
    await place(["-t", "un", "-max_socket", "20"]);
    const text = await Deno.readTextFile(`${dir}/callers.inf`);
    const lines = text.split("\r\n").map((line, i) =>
      i === 0 || line === "" ? line : `${line};127.0.0.${1 + i % 3}`
    );
    await Deno.writeTextFile(`${dir}/callers.inf`, lines.join("\n"));
    await place(["-t", "ui", "-ip_field", "2"]);
  }));

Deno.test("-t tn: a connection for each call", async () => {
  const called = await startUac(["-sn", "uas", "-t", "t1", "-i", "127.0.0.1", "-p", "0", "--quiet"]);
  try {
    const { code, out, err } = await uac([
      ...["-t", "tn", "-i", "127.0.0.1", "-r", "100", "-m", "60", "-d", "50", "--quiet", called.address],
    ]);
    assertEquals(code, 0, out + err);
    assertStringIncludes(out, "ok 60   failed 0");
  } finally {
    await called.end("SIGTERM");
  }
});

Deno.test("[file] reads in its folders alone, and --allow_exec asks for Deno's permission too", () =>
  inTempDir(async (dir) => {
    await Deno.mkdir(`${dir}/files`);
    await Deno.writeTextFile(`${dir}/files/body.txt`, "in a file");
    await Deno.writeTextFile(`${dir}/secret.txt`, "secret");
    await Deno.symlink(`${dir}/secret.txt`, `${dir}/files/link.txt`);
    const scenario = (name: string) =>
      `<scenario name="x"><send><![CDATA[\nOPTIONS sip:x SIP/2.0\nX: [file name=${name}]\n]]></send></scenario>`;
    const file = `${dir}/x.xml`;
    for (const name of ["../secret.txt", "link.txt", `${dir}/secret.txt`, "none.txt", "."]) {
      await Deno.writeTextFile(file, scenario(name));
      const { code, err } = await uac(["-sf", file, "--file_dir", `${dir}/files`, "127.0.0.1:9"]);
      assertEquals([code, err], [
        255,
        `uac: ${file}:3:4: [file]: ${name} is not in a folder of --file_dir\n`,
      ]);
    }
    await Deno.writeTextFile(file, scenario("body.txt"));
    const none = await uac(["-sf", file, "127.0.0.1:9"]);
    assertStringIncludes(none.err, "body.txt may not be read: --file_dir allows folders");
    const { code } = await uac([
      "-sf",
      file,
      "-m",
      "1",
      "--quiet",
      "--file_dir",
      `${dir}/files`,
      "127.0.0.1:9",
    ]);
    assertEquals(code, 0);
    const exec = await uac(["--allow_exec", "127.0.0.1:9"]);
    assertStringIncludes(exec.err, "deno run -P=uac --allow-run=/bin/sh uac/main.ts");
  }));
