import { assert, assertEquals, assertMatch, assertNotEquals, assertThrows } from "@std/assert";
import { DialogTags } from "./dialog_tags.ts";

Deno.test("dialog tags: the same for a key and a Call-ID, another for each other", () => {
  const tags = new DialogTags(new Uint8Array(8).fill(1));
  const tag = tags.tag("call-1@host");
  assertMatch(tag, /^[0-9a-f]{16}$/);
  assertEquals(tags.tag("call-1@host"), tag);
  assertNotEquals(tags.tag("call-2@host"), tag);
  assertNotEquals(new DialogTags(new Uint8Array(8).fill(2)).tag("call-1@host"), tag);
  assert(tags.tag("x".repeat(5000)) !== tags.tag("x".repeat(5001)));
  assertThrows(() => new DialogTags(new Uint8Array(16)), RangeError);

  const bytes = new TextEncoder().encode(`call-1@host ${tag} ${tag.replace(/^./, "x")}`);
  assert(tags.matches(bytes, 0, 11, 12, 28));
  assert(!tags.matches(bytes, 0, 11, 29, 45));
  assert(!tags.matches(bytes, 0, 10, 12, 28));
  assert(!tags.matches(bytes, 0, 11, 12, 27));
});
