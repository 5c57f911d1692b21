import { assert, assertEquals, assertGreater } from "@std/assert";
import { parseBusy, parseMemory, parseStat, parseUdpPorts, processTree } from "./proc.ts";
import { cpuTime, readCpu, readMemory, udpPortInUse } from "./proc_io.ts";

const stat = (pid: number, parent: number, ...times: number[]) =>
  `${pid} (kamailio) S ${parent} ${pid} ${pid} 0 -1 4194560 9 0 0 0 ${
    times.join(" ")
  } 20 0 1 0 12345 1000 200`;

Deno.test("/proc/PID/stat: times with those of ended children; a command may hold anything", () => {
  assertEquals(parseStat(stat(9, 1, 10, 20, 3, 4)), { pid: 9, parent: 1, cpuUs: 370_000 });
  const odd = stat(9, 1, 10, 20, 3, 4).replace("kamailio", "a) S 1 (b");
  assertEquals(parseStat(odd), { pid: 9, parent: 1, cpuUs: 370_000 });
  for (const line of ["", "cpu  1 2 3", "9 (short) S", "intr 7 (x) S 1"]) {
    assertEquals(parseStat(line), undefined, line);
  }
});

Deno.test("process tree: all descendants, in whatever order, and nobody else", () => {
  const of = (pid: number, parent: number) => ({ pid, parent, cpuUs: 1 });
  const processes = [of(5, 4), of(4, 2), of(2, 1), of(3, 1), of(6, 3), of(7, 5)];
  assertEquals(processTree(processes, [2]).map(({ pid }) => pid), [5, 4, 2, 7]);
  assertEquals(processTree(processes, [99]), []);
});

Deno.test("/proc/stat: what all cores have worked, without waiting and sleeping", () => {
  const text = "cpu  100 20 30 4000 50 6 7 8 0 0\ncpu0 1 2 3 4 5 6 7 8 0 0\n";
  assertEquals(parseBusy(text), (100 + 20 + 30 + 6 + 7) * 10_000);
  assertEquals(parseBusy("nothing"), undefined);
});

Deno.test("smaps_rollup: sums of several processes", () => {
  const one = "55e0-7ffe ---p 0 00:00 0 [rollup]\nRss:    2048 kB\nPss:    1024 kB\nPss_Anon:  7 kB\n";
  assertEquals(parseMemory(one + one), { rss: 4 << 20, pss: 2 << 20 });
  assertEquals(parseMemory(""), { rss: 0, pss: 0 });
});

Deno.test("/proc/net/udp: local ports", () => {
  const text = "  sl  local_address rem_address   st\n" +
    "  123: 0100007F:13C4 00000000:0000 07 00000000:00000000 00:00000000 00000000  0  0 1 2 0 0\n" +
    " 4567: 00000000000000000000000001000000:0016 00000000000000000000000000000000:0000 07\n";
  assertEquals(parseUdpPorts(text), [0x13c4, 22]);
});

Deno.test({
  name: "this process and its children, as the system says",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const child = new Deno.Command("sleep", { args: ["60"] }).spawn();
    try {
      const { cpuUs, busyUs } = await readCpu({ own: [Deno.pid], child: [child.pid], nobody: [] });
      assertGreater(cpuUs.own, 0);
      assertEquals(cpuUs.nobody, 0);
      assertGreater(busyUs, cpuUs.own);
      assert(await cpuTime(child.pid) !== undefined);
      const { rss, pss } = await readMemory(Deno.pid);
      assert(rss > 1 << 20 && pss > 0 && pss <= rss);
    } finally {
      child.kill();
      await child.status;
    }
    assertEquals(await cpuTime(child.pid), undefined);
    const socket = Deno.listenDatagram({ hostname: "127.0.0.1", port: 0, transport: "udp" });
    const { port } = socket.addr as Deno.NetAddr;
    assertEquals(await udpPortInUse(port), true);
    socket.close();
    assertEquals(await udpPortInUse(port), false);
  },
});
