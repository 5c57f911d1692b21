/** The registrar as a program: phones on the wire, restarts with SQLite and MariaDB, workers. */
import { assert, assertEquals } from "@std/assert";
import { mariadbMissing, startMariadb } from "../../tests/private_mariadb_io.ts";
import { withSubscribers } from "../test_phone.ts";
import { freePort, inTempDir, run, Running, TestSocket } from "../test_process.ts";
import { header, headers, PcCaller, request, type RequestParts, response, statusOf } from "../testing.ts";

const missing = await mariadbMissing();
const NAMES = Array.from({ length: 20 }, (_, i) => `user${i}`);

/** A phone that registers with PC, and is called. */
class RegisteringPhone {
  readonly socket = new TestSocket();
  readonly #caller: PcCaller;
  #branch = 0;

  constructor(readonly name: string, private readonly proxyPort: number) {
    this.#caller = new PcCaller(name, "secret", 1 + NAMES.indexOf(name), "Authorization");
  }

  get contact(): string {
    return `<sip:${this.name}@127.0.0.1:${this.socket.port}>`;
  }

  #parts(more: RequestParts): RequestParts {
    const { port } = this.socket;
    return {
      via: `SIP/2.0/UDP 127.0.0.1:${port};rport;branch=z9hG4bKr${port}x${++this.#branch}`,
      uri: "sip:example.com",
      to: `<sip:${this.name}@example.com>`,
      contacts: [this.contact],
      callId: `${this.name}-${port}`,
      ...more,
    };
  }

  /** Registers; the last answer. */
  async register(more: RequestParts = {}): Promise<string> {
    const ask = async (text: string) => {
      await this.socket.send(text, this.proxyPort);
      return await this.socket.nextButTrying("answer to REGISTER");
    };
    let answer = await ask(this.#caller.request("REGISTER", this.#parts(more)));
    for (let challenges = 0; statusOf(answer) === 401 && challenges < 3; challenges++) {
      answer = await ask(this.#caller.again(answer, "REGISTER", this.#parts(more)));
    }
    return answer;
  }
}

let calls = 0;

/** Calls a user: sends MESSAGE from a port of its own, and gives back what the caller hears. */
async function call(user: string, proxyPort: number, phone?: RegisteringPhone): Promise<number> {
  const caller = new TestSocket();
  try {
    // A port may be one that was used before: the number makes it another transaction.
    const branch = `z9hG4bKc${caller.port}x${++calls}`;
    const via = `SIP/2.0/UDP 127.0.0.1:${caller.port};rport;branch=${branch}`;
    await caller.send(request("MESSAGE", { uri: `sip:${user}@example.com`, via, callId: branch }), proxyPort);
    if (phone !== undefined) {
      const text = await phone.socket.next(`call to ${user}`);
      assertEquals(text.split(" ", 2), ["MESSAGE", phone.contact.slice(1, -1)]);
      const port = Number(/^SIP\/2\.0\/UDP [^:;]+:(\d+);/.exec(headers(text, "Via")[0])![1]);
      await phone.socket.send(response(text, 200), port);
    }
    return statusOf(await caller.nextButTrying("answer"));
  } finally {
    await caller.close();
  }
}

function flags(dbclientPort: number, port: number, ...more: readonly string[]): string[] {
  return [
    ...[
      "--listen",
      `udp:127.0.0.1:${port}`,
      "--realm",
      "example.com",
      "--dbclient_port",
      String(dbclientPort),
    ],
    ...["--registrar", "1", "--auth", "pc", "--auth_methods", "INVITE", ...more],
  ];
}

/** DBclient with users, and what a test does with it. */
async function withUsers(use: (dbclientPort: number, dir: string) => Promise<void>): Promise<void> {
  await inTempDir(async (dir) => {
    const dbclient = await Running.start("dbclient", "--db", await withSubscribers(dir, NAMES), "-p", "0");
    try {
      await use(dbclient.port, dir);
    } finally {
      await dbclient.end();
    }
  });
}

/** Registers everybody, restarts the proxy, and calls everybody. */
async function survivesRestart(start: (port: number) => Promise<Running>): Promise<void> {
  const port = freePort();
  let proxy = await start(port);
  const phones = NAMES.map((name) => new RegisteringPhone(name, port));
  try {
    const answers = await Promise.all(phones.map((phone) => phone.register({ headers: ["Expires: 600"] })));
    assertEquals(answers.map(statusOf), NAMES.map(() => 200));
    // One goes, and must not come back.
    assertEquals(
      headers(await phones[0].register({ contacts: ["*"], headers: ["Expires: 0"] }), "Contact"),
      [],
    );
    const ended = await proxy.end();
    assertEquals(ended.code, 0, ended.err);
    proxy = await start(port);
    assert(proxy.err.includes(`${NAMES.length - 1} contacts of ${NAMES.length - 1} users loaded`), proxy.err);
    assertEquals(await call(phones[0].name, port), 480);
    for (const phone of phones.slice(1)) assertEquals(await call(phone.name, port, phone), 200);
    // The order of CSeq is remembered too: an agent that begins anew has another Call-ID.
    const again = await phones[1].register({ contacts: [] });
    assert(/;expires=(600|59\d|58\d)$/.test(header(again, "Contact")), again);
  } finally {
    await proxy.end();
    await Promise.all(phones.map(({ socket }) => socket.close()));
  }
}

Deno.test("registrar: a restart with SQLite loses nobody", async () => {
  await withUsers((dbclient, dir) =>
    survivesRestart((port) =>
      Running.start("proxy", ...flags(dbclient, port, "--location_db", `sqlite:${dir}/location.db`))
    )
  );
});

Deno.test("registrar: a restart of several workers with SQLite loses nobody", async () => {
  await withUsers((dbclient, dir) =>
    survivesRestart((port) =>
      Running.start(
        "proxy",
        ...flags(dbclient, port, "--location_db", `sqlite:${dir}/location.db`, "--workers", "2"),
      )
    )
  );
});

Deno.test({
  name: "registrar: a restart with MariaDB loses nobody" +
    (missing === undefined ? "" : `: skipped, ${missing}`),
  ignore: missing !== undefined,
  async fn() {
    const server = await startMariadb();
    try {
      await server.sql("CREATE DATABASE sip CHARACTER SET utf8mb4");
      await withUsers(async (dbclient, dir) => {
        await Deno.writeTextFile(`${dir}/password`, `${server.password}\n`, { mode: 0o600 });
        const url = `mysql://${server.user}@127.0.0.1:${server.port}/sip`;
        await survivesRestart((port) =>
          Running.start(
            "proxy",
            ...flags(dbclient, port, "--location_db", url, "--location_password_file", `${dir}/password`),
          )
        );
      });
    } finally {
      await server.stop();
    }
  },
});

Deno.test("registrar: with workers, a phone is found whichever of them gets the call, and two phones of a user both count", async () => {
  await withUsers(async (dbclient) => {
    const port = freePort();
    const proxy = await Running.start(
      "proxy",
      ...flags(dbclient, port, "--workers", "3", "--auth_methods", "INVITE"),
    );
    const phones = NAMES.map((name) => new RegisteringPhone(name, port));
    const second = NAMES.map((name) => new RegisteringPhone(name, port));
    try {
      for (const phone of phones) assertEquals(statusOf(await phone.register()), 200);
      // From many ports, so that every worker gets some.
      for (const phone of phones) {
        for (let i = 0; i < 4; i++) assertEquals(await call(phone.name, port, phone), 200);
      }
      for (const phone of second) {
        assertEquals(headers(await phone.register(), "Contact").length, 2, phone.name);
      }
    } finally {
      const ended = await proxy.end();
      await Promise.all([...phones, ...second].map(({ socket }) => socket.close()));
      assertEquals(ended.code, 0, ended.err);
    }
  });
});

Deno.test("registrar: a location that cannot be opened ends the start with one line", async () => {
  await inTempDir(async (dir) => {
    const cases: [string[], number, string][] = [
      [["--location_db", `sqlite:${dir}/no/such/place.db`], 1, "--location_db"],
      [["--location_db", "mysql://a:hush@127.0.0.1/sip"], 2, "takes no password"],
      [["--location_db", "mysql://a@127.0.0.1:1/sip"], 1, "ECONNREFUSED"],
      [["--registrar", "0", "--location_db", "sqlite:x"], 2, "--location_db needs --registrar 1"],
      [["--min_expires", "60", "--max_expires", "30"], 2, "--min_expires 60 is more than --max_expires 30"],
    ];
    for (const [more, code, said] of cases) {
      const outcome = await run("proxy", ...flags(1, freePort(), ...more));
      assertEquals(outcome.code, code, outcome.err);
      assert(outcome.err.includes(said) && !outcome.err.includes("hush"), outcome.err);
      const lines = outcome.err.trim().split("\n").filter((line) => !line.includes("dbclient_lost"));
      assertEquals(lines.length, 1, outcome.err);
    }
  });
});

Deno.test("registrar: a phone that registered over TCP is called on its connection", async () => {
  await withUsers(async (dbclient) => {
    const port = freePort();
    const proxy = await Running.start("proxy", ...flags(dbclient, port, "--listen", "tcp:127.0.0.1:0"));
    const tcpPort = Number(/ready on .*tcp:[^ ,]*:(\d+)/.exec(proxy.err)![1]);
    const connection = await Deno.connect({ hostname: "127.0.0.1", port: tcpPort });
    const caller = new PcCaller("user0", "secret", 1, "Authorization");
    const next = async () => {
      const buffer = new Uint8Array(65536);
      const length = await connection.read(buffer);
      return new TextDecoder().decode(buffer.subarray(0, length ?? 0));
    };
    let branch = 0;
    const parts = (): RequestParts => ({
      via: `SIP/2.0/TCP 10.0.0.7:5060;rport;branch=z9hG4bKtcp${++branch}`,
      uri: "sip:example.com",
      to: "<sip:user0@example.com>",
      // Where nobody could be reached.
      contacts: ["<sip:user0@10.0.0.7:5060;transport=tcp>"],
    });
    const send = (text: string) => connection.write(new TextEncoder().encode(text));
    const socket = new TestSocket();
    try {
      await send(caller.request("REGISTER", parts()));
      await send(caller.again(await next(), "REGISTER", parts()));
      assertEquals(statusOf(await next()), 200);
      const via = `SIP/2.0/UDP 127.0.0.1:${socket.port};rport;branch=z9hG4bKtocall`;
      await socket.send(request("MESSAGE", { uri: "sip:user0@example.com", via }), port);
      const text = await next();
      assert(
        text.startsWith("MESSAGE sip:user0@10.0.0.7:5060;transport=tcp SIP/2.0\r\nVia: SIP/2.0/TCP "),
        text,
      );
      await send(response(text, 200));
      assertEquals(statusOf(await socket.nextButTrying("answer")), 200);
    } finally {
      connection.close();
      await socket.close();
      const ended = await proxy.end();
      assertEquals(ended.code, 0, ended.err);
    }
  });
});
