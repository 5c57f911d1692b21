import { assertEquals, assertThrows } from "@std/assert";
import { ByteWriter, seededRandom } from "../mod.ts";
import { partOf } from "./share.ts";
import { InjectionError, InjectionFile, InjectionFiles, printf } from "./injection.ts";

const random = seededRandom(1);
const fileOf = (text: string, path = "/a/users.csv") =>
  new InjectionFile(new TextEncoder().encode(text), path);

Deno.test("lines in turn, comments and empty lines passed over, either line end, no last line end needed", () => {
  const file = fileOf("SEQUENTIAL\r\n#no\r\nalice;pw;x\r\n\r\nbob;;ü");
  assertEquals([file.name, file.size], ["users.csv", 2]);
  assertEquals([0, 0, 0].map(() => file.pick(0, random)), [0, 1, 0]);
  assertEquals([0, 1, 2, 3].map((field) => file.text(0, field)), ["alice", "pw", "x", ""]);
  assertEquals([0, 1, 2, 3].map((field) => file.text(1, field)), ["bob", "", "ü", ""]);
  assertEquals(file.text(7, 0), "");
  const out = new ByteWriter();
  file.write(out, 1, 2);
  assertEquals(new TextDecoder().decode(out.toBytes()), "ü");
});

Deno.test("RANDOM takes any line; USER that of the user", () => {
  const chosen = new Set(Array.from({ length: 100 }, () => fileOf("RANDOM\na\nb\nc\n").pick(0, random)));
  assertEquals([...chosen].sort(), [0, 1, 2]);
  const users = fileOf("USERS\na\nb\n");
  assertEquals([0, 1, 2].map((user) => users.pick(user, random)), [0, 1, 0]);
});

Deno.test("PRINTF makes its lines, with multiple and offset, from several patterns in turn", () => {
  const file = fileOf("USERS,PRINTF=4,PRINTFMULTIPLE=2,PRINTFOFFSET=10\nuser%03d;A\nuser%03d;B%%\n");
  assertEquals(file.size, 4);
  assertEquals([0, 1, 2, 3].map((line) => file.lineText(line)), [
    "user010;A",
    "user012;B%",
    "user014;A",
    "user016;B%",
  ]);
  assertEquals(["%d", "%4d|", "%-4d|", "%+d", "%x", "%5s"].map((pattern) => printf(pattern, 42)), [
    "42",
    "  42|",
    "42  |",
    "+42",
    "2a",
    "%5s",
  ]);
});

Deno.test("an index finds lines, those inserted and replaced too", () => {
  const file = fileOf("SEQUENTIAL\nalice;1\nbob;2\n");
  assertEquals(file.lookup("bob"), undefined);
  file.index(0);
  assertEquals([file.lookup("bob"), file.lookup("carol")], [1, -1]);
  file.insert("carol;3");
  file.replace(0, "dave;4");
  assertEquals([file.size, file.lookup("carol"), file.lookup("dave"), file.lookup("alice")], [3, 2, 0, -1]);
  assertEquals([file.text(2, 1), file.text(0, 1)], ["3", "4"]);
});

Deno.test("what is wrong with a file is said with its line", () => {
  for (
    const [text, message] of [
      ["alice;pw\n", '/a/users.csv:1: "alice" is not allowed; it is SEQUENTIAL, RANDOM or USER'],
      ["SEQUENTIAL\n# nobody\n", "/a/users.csv: there is no line with values"],
      [
        "USERS,PRINT=4\na\n",
        '/a/users.csv:1: "PRINT=4" is not allowed; it is PRINTF=n, PRINTFMULTIPLE=n or PRINTFOFFSET=n',
      ],
      ["USERS,PRINTF=0\na\n", "/a/users.csv:1: PRINTF=0 is not allowed; it takes 1 or more"],
      ["", '/a/users.csv:1: "" is not allowed; it is SEQUENTIAL, RANDOM or USER'],
    ]
  ) {
    assertEquals(assertThrows(() => fileOf(text), InjectionError).message, message);
  }
});

Deno.test("files are found by their names, with or without a folder", () => {
  const files = new InjectionFiles([fileOf("RANDOM\na\n", "x/a.csv"), fileOf("RANDOM\na\n", "b.csv")]);
  assertEquals(["a.csv", "y/b.csv", "c.csv"].map((name) => files.find(name)), [0, 1, -1]);
});

Deno.test("a million lines: a place each, nothing decoded", () => {
  const line = "user0000001;password;[authentication username=user0000001 password=password]\n";
  const file = fileOf("SEQUENTIAL\n" + line.repeat(1_000_000));
  assertEquals([file.size, file.text(999_999, 1)], [1_000_000, "password"]);
});

Deno.test("shares of a file: no line belongs to two workers, and none to nobody", () => {
  const text = `SEQUENTIAL\n${Array.from({ length: 10 }, (_, i) => `user${i}`).join("\n")}\n`;
  const seen: number[] = [];
  for (let index = 0; index < 3; index++) {
    const file = new InjectionFile(new TextEncoder().encode(text), "a.csv");
    file.share({ index, of: 3 });
    const lines = Array.from({ length: partOf(10, { index, of: 3 }) }, () => file.pick(0, seededRandom(1)));
    seen.push(...lines);
    // Then it begins again.
    assertEquals(file.pick(0, seededRandom(1)), lines[0]);
  }
  assertEquals(seen.sort((a, b) => a - b), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
});
