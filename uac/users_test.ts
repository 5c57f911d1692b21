import { assert, assertEquals, assertThrows } from "@std/assert";
import { seededRandom, UsageError } from "../mod.ts";
import { injectionUsers, oneUser, patternUsers, UsersError } from "./users.ts";

const random = seededRandom(1);

Deno.test("users by pattern, in turn", () => {
  const users = patternUsers("u%d", "p%d", 10, 3);
  assertEquals([0, 1, 2, 3, 4].map((call) => users.get(users.pick(call, random)).username), [
    "u10",
    "u11",
    "u12",
    "u10",
    "u11",
  ]);
  assertEquals(oneUser("a", "b").get(0).fields, ["a", "b"]);
  assertEquals(patternUsers("same", "50%%", 1, 2).get(1).fields, ["same", "50%"]);
  assertThrows(() => patternUsers("u%d", "%s", 1, 2), UsageError, "--password");
});

Deno.test("injection files: comments, CRLF, empty lines, SIPp's authentication field", () => {
  const users = injectionUsers(
    "SEQUENTIAL\r\n# comment\r\nalice;secret;x\r\n\r\nbob;[authentication username=bobby password=p w]\r\nno",
    "f.inf",
  );
  assertEquals(users.size, 3);
  assertEquals(users.get(0), { username: "alice", password: "secret", fields: ["alice", "secret", "x"] });
  assertEquals([users.get(1).username, users.get(1).password], ["bobby", "p w"]);
  assertEquals([users.get(2).username, users.get(2).password], ["no", undefined]);
  const mixed = injectionUsers("RANDOM\na;1\nb;2\n", "f.inf");
  assert([...Array(50).keys()].some((call) => mixed.pick(call, random) === 1));
});

Deno.test("a file that is none: says what and where", () => {
  assertThrows(() => injectionUsers("a;b\n", "f.inf"), UsersError, 'f.inf, line 1: "A" is not allowed');
  assertThrows(
    () => injectionUsers("SEQUENTIAL\n#\n", "f.inf"),
    UsersError,
    "f.inf: there is no line with a user",
  );
});

Deno.test("a million lines are one pass", () => {
  const text = "SEQUENTIAL\n" + "user;password\n".repeat(1_000_000);
  assertEquals(injectionUsers(text, "f").size, 1_000_000);
});
