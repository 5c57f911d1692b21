/** Warm-up files from end to end: `dbclient warmup` writes, the proxy loads, calls go through without DBclient. */
import { assert, assertEquals, assertMatch, assertNotEquals, fail } from "@std/assert";
import { viaPort } from "../proxy/test_phone.ts";
import { ackOf, challengeOf, firstLine, header, PcCaller, response, statusOf } from "../proxy/testing.ts";

const ROOT = new URL("..", import.meta.url).pathname;
const REALM = "example.com";
const ENVIRONMENT = { NO_COLOR: "1", PROXYCHAIN_KEY: "000102030405060708090a0b0c0d0e0f" };
/** Nobody listens there. */
const NO_DBCLIENT = ["--dbclient_addr", "127.0.0.1", "--dbclient_port", "9"];
const encoder = new TextEncoder();
const decoder = new TextDecoder();

function program(
  name: string,
  args: readonly string[],
  env: Record<string, string> = {},
  signal?: AbortSignal,
): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", `-P=${name}`, `${name}/main.ts`, ...args],
    cwd: ROOT,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
    env: { ...ENVIRONMENT, ...env },
    signal,
  });
}

async function outcome(name: string, args: readonly string[], env?: Record<string, string>) {
  // A program that goes on where it should have ended must not keep the test for ever.
  const signal = AbortSignal.timeout(30_000);
  const { code, stderr } = await program(name, args, env, signal).output();
  return { code, err: decoder.decode(stderr) };
}

async function dbclient(...args: string[]): Promise<string> {
  const { code, err } = await outcome("dbclient", args);
  assertEquals(code, 0, err);
  return err;
}

/** A UDP socket that waits for one datagram at a time. */
class Endpoint implements AsyncDisposable {
  readonly #socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });

