import { assertEquals, assertMatch } from "@std/assert";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));

async function run(args: readonly string[]): Promise<[code: number, out: string, err: string]> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", "fuzz:sip", ...args],
    cwd: root,
    stdin: "null",
    env: { NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  return [code, decoder.decode(stdout), decoder.decode(stderr)];
}

Deno.test("fuzz:sip: the figures of a run, the same for the same seed", async () => {
  const [first, second] = [
    await run(["--messages", "300", "--phase", "100"]),
    await run(["--messages", "300", "--phase", "100"]),
  ];
  assertEquals(first[0], 0, first[2]);
  assertMatch(
    first[1],
    /^seed 1: 30\d mutated and \d+ whole messages in .*, 0 left; kernel and scanner equal/,
  );
  const without = (text: string) => text.replace(/in \d+ s/, "");
  assertEquals(without(second[1]), without(first[1]));
});

Deno.test("fuzz:sip: a wrong flag is one line, exit code 2", async () => {
  const [code, out, err] = await run(["--message", "1"]);
  assertEquals([code, out], [2, ""]);
  assertMatch(err, /^fuzz:sip: [^\n]+\n$/);
});
