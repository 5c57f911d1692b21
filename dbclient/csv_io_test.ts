import { assertEquals, assertRejects } from "@std/assert";
import { CsvRowError, readCsvUsers } from "./csv_io.ts";

async function* inPieces(bytes: Uint8Array, size: number): AsyncIterable<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) {
    await Promise.resolve();
    yield bytes.slice(at, at + size);
  }
}

async function read(csv: string | Uint8Array, size = 1 << 16): Promise<[string, string, string, number][]> {
  const bytes = typeof csv === "string" ? new TextEncoder().encode(csv) : csv;
  const users: [string, string, string, number][] = [];
  for await (const { username, realm, password, line } of readCsvUsers("users.csv", inPieces(bytes, size))) {
    users.push([username, realm, password, line]);
  }
  return users;
}

Deno.test("bytes that cannot be read, at the start and in the middle, are one line", async () => {
  for (const before of ["", "username,domain,password\na,b.org,x\n"]) {
    const users: string[] = [];
    const chunks = async function* () {
      yield new TextEncoder().encode(before);
      await Promise.resolve();
      throw new Error("Is a directory (os error 21)\nat somewhere");
    };
    const error = await assertRejects(async () => {
      for await (const { username } of readCsvUsers("users.csv", chunks())) users.push(username);
    }, CsvRowError);
    assertEquals(error.message, "cannot read users.csv: Is a directory (os error 21)");
  }
});

Deno.test("CSV: quotes, commas, line breaks, UTF-8, any column order, BOM and CRLF; in pieces of one byte", async () => {
  const csv = "\ufeffPassword, domain ,username,note\r\n" +
    '"pa,ss""w\nord",example.com,alice,\r\n' +
    "\r\n" +
    "séc😀, example.org,bob smith,x\r\n";
  const expected = [
    ["alice", "example.com", 'pa,ss"w\nord', 2],
    ["bob smith", " example.org", "séc😀", 5],
  ];
  assertEquals(await read(csv), expected as typeof expected & [string, string, string, number][]);
  assertEquals(await read(csv, 1), expected as typeof expected & [string, string, string, number][]);
});

Deno.test("CSV: what is wrong is named with file, line and column", async () => {
  const head = "username,domain,password\n";
  const cases: [string | Uint8Array, string][] = [
    ["", "users.csv:1:1: is empty"],
    ["user,domain,password\na,b,c\n", "users.csv:1:1: the header row has no column username"],
    [head + "a,b,c\na,b\n", "users.csv:3:3: 2 values, where the header has 3"],
    [head + "a,b,c,d\n", "users.csv:2:4: 4 values"],
    [head + ",b,c\n", "users.csv:2:1: username is empty"],
    [head + "a,,c\n", "users.csv:2:2: domain is empty"],
    [head + "a,b,\n", "users.csv:2:3: password is empty, and there is no hash"],
    [head + "a:x,b,c\n", "users.csv:2:1: username has a colon"],
    [head + `${"x".repeat(65)},b,c\n`, "users.csv:2:1: username has more than 64 characters"],
    [head + "a\tb,b,c\n", "users.csv:2:1: username has control characters"],
    [head + 'a,b,"x\ny"\nc,d,e\na,b,z\n', "users.csv:5:1: a@b stands on line 2 already"],
    [head + 'a,b,"x\ry"\n,b,c\n', "users.csv:3:1: username is empty"],
    [head + '"ca\rol",b,c\n', "users.csv:2:1: username has control characters"],
    [head + 'a,b,"x\r\ny\r"\nc,d,"\r"\na,b,z\n', "users.csv:5:1: a@b stands on line 2 already"],
    [head + 'a,b,c\na,b,"open\n', "users.csv:"],
    [head + 'a,b,c\nd,e,f"g"\n', "users.csv:3:"],
    [
      Uint8Array.from([...new TextEncoder().encode(head + "a,b,"), 0xff, 0x0a]),
      "users.csv:2:3: is not UTF-8",
    ],
  ];
  for (const [csv, message] of cases) {
    const error = await assertRejects(() => read(csv), CsvRowError, message);
    assertEquals(error.message.includes("\n"), false);
  }
});
