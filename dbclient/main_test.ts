/** The program as its users start it: `deno run -P=dbclient dbclient/main.ts …`. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { DbclientConnection, loadHashBackend } from "../mod.ts";
import { command, oneLine, run, withDirectory } from "./program_testing_io.ts";
import { SqliteStore } from "./sqlite_store_io.ts";

const { backend } = await loadHashBackend();
const sha256 = backend.get("SHA-256");

/** A running server, with its lines on standard error. */
async function start(args: string[], env: Record<string, string> = {}) {
  const child = command(["-p", "0", ...args], { env }).spawn();
  const lines = child.stderr.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!text.includes("ready on")) {
    const { value, done } = await lines.read();
    if (done) throw new Error(`it ended: ${text}`);
    text += value;
  }
  const port = Number(/ready on \S+:(\d+),/.exec(text)![1]);
  return {
    port,
    ready: text.trimEnd(),
    async stop(signal: Deno.Signal = "SIGTERM"): Promise<{ code: number; err: string }> {
      child.kill(signal);
      let rest = "";
      for (let read = await lines.read(); !read.done; read = await lines.read()) rest += read.value;
      const { code } = await child.status;
      await child.stdout.cancel();
      return { code, err: rest };
    },
  };
}

Deno.test("wrong flags: one line, exit code 2; --help names every flag, exit code 0", async () => {
  const cases: [string[], string][] = [
    [["-n", "0"], "from 1 to 65535"],
    [["--chain_lenght", "3"], "unknown flag"],
    [["-h", "0.0.0.0"], "needs TLS (--tls_certificate FILE, --tls_private_key FILE) and a key"],
    [["frobnicate"], "is not known"],
    [["users"], "it takes one of add, import, export, list, remove, passwd"],
    [["users", "add", "alice"], "USER@REALM"],
    [["users", "list", "--db", "mysql:x"], "mysql://USER@ADDRESS:PORT"],
    [["--key_file", "/nowhere/key"], "cannot read /nowhere/key"],
  ];
  const results = await Promise.all(cases.map(([args]) => run(args)));
  for (const [i, { code, out, err }] of results.entries()) {
    assertEquals([code, out], [2, ""], err);
    assertStringIncludes(err, cases[i][1]);
    oneLine(err);
  }
  const help = await run(["--help"]);
  assertEquals([help.code, help.err], [0, ""]);
  for (
    const flag of [
      "-n",
      "-p",
      "-h",
      "-d",
      "-u",
      "-P",
      "--db",
      "--ttl",
      "--hash",
      "--key_file",
      "--stats_file",
    ]
  ) {
    assertStringIncludes(help.out, flag);
  }
});