  get port(): number {
    return (this.#socket.addr as Deno.NetAddr).port;
  }

  async send(text: string, port: number): Promise<void> {
    await this.#socket.send(encoder.encode(text), { transport: "udp", hostname: "127.0.0.1", port });
  }

  /** The next message that is no 100. */
  async receive(): Promise<string> {
    const late = setTimeout(() => this.#socket.close(), 10_000);
    try {
      for (;;) {
        const text = decoder.decode((await this.#socket.receive())[0]);
        if (statusOf(text) !== 100) return text;
      }
    } finally {
      clearTimeout(late);
    }
  }

  // deno-lint-ignore require-await
  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close();
  }
}

/** A running proxy. */
class ProxyProcess implements AsyncDisposable {
  private constructor(
    private readonly child: Deno.ChildProcess,
    private readonly lines: ReadableStreamDefaultReader<string>,
    readonly port: number,
    readonly said: string,
  ) {}

  static async start(calledPort: number, args: readonly string[]): Promise<ProxyProcess> {
    const usual = [
      "--listen",
      "udp:127.0.0.1:0",
      "--realm",
      REALM,
      "--next_hop",
      `sip:127.0.0.1:${calledPort}`,
    ];
    const child = program("proxy", [...usual, ...NO_DBCLIENT, ...args]).spawn();
    const lines = child.stderr.pipeThrough(new TextDecoderStream()).getReader();
    let said = "";
    while (!/ready on .*\n/.test(said)) {
      const { value, done } = await lines.read();
      if (done) fail(`the proxy ended: ${said}`);
      said += value;
    }
    return new ProxyProcess(child, lines, Number(/ready on udp:127\.0\.0\.1:(\d+)/.exec(said)![1]), said);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill("SIGTERM");
    while (!(await this.lines.read()).done);
    await this.child.status;
  }
}

const vias = { next: 0 };
const parts = (phone: Endpoint, callId: string) => ({
  via: `SIP/2.0/UDP 127.0.0.1:${phone.port};branch=z9hG4bK-warmup-${++vias.next}`,
  callId,
});

interface Setup {
  readonly folder: string;
  readonly file: string;
  write(...args: string[]): Promise<string>;
}

/** A subscriber database of 20 users (password "secret"), and a warm-up file of all of them for the proxy "edge". */
async function withFile(run: (setup: Setup) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const rows = Array.from(
      { length: 20 },
      (_, i) => `user${String(i + 1).padStart(3, "0")},${REALM},secret`,
    );
    await Deno.writeTextFile(`${folder}/users.csv`, ["username,domain,password", ...rows].join("\n"));
    const db = ["--db", `sqlite:${folder}/users.db`];
    await dbclient("users", "import", ...db, `${folder}/users.csv`);
    const file = `${folder}/warmup.pcw`;
    const usual = ["--out", file, "--realm", REALM, "--proxy", "edge"];
    await run({ folder, file, write: (...args) => dbclient("warmup", ...db, ...usual, ...args) });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const BY_PATTERN = ["--users", "user%03d", "--from", "1", "--count", "25"];
const load = (file: string) => ["--proxy_name", "edge", "--cache_warmup", "1", "--cache_warmup_file", file];

const CALL = "a call goes through with DBclient down, and the caller knows the proxy by it; others get 503";
for (const workers of [1, 2]) {
  Deno.test(`${CALL}; --workers ${workers}`, () =>
    withFile(async ({ file, write }) => {
      await write(...BY_PATTERN);
      await using phone = new Endpoint();
      await using called = new Endpoint();
      await using proxy = await ProxyProcess.start(called.port, [
        ...load(file),
        "--workers",
        String(workers),
      ]);
      assertMatch(proxy.said, /warm-up file \S+: 20 of 20 users loaded, \d+ s old, revocation serial 0\n/);
      const caller = new PcCaller("user007");
      await phone.send(caller.request("INVITE", parts(phone, "one")), proxy.port);
      const challenged = await phone.receive();
      assertEquals(statusOf(challenged), 407);
      const invite = caller.again(challenged, "INVITE", parts(phone, "one"));
      await phone.send(invite, proxy.port);
      const forwarded = await called.receive();
      assertMatch(firstLine(forwarded), /^INVITE /);
      await called.send(response(forwarded, 200), viaPort(forwarded));
      const answered = await phone.receive();
      assertEquals(statusOf(answered), 200);
      assertEquals(caller.confirm(answered), "confirmed");

      const stranger = new PcCaller("user021");
      await phone.send(stranger.request("INVITE", parts(phone, "two")), proxy.port);
      assertEquals(statusOf(await phone.receive()), 503);
    }));
}

Deno.test("what was recorded at one proxy is refused by another with the same file, and by itself after a restart", () =>
  withFile(async ({ file, write }) => {
    await write(...BY_PATTERN);
    await using phone = new Endpoint();
    await using called = new Endpoint();
    const caller = new PcCaller("user001");
    let recorded: string;
    let challenged: string;
    {
      await using first = await ProxyProcess.start(called.port, load(file));
      const invite = caller.request("INVITE", parts(phone, "three"));
      await phone.send(invite, first.port);
      challenged = await phone.receive();
      await phone.send(ackOf(invite, challenged), first.port);
      recorded = caller.again(challenged, "INVITE", parts(phone, "three"));
      await phone.send(recorded, first.port);
      assertMatch(firstLine(await called.receive()), /^INVITE /);

      await using second = await ProxyProcess.start(called.port, load(file));
      await phone.send(recorded, second.port);
      const refused = await phone.receive();
      assertEquals(statusOf(refused), 407);
      const [before, now] = [challengeOf(challenged), challengeOf(refused)];
      assertEquals(now.nonce, before.nonce);
      assertNotEquals(now.opaque, before.opaque);
      assert(now.stale);
      await phone.send(ackOf(recorded, refused), second.port);
    }
    await using again = await ProxyProcess.start(called.port, load(file));
    await phone.send(recorded, again.port);
    const refused = await phone.receive();
    assertEquals(statusOf(refused), 407);
    assertNotEquals(challengeOf(refused).opaque, challengeOf(challenged).opaque);
    assertEquals(header(refused, "Call-ID"), "three");
  }));

Deno.test("each proxy takes its own range of the file: offset and size", () =>
  withFile(async ({ file, write }) => {
    await using called = new Endpoint();
    await write(...BY_PATTERN);
    for (
      const [args, count] of [
        [["--offset", "15"], 5],
        [["--cache_warmup_size", "8"], 8],
        [["--cache_warmup_size", "8", "--offset", "16"], 4],
        [["--offset", "20"], 0],
        [["--max_users", "10"], 10],
      ] as const
    ) {
      await using proxy = await ProxyProcess.start(called.port, [...load(file), ...args]);
      assertMatch(proxy.said, new RegExp(`: ${count} of 20 users loaded`), args.join(" "));
    }
  }));

Deno.test("a file that must not be used ends the proxy with one line", () =>
  withFile(async ({ folder, file, write }) => {
    const refused = async (
      text: string,
      args = load(file),
      code = 1,
      env?: Record<string, string>,
      realm = REALM,
    ) => {
      const usual = ["--listen", "udp:127.0.0.1:0", "--realm", realm, ...NO_DBCLIENT];
      const found = await outcome("proxy", [...usual, ...args], env);
      assertEquals(found.code, code, found.err);
      assertMatch(found.err, new RegExp(`^(\\S+ CRIT failed )?proxy: [^\n]*${text}[^\n]*\n$`));
    };
    await write(...BY_PATTERN);
    const whole = await Deno.readFile(file);
    await refused('written for the proxy "edge"', [...load(file), "--proxy_name", "edge-2"]);
    await refused("SHA-256", [...load(file), "--algorithm", "SHA-256"]);
    await refused('realm "example.com"', load(file), 1, {}, "elsewhere");
    await refused("MAC is wrong", load(file), 1, { PROXYCHAIN_KEY: "f".repeat(32) });
    await refused("needs a key", load(file), 2, { PROXYCHAIN_KEY: "" });
    await refused("--cache_warmup_file", ["--cache_warmup", "1"], 2);
    await refused("no such file", load(`${folder}/none`));
    await refused("no regular file", load(folder));
    await Deno.chmod(file, 0o644);
    await refused("chmod 600");
    await Deno.chmod(file, 0o600);

    const damaged = async (text: string, bytes: Uint8Array) => {
      await Deno.writeFile(file, bytes);
      await refused(text);
    };
    const changed = whole.slice();
    changed[whole.length - 60] ^= 1;
    await damaged("MAC is wrong", changed);
    await damaged("ends within its records", whole.slice(0, 1000));
    await damaged("bytes after its end", Uint8Array.of(...whole, 10));
    await damaged("version 7", Uint8Array.of(...whole.slice(0, 9), 7, ...whole.slice(10)));
    await damaged("no warm-up file", encoder.encode("username,domain,password\n"));

    // No warm-up file any more, so that writing one would not take its place.
    await Deno.remove(file);
    await write(...BY_PATTERN, "--ttl", "1");
    await new Promise((resolve) => setTimeout(resolve, 1100));
    await refused("expired");
  }));
