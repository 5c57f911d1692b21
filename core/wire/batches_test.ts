import { assert, assertEquals } from "@std/assert";
import { issueBatches, verifyBatches } from "./batches.ts";
import { MAX_ITEMS, MAX_REQUEST_LENGTH, TEXT_LIMIT } from "./constants.ts";
import { encodeFrame } from "./frame.ts";
import { sampleFrames } from "./sample_frames.ts";

Deno.test("users in frames of 1000; those that fit none are left out, and their results put in", () => {
  const users = Array.from({ length: 2500 }, (_, i) => ({ username: `u${i}`, realm: "r" }));
  users[0].username = "ü".repeat(TEXT_LIMIT.username / 2) + "x";
  users[1500].realm = "x".repeat(TEXT_LIMIT.realm + 1);
  const { parts, spread } = issueBatches(users);
  assertEquals(parts.map((part) => part.length), [MAX_ITEMS, MAX_ITEMS, 498]);
  const results = spread(parts.flat().map((user) => user.username), "none");
  assertEquals(results.length, 2500);
  assertEquals([results[0], results[1], results[1500], results[2499]], ["none", "u1", "none", "u2499"]);
  assertEquals([issueBatches([]).parts, issueBatches([]).spread([], 0)], [[], []]);
});

Deno.test("long answers: every frame stays within 512 KiB; 1000 users with the longest names are one", () => {
  const sample = sampleFrames(1).find((frame) => frame.type === "VERIFY")!;
  const long = { ...sample.answers[0], uri: "u".repeat(TEXT_LIMIT.uri), nonce: "n".repeat(TEXT_LIMIT.nonce) };
  const { parts, spread } = verifyBatches([...new Array(999).fill(long), { ...long, qop: "x".repeat(100) }]);
  for (const answers of parts) {
    assert(encodeFrame({ type: "VERIFY", id: 1, answers }).length <= MAX_REQUEST_LENGTH + 4);
  }
  assert(parts.length > 1);
  assertEquals(spread(parts.flat(), undefined).map((answer) => answer === undefined).indexOf(true), 999);
  const longest = { username: "u".repeat(TEXT_LIMIT.username), realm: "r".repeat(TEXT_LIMIT.realm) };
  assertEquals(issueBatches(new Array(MAX_ITEMS).fill(longest)).parts.length, 1);
});