Deno.test("users: add, import, list and remove, while the server runs on the same file", () =>
  withDirectory(async (directory) => {
    const db = `sqlite:${directory}/a.db`;
    const statsFile = `${directory}/stats.json`;
    const server = await start(["--db", db, "-n", "20", "--stats_file", statsFile, "--workers", "1"]);
    assertMatch(
      server.ready,
      /^\S+Z NOTICE ready dbclient: ready on 127\.0\.0\.1:\d+, sqlite:\S+ \(0 subscribers\), n 20, lanes$/,
    );

    const csv = `${directory}/users.csv`;
    await Deno.writeTextFile(
      csv,
      'username,domain,password\nalice,example.com,"pa,ss ""w"" é😀"\n"bo,b",b.org,x\n',
    );
    assertEquals((await run(["users", "import", "--db", db, csv])).code, 0);
    assertEquals(
      (await run(["users", "add", "--db", db, "carol@x@example.com"], "from standard input\n")).code,
      0,
    );
    const warned = await run(["users", "add", "--db", db, "dave@example.com", "-P", "x", "--store_plain"]);
    assertEquals(warned.code, 0);
    assertStringIncludes(warned.err, "ps");
    const list = await run(["users", "list", "--db", db]);
    assertEquals(list.out, "bo,b@b.org\nalice@example.com\ncarol@x@example.com\ndave@example.com\n");
    const json = await run(["users", "list", "--db", db, "--json", "--realm", "b.org"]);
    assertEquals(JSON.parse(json.out), { username: "bo,b", domain: "b.org" });
    assertEquals((await run(["users", "remove", "--db", db, "dave@example.com"])).code, 0);
    const gone = await run(["users", "remove", "--db", db, "dave@example.com"]);
    assertEquals(gone.code, 1);
    oneLine(gone.err);

    const database = new DatabaseSync(`${directory}/a.db`, { readOnly: true });
    const row = database.prepare("SELECT * FROM subscriber WHERE username = 'alice'").get() as Record<
      string,
      string
    >;
    database.close();
    // md5sum, sha256sum and openssl sha512-256 of the text: alice:example.com:pa,ss "w" é😀
    const text = new TextEncoder().encode('alice:example.com:pa,ss "w" é😀');
    const hex = (bytes: Uint8Array) =>
      Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
    assertEquals(row.ha1, hex(backend.get("MD5").digest(text)));
    assertEquals(row.ha1_sha256, hex(new Uint8Array(await crypto.subtle.digest("SHA-256", text))));
    assertEquals([row.ha1_sha512t256.length, row.password], [64, ""]);

    const proxy = new DbclientConnection({ addresses: [{ host: "127.0.0.1", port: server.port }], sha256 });
    assert(await proxy.whenConnected(5000));
    const results = await proxy.issue("SHA-1", [
      { username: "alice", realm: "example.com" },
      { username: "dave", realm: "example.com" },
    ]);
    assertEquals(results.map((result) => result.status === "ok" && result.credential.n), [20, 20]);
    await proxy.close();

    const ended = await server.stop();
    assertEquals(ended.code, 0);
    assertStringIncludes(ended.err, "ended: 2 credentials for 2 users asked (1 decoys)");
    const stats = JSON.parse(await Deno.readTextFile(statsFile));
    assertEquals([stats.issueFrames, stats.usersAsked, stats.queries, stats.decoys], [1, 2, 1, 1]);
  }));

Deno.test("a bad row: its line is named, and nothing is written", () =>
  withDirectory(async (directory) => {
    const db = `sqlite:${directory}/a.db`;
    const csv = `${directory}/users.csv`;
    await Deno.writeTextFile(csv, "username,domain,password\na,b.org,x\nc,d.org\n");
    const bad = await run(["users", "import", "--db", db, csv]);
    assertEquals(bad.code, 1);
    assertStringIncludes(bad.err, `${csv}:3:3: 2 values`);
    oneLine(bad.err);
    assertEquals((await run(["users", "list", "--db", db])).out, "");
    await Deno.writeTextFile(csv, "username,domain,password\na,b.org,x\n");
    assertEquals((await run(["users", "import", "--db", db, csv])).code, 0);
    const twice = await run(["users", "import", "--db", db, csv]);
    assertEquals(twice.code, 1);
    assertStringIncludes(twice.err, `${csv}:2: a@b.org exists already`);
    assertEquals((await run(["users", "import", "--db", db, "--replace", csv])).code, 0);
    const missing = await run(["users", "import", "--db", db, `${directory}/none.csv`]);
    assertEquals(missing.code, 1);
    oneLine(missing.err);
  }));

Deno.test("what cannot be imported: one line, exit code 1, and no new database is left", () =>
  withDirectory(async (directory) => {
    const bad = `${directory}/bad.csv`;
    await Deno.writeTextFile(bad, "username,domain,password\na,b.org,x\na,b.org,y\n");
    const cases: [string, string][] = [
      [directory, `cannot read ${directory}: it is a directory`],
      [`${directory}/none.csv`, "No such file"],
      [bad, `${bad}:3:1: a@b.org stands on line 2 already`],
    ];
    for (const [file, said] of cases) {
      const { code, out, err } = await run(["users", "import", file, "--db", `sqlite:${directory}/new.db`]);
      assertEquals([code, out], [1, ""], err);
      assertStringIncludes(err, said);
      oneLine(err);
      assertEquals([...Deno.readDirSync(directory)].map(({ name }) => name), ["bad.csv"]);
    }
  }));

