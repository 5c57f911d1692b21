/**
 * CPU time per echoed datagram, for each kind of socket: `deno run -A bench/udp_echo/main.ts [--quick]`.
 *
 * The echo runs in a process of its own, whose CPU time is read from /proc; this process is the other end, and keeps
 * a core busy. Each figure is the median of some rounds, in which the kinds alternate.
 */
import { type DatagramIo, openDatagramSocket } from "../../mod.ts";
import { MESSAGE_BYTES, sendAndCount } from "./load_io.ts";

interface Case {
  readonly name: string;
  readonly io: DatagramIo;
  readonly moderation: number;
  /** Datagrams per second; undefined: saturated. */
  readonly rate: number | undefined;
}

/** What a proxy gets at 2,000 calls a second, about. */
const PACE = 16_000;
const CASES: readonly Case[] = [
  { name: "deno, saturated", io: "deno", moderation: 0, rate: undefined },
  { name: "batched, saturated", io: "batched", moderation: 2, rate: undefined },
  { name: "deno, 16,000/s", io: "deno", moderation: 0, rate: PACE },
  { name: "batched, 16,000/s, moderation 2 ms", io: "batched", moderation: 2, rate: PACE },
  { name: "batched, 16,000/s, moderation 1 ms", io: "batched", moderation: 1, rate: PACE },
  { name: "batched, 16,000/s, moderation off", io: "batched", moderation: 0, rate: PACE },
  { name: "deno, 500/s", io: "deno", moderation: 0, rate: 500 },
  { name: "batched, 500/s, moderation 2 ms", io: "batched", moderation: 2, rate: 500 },
];
const QUICK = Deno.args.includes("--quick");
const ROUNDS = QUICK ? 1 : 5;
/** V8 compiles in other threads meanwhile. */
const WARM_UP_MS = QUICK ? 500 : 3000;
const MEASURED_MS = QUICK ? 500 : 2000;

/** CPU time of a process with all its threads, ms. */
function cpuTime(pid: number): number {
  let nanoseconds = 0;
  for (const { name } of Deno.readDirSync(`/proc/${pid}/task`)) {
    nanoseconds += Number(Deno.readTextFileSync(`/proc/${pid}/task/${name}/schedstat`).split(" ")[0]);
  }
  return nanoseconds / 1e6;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1];
}

interface Figures {
  /** CPU µs per datagram echoed. */
  readonly cpu: number;
  /** Echoed per second. */
  readonly rate: number;
  /** Percent that did not come back. */
  readonly lost: number;
  /** µs there and back: median and 99th percentile. */
  readonly median: number;
  readonly p99: number;
}

async function measure({ io, moderation, rate }: Case): Promise<Figures> {
  const echo = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "-A", import.meta.filename!, "echo", io, String(moderation)],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  try {
    const reader = echo.stdout.getReader();
    const port = Number(new TextDecoder().decode((await reader.read()).value));
    reader.releaseLock();
    sendAndCount(port, rate, WARM_UP_MS);
    const before = cpuTime(echo.pid);
    const result = sendAndCount(port, rate, MEASURED_MS);
    const cpu = cpuTime(echo.pid) - before;
    return {
      cpu: cpu * 1000 / result.echoed,
      rate: result.echoed / result.seconds,
      lost: 100 * (1 - result.echoed / result.sent),
      median: result.median * 1000,
      p99: result.p99 * 1000,
    };
  } finally {
    echo.kill();
    await echo.stdin.close();
    await echo.stdout.cancel();
    await echo.status;
  }
}

async function compare(): Promise<void> {
  const found = CASES.map((): Figures[] => []);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, one] of CASES.entries()) found[i].push(await measure(one));
  }
  const cpu = Deno.readTextFileSync("/proc/cpuinfo").match(/model name\s*: (.*)/)?.[1] ?? Deno.build.arch;
  console.log(
    `${MESSAGE_BYTES}-byte echo on loopback, Deno ${Deno.version.deno}, ${cpu}, median of ${ROUNDS}\n`,
  );
  console.log(`| ${"socket".padEnd(36)} | CPU µs | echoes/s | lost % | median µs | p99 µs |`);
  console.log(`| ${"-".repeat(36)} | ------ | -------- | ------ | --------- | ------ |`);
  for (const [i, { name }] of CASES.entries()) {
    const column = (key: keyof Figures, digits: number, width: number) =>
      median(found[i].map((figures) => figures[key])).toFixed(digits).padStart(width);
    const columns = [
      column("cpu", 1, 6),
      column("rate", 0, 8),
      column("lost", 2, 6),
      column("median", 0, 9),
      column("p99", 0, 6),
    ];
    console.log(`| ${name.padEnd(36)} | ${columns.join(" | ")} |`);
  }
}

async function echo(io: DatagramIo, moderation: number): Promise<void> {
  const socket = await openDatagramSocket({
    host: "127.0.0.1",
    port: 0,
    io,
    moderation,
    onDatagram: (buffer, start, end, from) => socket.send(buffer, start, end, from),
    onError: (error) => console.error(error.message),
  });
  console.log(socket.local.port);
}

if (Deno.args[0] === "echo") await echo(Deno.args[1] as DatagramIo, Number(Deno.args[2]));
else await compare();
