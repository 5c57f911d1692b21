import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import vectors from "../../tests/vectors/pc.json" with { type: "json" };
import { backend } from "./testing.ts";
import { checkVector } from "./vectors.ts";

type Vector = Record<string, unknown>;

const MAIN = new URL("../../tests/vectors/main.ts", import.meta.url).pathname;
const RIGHT = new URL("../../tests/vectors/pc.json", import.meta.url).pathname;
const COMPUTED = [
  "ha1",
  "h_0",
  "h_1",
  "anchor",
  "key",
  "token",
  "auth",
  "response",
  "responseAuthInt",
  "renew",
  "rspauth",
  "rspauthNext",
];

Deno.test("the project's vectors agree", () => {
  for (const vector of vectors) assertEquals(checkVector(backend, vector), []);
});

Deno.test("the case of hexadecimal digits and other members do not matter", () => {
  for (const vector of vectors) {
    const upper: Vector = { ...vector, comment: "for whoever reads it" };
    for (const field of [...COMPUTED, "nonce", "opaque", "nextnonce"]) {
      upper[field] = String(upper[field]).toUpperCase();
    }
    assertEquals(checkVector(backend, upper), []);
  }
});

Deno.test("each computed value: wrong, missing or no text is a difference in that field alone", () => {
  for (const vector of vectors as Vector[]) {
    for (const field of COMPUTED) {
      const right = String(vector[field]);
      const wrong = (right.startsWith("0") ? "1" : "0") + right.slice(1);
      assertEquals(checkVector(backend, { ...vector, [field]: wrong }), [{
        field,
        stated: wrong,
        computed: right,
      }]);
      assertEquals(checkVector(backend, { ...vector, [field]: right.slice(1) }).length, 1);
      assertEquals(checkVector(backend, { ...vector, [field]: 7 })[0], {
        field,
        stated: "7",
        computed: right,
      });
      const missing = { ...vector };
      delete missing[field];
      assertEquals(checkVector(backend, missing), [{ field, stated: "nothing", computed: right }]);
    }
  }
});

Deno.test("each input that is missing or of a wrong kind is named, and nothing is thrown", async (t) => {
  const wrong: [field: string, values: unknown[]][] = [
    ["algorithm", [undefined, null, 1, "", "sha-1", "SHA-512", "toString"]],
    ["username", [undefined, null, 1, {}]],
    ["realm", [undefined, []]],
    ["password", [undefined, 0]],
    ["nonce", [undefined, "", "ab", "g".repeat(32), "ab".repeat(17)]],
    ["opaque", [undefined, 1]],
    ["callId", [undefined, null]],
    ["method", [undefined, true]],
    ["uri", [undefined, {}]],
    ["body", [undefined, null]],
    ["nextnonce", [undefined, 5]],
    ["chain", [undefined, "10", 0, -1, 1.5, 65_536, 1e300]],
    ["seq", [undefined, "9", -1, 0.5, 70_000]],
    ["cseq", [undefined, "2", 1.5]],
    ["challengedCseq", [undefined, null]],
  ];
  for (const [field, values] of wrong) {
    await t.step(field, () => {
      for (const value of values) {
        const differences = checkVector(backend, { ...vectors[0], [field]: value });
        assert(differences.some((difference) => difference.field === field), `${field} = ${value}`);
      }
    });
  }
  assert(checkVector(backend, {}).length >= 15);
});

Deno.test("a seq that the chain does not have is named", () => {
  const [difference] = checkVector(backend, { ...vectors[0], seq: 10 });
  assertEquals([difference.field, difference.computed], ["seq", "0 … chain - 1 is needed"]);
});

/** Runs `deno task vectors` with arguments. */
async function run(...args: string[]) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", MAIN, ...args],
    env: { NO_COLOR: "1" },
  }).output();
  const lines = (bytes: Uint8Array) => new TextDecoder().decode(bytes).split("\n").slice(0, -1);
  return { code, stdout: lines(stdout), stderr: lines(stderr) };
}

/** Runs it on a file with this content. */
async function runOn(content: string | Uint8Array) {
  const path = await Deno.makeTempFile({ suffix: ".json" });
  try {
    if (typeof content === "string") await Deno.writeTextFile(path, content);
    else await Deno.writeFile(path, content);
    return await run(path);
  } finally {
    await Deno.remove(path);
  }
}

Deno.test("command: a right file", async () => {
  assertEquals(await run(RIGHT), { code: 0, stdout: ["4 vectors agree"], stderr: [] });
});

Deno.test("command: an altered file prints what differs, and last how many agree", async () => {
  const altered = structuredClone(vectors) as Vector[];
  altered[1].token = "00".repeat(16);
  altered[3].seq = 1;
  delete altered[3].uri;
  const { code, stdout, stderr } = await runOn(JSON.stringify(altered));
  assertEquals([code, stderr], [1, []]);
  assertEquals(stdout.length, 3);
  assertEquals(
    stdout[0],
    `vector 1: token: the file says ${"00".repeat(16)}, the core ${vectors[1].token}`,
  );
  assertMatch(stdout[1], /^vector 3: uri: the file says nothing/);
  assertEquals(stdout[2], "2 vectors agree");
});

Deno.test("command: a file that cannot be used takes one clear line and exit code 1", async (t) => {
  const cases: [name: string, content: string | Uint8Array, says: string][] = [
    ["damaged JSON", JSON.stringify(vectors).slice(0, 500), "JSON"],
    ["an empty file", "", "JSON"],
    ["no text", new Uint8Array([0xff, 0xfe, 0, 1]), ""],
    ["an object", "{}", "an array of vectors is needed"],
    ["an empty array", "[]", "an array of vectors is needed"],
    ["null", "null", "an array of vectors is needed"],
    ["an array of something else", "[7]", "vector 0 is not an object"],
    ["a null among the vectors", JSON.stringify([vectors[0], null]), "vector 1 is not an object"],
  ];
  for (const [name, content, says] of cases) {
    await t.step(name, async () => {
      const { code, stdout, stderr } = await runOn(content);
      assertEquals([code, stdout, stderr.length], [1, [], 1], stderr.join("\n"));
      assertMatch(stderr[0], /^vectors: \S+\.json: \S/);
      assertStringIncludes(stderr[0], says);
    });
  }
  for (const path of ["/nonexistent/vectors.json", "/"]) {
    await t.step(path, async () => {
      const { code, stdout, stderr } = await run(path);
      assertEquals([code, stdout, stderr.length], [1, [], 1], stderr.join("\n"));
      assertStringIncludes(stderr[0], `vectors: ${path}: `);
    });
  }
});

Deno.test("command: without a file, or with too many words, it says how it is used", async () => {
  for (const args of [[], ["a", "b"], ["--no-such-flag"]]) {
    const { code, stderr } = await run(...args);
    assertEquals([code, stderr.length], [2, 1], stderr.join("\n"));
    assertStringIncludes(stderr[0], "deno task vectors FILE");
  }
  assertEquals((await run("--help")).code, 0);
});