Deno.test("an import that is interrupted while it waits for its file leaves no database", () =>
  withDirectory(async (directory) => {
    const pipe = `${directory}/pipe.csv`;
    assertEquals((await new Deno.Command("mkfifo", { args: [pipe] }).output()).code, 0);
    const child = command(["users", "import", pipe, "--db", `sqlite:${directory}/new.db`]).spawn();
    const file = await Deno.open(pipe, { write: true });
    await file.write(new TextEncoder().encode("username,domain,password\na,b.org,x\n"));
    while (![...Deno.readDirSync(directory)].some(({ name }) => name === "new.db-wal")) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    child.kill("SIGINT");
    const { code, stderr } = await child.output();
    file.close();
    assertEquals([code, new TextDecoder().decode(stderr)], [
      1,
      "dbclient: interrupted: nothing was written\n",
    ]);
    assertEquals([...Deno.readDirSync(directory)].map(({ name }) => name), ["pipe.csv"]);
  }));

Deno.test("users list and remove make no database", () =>
  withDirectory(async (directory) => {
    const db = `sqlite:${directory}/none.db`;
    for (const args of [["list"], ["remove", "a@b.org"]]) {
      const { code, out, err } = await run(["users", ...args, "--db", db]);
      assertEquals([code, out, err], [1, "", `dbclient: database ${directory}/none.db: no such file\n`]);
    }
    assertEquals([...Deno.readDirSync(directory)], []);
  }));

Deno.test("users list whose reader has had enough ends quietly", () =>
  withDirectory(async (directory) => {
    const path = `${directory}/a.db`;
    const store = new SqliteStore(path);
    const hashes = { ha1: "", ha1_sha256: "", ha1_sha512t256: "" };
    const rows = Array.from({ length: 20_000 }, (_, i) => {
      return { username: `user${i}`, realm: "example.com", password: "", hashes };
    });
    await store.write(rows, false);
    await store.close();
    const child = command(["users", "list", "--db", `sqlite:${path}`]).spawn();
    const reader = child.stdout.getReader();
    const { value } = await reader.read();
    assert(new TextDecoder().decode(value).startsWith("user0@example.com\n"));
    await reader.cancel();
    const [{ code }, err] = await Promise.all([child.status, new Response(child.stderr).text()]);
    assertEquals([code, err], [0, ""]);
  }));

Deno.test("a port in use, a file that is no database: one line, exit code 1", () =>
  withDirectory(async (directory) => {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr;
    const text = `${directory}/text.db`;
    await Deno.writeTextFile(text, "no database\n".repeat(200));
    const results = await Promise.all([
      run(["--db", `sqlite:${directory}/a.db`, "-p", String(port)]),
      run(["--db", `sqlite:${text}`, "-p", "0"]),
      run(["-d", "sip", "-u", "x", "-h", "127.0.0.1:1", "-p", "0"], undefined, {
        PROXYCHAIN_DB_PASSWORD: "hush",
      }),
    ]);
    listener.close();
    const said = [`127.0.0.1:${port} is in use`, "not a database", "ECONNREFUSED"];
    for (const [i, { code, err }] of results.entries()) {
      assertEquals(code, 1, err);
      assertStringIncludes(err, said[i]);
      assert(!err.includes("hush"));
      oneLine(err);
    }
  }));

Deno.test("a key from the environment is required of proxies; SIGINT ends cleanly, with a proxy connected", () =>
  withDirectory(async (directory) => {
    const secretFile = `${directory}/secret`;
    const server = await start(
      ["--db", `sqlite:${directory}/a.db`, "--issuer_secret_file", secretFile, "--hash", "noble"],
      { PROXYCHAIN_KEY: "00112233445566778899aabbccddeeff" },
    );
    assertMatch(server.ready, /noble, (\d+ workers, )?with a key$/);
    assertEquals((await Deno.stat(secretFile)).mode! & 0o777, 0o600);
    const addresses = [{ host: "127.0.0.1", port: server.port }];
    const key = Uint8Array.from(
      "00112233445566778899aabbccddeeff".match(/../g)!,
      (pair) => parseInt(pair, 16),
    );
    const states: string[] = [];
    const proxy = new DbclientConnection({
      addresses,
      sha256,
      keys: [key],
      onState: (_, text) => states.push(text),
    });
    const stranger = new DbclientConnection({ addresses, sha256 });
    assert(await proxy.whenConnected(5000));
    assertEquals(await stranger.whenConnected(100), false);
    assertEquals((await server.stop("SIGINT")).code, 0);
    await proxy.close();
    await stranger.close();
    assert(states.some((text) => text.includes("shutting_down")), states.join("; "));
  }));

