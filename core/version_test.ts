import { assertEquals } from "@std/assert";
import { VERSION } from "./version.ts";

Deno.test("the version is that of deno.json", () => {
  const text = Deno.readTextFileSync(new URL("../deno.json", import.meta.url));
  assertEquals(VERSION, JSON.parse(text).version);
});
