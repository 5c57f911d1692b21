import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { fileURLToPath } from "node:url";
import { cpuTime } from "./proc_io.ts";
import { ProgramError, Programs } from "./processes_io.ts";

const config = fileURLToPath(new URL("../deno.json", import.meta.url));

/** A module with this source; the caller's `body` runs with programs that are ended after it. */
async function withModule(
  source: string,
  body: (programs: Programs, module: string) => Promise<void>,
): Promise<void> {
  const directory = await Deno.makeTempDir();
  const programs = new Programs(config, 300);
  try {
    await Deno.writeTextFile(`${directory}/module.ts`, source);
    await body(programs, `${directory}/module.ts`);
  } finally {
    await programs.close();
    await Deno.remove(directory, { recursive: true });
  }
}

const options = (module: string) => ({ name: "program", module, permissions: "demo", args: ["7"] });

Deno.test("programs: the ready line, CPU time, the end", async () => {
  const source = `console.error("one"); console.error("ready on port " + Deno.args[0]);
    setInterval(() => { for (let i = 0; i < 1e7; i++); }, 1);`;
  await withModule(source, async (programs, module) => {
    const program = programs.start(options(module));
    assertEquals((await program.ready(/ready on port (\d+)/))[1], "7");
    // A tick of /proc is 10 ms: it takes a while until there is one.
    for (let time: number | undefined = 0; Deno.build.os === "linux" && time === 0;) {
      time = await program.cpuTime();
      assert(time !== undefined);
    }
    await programs.stop([program]);
    await assertRejects(() => program.finished(), ProgramError, "SIGTERM");
    assertEquals(await cpuTime(program.pid), undefined);
  });
});

Deno.test("programs: one that ends before it is ready is an error with its last words", async () => {
  await withModule(`console.error("no such realm"); Deno.exit(3);`, async (programs, module) => {
    const program = programs.start(options(module));
    const error = await assertRejects(() => program.ready(/ready/), ProgramError);
    assertMatch((error as Error).message, /^program ended with exit code 3: no such realm$/);
    await assertRejects(() => programs.run(options(module)), ProgramError, "exit code 3");
    await programs.run(options(module), [0, 3]);
  });
});

Deno.test("programs: one that ignores SIGTERM is killed; after close none is started", async () => {
  const source =
    `Deno.addSignalListener("SIGTERM", () => {}); console.error("ready"); setInterval(() => {}, 1000);`;
  await withModule(source, async (programs, module) => {
    const program = programs.start(options(module));
    await program.ready(/ready/);
    await programs.close();
    await assertRejects(() => program.finished(), ProgramError, "SIGKILL");
    assertThrows(() => programs.start(options(module)), ProgramError, "interrupted");
  });
});

Deno.test("programs: when the process that started them is killed, they are gone too", async () => {
  const module = fileURLToPath(new URL("./processes_io.ts", import.meta.url));
  const source = `import { Programs } from ${JSON.stringify(module)};
    const programs = new Programs(${JSON.stringify(config)});
    const ended = programs.start({ name: "ended", command: "sleep", args: ["600"] });
    await programs.stop([ended]);
    const left = [1, 2].map(() => programs.start({ name: "left", command: "sleep", args: ["600"] }));
    console.log(left.map(({ pid }) => pid).join(" "));`;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["eval", "--no-check", "--config", config, source],
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const pids = (await reader.read()).value!.trim().split(" ").map(Number);
  await reader.cancel();
  assertEquals(pids.length, 2);
  child.kill("SIGKILL");
  await child.status;
  for (const pid of pids) {
    while (await isRunning(pid)) await new Promise((resolve) => setTimeout(resolve, 20));
  }
});

/** A process that has ended and was not waited for yet runs no more. */
async function isRunning(pid: number): Promise<boolean> {
  const { code, stdout } = await new Deno.Command("ps", { args: ["-o", "stat=", "-p", String(pid)] })
    .output();
  return code === 0 && !new TextDecoder().decode(stdout).startsWith("Z");
}