Deno.test("a log in JSON has events and fields, one object a line, and no secret; metrics are served where asked", () =>
  withDirectory(async (directory) => {
    const key = "00112233445566778899aabbccddeeff";
    const server = await start(
      [
        ...["--db", `sqlite:${directory}/a.db`, "--log_format", "json", "--metrics", "127.0.0.1:0"],
        ...["--workers", "1"],
      ],
      { PROXYCHAIN_KEY: key },
    );
    const started = server.ready.split("\n").map((line) => JSON.parse(line));
    assertEquals(started.map(({ event, program, level }) => ({ event, program, level })), [
      { event: "metrics", program: "dbclient", level: "notice" },
      { event: "ready", program: "dbclient", level: "notice" },
    ]);
    assertEquals([started[1].subscribers, started[1].n, started[1].port], [0, 10, server.port]);
    const base = `http://127.0.0.1:${started[0].port}`;

    const addresses = [{ host: "127.0.0.1", port: server.port }];
    const keys = [Uint8Array.from(key.match(/../g)!, (pair) => parseInt(pair, 16))];
    const proxy = new DbclientConnection({ addresses, sha256, keys });
    assert(await proxy.whenConnected(5000));
    await proxy.issue("SHA-1", [{ username: "nobody", realm: "example.com" }, {
      username: "a\nb",
      realm: "example.com",
    }]);
    const name = 'evil\n{"level":"alert"}\u001b[2J';
    const stranger = new DbclientConnection({ addresses, sha256, name, keys: [new Uint8Array(16)] });
    assertEquals(await stranger.whenConnected(100), false);
    await stranger.close();

    const metrics = await (await fetch(`${base}/metrics`)).text();
    for (
      const line of [
        "dbclient_credentials_issued_total 1",
        "dbclient_unknown_users_total 1",
        'dbclient_refusals_total{reason="invalid_name"} 1',
        "dbclient_connections 1",
        'dbclient_issue_batch_users_bucket{le="2"} 1',
        "dbclient_query_duration_seconds_count 1",
      ]
    ) assertStringIncludes(metrics, `\n${line}\n`);
    const ready = await fetch(`${base}/readyz`);
    assertEquals([ready.status, (await ready.json()).ready], [200, true]);
    assert(!metrics.includes("nobody"));

    await proxy.close();
    const ended = await server.stop();
    assertEquals(ended.code, 0);
    const lines = ended.err.trimEnd().split("\n").map((line) => JSON.parse(line));
    assertEquals(lines.at(-1).event, "ended");
    for (const line of lines.slice(0, -1).filter(({ left_out }) => left_out === undefined)) {
      assertEquals(
        [line.event, line.level, line.proxy],
        ["link_refused", "warn", name],
        JSON.stringify(line),
      );
    }
    assert(!(server.ready + ended.err).includes(key));
  }));

Deno.test("a flood of refusals is a few log lines, and the number of the rest", () =>
  withDirectory(async (directory) => {
    const server = await start(["--db", `sqlite:${directory}/a.db`, "--log_format", "json"]);
    const flood = Array.from({ length: 200 }, async () => {
      const stream = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
      await stream.write(new TextEncoder().encode("INVITE sip:bob@example.com SIP/2.0\r\n\r\n"));
      await new Response(stream.readable).bytes();
    });
    await Promise.all(flood);
    const { code, err } = await server.stop();
    assertEquals(code, 0);
    const refused = err.trimEnd().split("\n").map((line) => JSON.parse(line)).filter(({ event }) =>
      event === "link_refused"
    );
    assert(refused.length < 200, `${refused.length} lines`);
    const leftOut = refused.reduce((sum, { left_out = 0 }) => sum + left_out, 0);
    const written = refused.filter(({ left_out }) => left_out === undefined);
    assertEquals(written.length + leftOut, 200);
    assertEquals(written.every(({ reason }) => reason === "frame_too_long"), true);
  }));
