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

const PACE = 20_000;
const CASES: readonly Case[] = [
  { name: "deno, saturated", io: "deno", moderation: 0, rate: undefined },
  { name: "batched, saturated", io: "batched", moderation: 1, rate: undefined },
  { name: "deno, 20,000/s", io: "deno", moderation: 0, rate: PACE },
  { name: "batched, 20,000/s, moderation 1 ms", io: "batched", moderation: 1, rate: PACE },
  { name: "batched, 20,000/s, moderation 0.3 ms", io: "batched", moderation: 0.3, rate: PACE },
  { name: "batched, 20,000/s, moderation off", io: "batched", moderation: 0, rate: PACE },
  { name: "deno, 500/s", io: "deno", moderation: 0, rate: 500 },
  { name: "batched, 500/s, moderation 1 ms", io: "batched", moderation: 1, rate: 500 },
];
const QUICK = Deno.args.includes("--quick");
const ROUNDS = QUICK ? 1 : 5;
const WARM_UP_MS = 500;
const MEASURED_MS = QUICK ? 500 : 2000;
/** The unit of /proc/PID/stat's times (USER_HZ), ms. */
const TICK_MS = 10;

/** CPU time of a process with all its threads, ms. */
function cpuTime(pid: number): number {
  const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
  // The name, in parentheses, may contain spaces; user and system time are the 12th and 13th field after it.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
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
  /** µs there and back. */
  readonly latency: number;
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
      latency: result.latency * 1000,
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
  console.log(`| ${"socket".padEnd(36)} | CPU µs | echoes/s | lost % | mean latency µs |`);
  console.log(`| ${"-".repeat(36)} | ------ | -------- | ------ | --------------- |`);
  for (const [i, { name }] of CASES.entries()) {
    const column = (key: keyof Figures, digits: number, width: number) =>
      median(found[i].map((figures) => figures[key])).toFixed(digits).padStart(width);
    const columns = [
      column("cpu", 1, 6),
      column("rate", 0, 8),
      column("lost", 2, 6),
      column("latency", 0, 15),
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
