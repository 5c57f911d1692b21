/** The machine and the programs that figures belong to. */
import type { Machine } from "./figures.ts";
import type { Peers } from "./peers/installed_io.ts";

async function shell(script: string): Promise<string> {
  const { stdout } = await new Deno.Command("sh", { args: ["-c", script], stderr: "null" }).output();
  return new TextDecoder().decode(stdout).trim();
}

/** Reads it. */
export async function readMachine(peers: Peers, root: string): Promise<Machine> {
  const memoryKb = Number(/^MemTotal:\s+(\d+)/m.exec(await shell("cat /proc/meminfo"))?.[1] ?? 0);
  const cpu = /^model name\s*:\s*(.*)$/m.exec(await shell("cat /proc/cpuinfo"))?.[1] ??
    await shell("uname -m");
  const commit = await shell(`git -C '${root}' rev-parse --short HEAD`);
  const named = Object.entries(peers).flatMap(([name, peer]) =>
    peer === undefined || peer.version === "" || name === "mariadb" ? [] : [[name, peer.version]]
  );
  return {
    cpu,
    cores: navigator.hardwareConcurrency,
    memoryGb: Math.round(memoryKb / 2 ** 20 * 10) / 10,
    system: await shell("uname -sr"),
    versions: {
      Deno: Deno.version.deno,
      V8: Deno.version.v8,
      ...commit === "" ? {} : { Proxychain: commit },
      ...Object.fromEntries(named),
    },
  };
}
