/** Limits on real sockets: a flood beside calls, and passwords that are guessed. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import type { Address } from "../mod.ts";
import { inTempDir, run, Running, until } from "../proxy/test_process.ts";
import { withSubscribers } from "../proxy/test_phone.ts";
import { request, response, statusOf } from "../proxy/testing.ts";
import { Endpoint } from "./endpoint_io.ts";

const FLOODER = "127.0.0.2";
const CALLER = "127.0.0.3";
const CALLED = "127.0.0.4";
let branches = 0;

function via(endpoint: Endpoint): string {
  const { host, port } = endpoint.udp.local;
  return `SIP/2.0/UDP ${host}:${port};rport;branch=z9hG4bKlimit${++branches}`;
}

Deno.test("limits: a flood from one address over UDP, and another's calls go on", async () => {
  const called = await Endpoint.open({ host: CALLED, tcp: false });
  const caller = await Endpoint.open({ host: CALLER, tcp: false });
  const flooder = await Endpoint.open({ host: FLOODER, tcp: false });
  const { port } = called.udp.local;
  const flags = ["--listen", "udp:127.0.0.1:0", "--auth", "none", "--next_hop", `sip:${CALLED}:${port}`];
  const proxy = await Running.start("proxy", ...flags, "--source_rate", "50");
  const place: Address = { host: "127.0.0.1", port: proxy.port };
  let outcome;
  try {
    const target = `sip:x@127.0.0.1:${proxy.port}`;
    for (let round = 0; round < 20; round++) {
      for (let i = 0; i < 200; i++) {
        flooder.send(
          request("OPTIONS", { uri: target, via: via(flooder), callId: `flood${round}-${i}` }),
          place,
        );
      }
      // Half a second, so that the limit comes back a little between the rounds.
      await new Promise((resolve) => setTimeout(resolve, 25));
      const callId = `call${round}`;
      caller.send(request("OPTIONS", { uri: target, via: via(caller), callId }), place);
      for (;;) {
        const received = await called.next("a request");
        called.send(response(received.text, 200), received.from);
        if (received.text.includes(`Call-ID: ${callId}\r\n`)) break;
      }
      assertEquals(statusOf((await caller.next("200")).text), 200);
    }
    await until(() => /refused reason="source_rate_dropped"/.test(proxy.err), "a line about the flood");
  } finally {
    outcome = await proxy.end();
    await Promise.all([called.close(), caller.close(), flooder.close()]);
  }
  assertEquals(outcome.code, 0);
  assertMatch(outcome.err, /refused reason="source_rate" source="udp:127\.0\.0\.2:\d+" method="OPTIONS"/);
  assert(!outcome.err.includes(CALLER), outcome.err);
});

Deno.test("limits: guessing a password over UDP is slowed, logged, and tells no secrets", async () => {
  await inTempDir(async (dir) => {
    const dbclient = await Running.start(
      "dbclient",
      "--db",
      await withSubscribers(dir, ["alice"]),
      "-p",
      "0",
    );
    const proxy = await Running.start(
      "proxy",
      ...["--listen", "udp:127.0.0.1:0", "--realm", "example.com", "--registrar", "1", "--auth", "digest"],
      ...[
        "--dbclient_port",
        String(dbclient.port),
        "--max_failures_per_user",
        "5",
        "--failure_window",
        "3600",
      ],
    );
    const guesser = await Endpoint.open({ host: FLOODER, tcp: false });
    const place: Address = { host: "127.0.0.1", port: proxy.port };
    const ask = async (headers: readonly string[], cseq: number) => {
      const parts = {
        uri: "sip:example.com",
        to: "<sip:alice@example.com>",
        callId: "guess",
        via: via(guesser),
      };
      guesser.send(request("REGISTER", { ...parts, headers, cseq }), place);
      return (await guesser.next("answer")).text;
    };
    const statuses: number[] = [];
    let last = "";
    for (let i = 0; i < 20; i++) {
      const challenge = await ask([], 2 * i + 1);
      const nonce = /nonce="([^"]+)"/.exec(challenge)![1];
      const response = i.toString(16).padStart(32, "ab");
      last = await ask([
        `Authorization: Digest username="alice", realm="example.com", nonce="${nonce}", uri="sip:example.com", ` +
        `qop=auth, nc=00000001, cnonce="c${i}", response="${response}"`,
      ], 2 * i + 2);
      statuses.push(statusOf(last));
    }
    await guesser.close();
    const { err } = await proxy.end();
    await dbclient.end();
    assertEquals(statuses, [...new Array(5).fill(401), ...new Array(15).fill(503)]);
    assertMatch(last, /\r\nRetry-After: \d+\r\n/);
    assertMatch(
      err,
      /refused reason="bad_response" source="udp:127\.0\.0\.2:\d+" method="REGISTER" user="alice"/,
    );
    assertMatch(err, /refused reason="too_many_failures"/);
    assert(!err.includes("abab"), err);
  });
});

Deno.test("explain: as a command, from a file and from standard input, with clear errors", async () => {
  await inTempDir(async (dir) => {
    const file = `${dir}/invite.sip`;
    await Deno.writeTextFile(file, request("INVITE").replaceAll("\r\n", "\n"));
    await Deno.writeTextFile(`${dir}/proxy.toml`, 'realm = ["example.com"]\nnext_hop = "sip:192.0.2.20"\n');
    const config = ["--config", `${dir}/proxy.toml`];
    const { code, out, err } = await run("proxy", "explain", file, ...config);
    assertEquals([code, err], [0, ""]);
    assertMatch(out, /^.*invite\.sip: \d+ bytes from udp:192\.0\.2\.10:5070\n/);
    assertMatch(out, /LF alone/);
    assertMatch(out, /SIP\/2\.0 407 Proxy Authentication Required/);
    const over = await run("proxy", "explain", file, ...config, "--source", "tls:[2001:db8::7]:9");
    assertMatch(over.out, /bytes from tls:\[2001:db8::7\]:9\n/);
    const errors: [string[], RegExp, number][] = [
      [[], /^proxy: explain needs a FILE/, 2],
      [[file, file], /^proxy: unexpected argument/, 2],
      [[`${dir}/none`], /^proxy: explain .*none: no such file\n$/, 1],
      [[file, "--source", "nowhere"], /^proxy: --source: "nowhere" is not allowed/, 2],
      [[file, "--sorce", "x"], /did you mean/, 2],
    ];
    for (const [args, text, exit] of errors) {
      const failed = await run("proxy", "explain", ...args, ...config);
      assertEquals([failed.code, failed.out], [exit, ""], failed.err);
      assertMatch(failed.err, text);
      assertEquals(failed.err.trim().split("\n").length, 1);
    }
  });
});
