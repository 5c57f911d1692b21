import { assertEquals } from "@std/assert";
import { parseFlags, seededRandom } from "../mod.ts";
import { PROXY_FLAGS } from "./options.ts";
import { Rehearsal, rehearse } from "./rehearsal.ts";
import { backend } from "./testing.ts";

const values = (...flags: string[]) => parseFlags(PROXY_FLAGS, ["--realm", "example.com", ...flags]).values;

for (
  const { flags, challenged } of [
    { flags: ["--auth", "none"], challenged: 0 },
    { flags: ["--auth", "pc"], challenged: 1 },
    { flags: ["--auth", "pc", "--auth_int", "1", "--algorithm", "SHA-256"], challenged: 1 },
    { flags: ["--auth", "both"], challenged: 1 },
    { flags: ["--auth", "digest"], challenged: 0 },
    { flags: ["--auth", "pc", "--auth_methods", "INVITE,BYE", "--check_from", "0"], challenged: 1 },
  ]
) {
  Deno.test(`rehearsal: every call goes its whole way, ${flags.join(" ")}`, () => {
    const rehearsal = new Rehearsal(values(...flags), backend, seededRandom(1));
    const calls = 50;
    for (let i = 0; i < calls; i++) rehearsal.call();
    const { received, forwarded, challenged: answered, refused, malformed, strays } = rehearsal.statistics();
    assertEquals([answered, refused, malformed, strays], [challenged * calls, 0, 0, 0]);
    // INVITE, 180, 200, ACK, BYE, 200; with a challenge INVITE and ACK before.
    assertEquals([received, forwarded], [(6 + 2 * challenged) * calls, 6 * calls]);
  });
}

Deno.test("rehearsal: ends after its calls, or when its time is up", () => {
  let now = 0;
  const clock = () => now += 10;
  assertEquals(rehearse(values(), backend, seededRandom(1), 0, clock, 1000), 0);
  assertEquals(rehearse(values(), backend, seededRandom(1), 20, clock, 1000), 32);
  assertEquals(rehearse(values(), backend, seededRandom(1), 1_000_000, clock, 35), 48);
});
