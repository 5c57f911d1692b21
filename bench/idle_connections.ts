/**
 * The memory that idle TCP connections take in the proxy:
 *
 *     deno run -A bench/idle_connections.ts [CONNECTIONS]
 *
 * The proxy runs as a program of its own; other processes open the connections, send a keep-alive (CRLF CRLF, RFC 5626 §4.4.1) on each and
 * wait for its answer. Then nothing happens for a while. Figures are of the proxy's process. It cannot have more connections than
 * file descriptors (ulimit -Hn): what there are is taken.
 */
import { readMemory } from "./proc_io.ts";
import { Programs } from "./processes_io.ts";

/** Connections asked for, and those of one client process. */
const WANTED = 20_000;
const PER_CLIENT = 10_000;
/** Descriptors that the proxy needs for other things. */
const OTHERS = 100;
/** How long they are idle before the memory is read, ms. */
const IDLE_MS = 5000;
/** Connections that are opened side by side. */
const AT_ONCE = 50;
const CLIENT = "--client";

async function hardLimit(): Promise<number> {
  const { stdout } = await new Deno.Command("sh", { args: ["-c", "ulimit -Hn"] }).output();
  return Number(new TextDecoder().decode(stdout)) || Infinity;
}

/** Opens connections and keeps them. */
async function client(port: number, count: number): Promise<void> {
  const ping = new TextEncoder().encode("\r\n\r\n");
  const buffer = new Uint8Array(2);
  const held: Deno.Conn[] = [];
  const open = async () => {
    const stream = await Deno.connect({ hostname: "127.0.0.1", port });
    await stream.write(ping);
    if (await stream.read(buffer) === null) throw new Error("the proxy has closed a connection");
    held.push(stream);
  };
  while (held.length < count) {
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, count - held.length) }, open));
  }
  console.error(`holds ${held.length}`);
  await new Promise((resolve) => setTimeout(resolve, 2 ** 31 - 1));
}

async function measure(connections: number): Promise<void> {
  const programs = new Programs(new URL("../deno.json", import.meta.url).pathname);
  const root = new URL("../", import.meta.url).pathname;
  try {
    const proxy = programs.start({
      name: "proxy",
      module: `${root}proxy/main.ts`,
      permissions: "proxy",
      args: [
        ...["--listen", "tcp:127.0.0.1:0", "--auth", "none", "--next_hop", "sip:127.0.0.1:9"],
        ...[
          "--tcp_max_connections",
          String(connections),
          "--tcp_max_connections_per_source",
          String(connections),
        ],
      ],
    });
    const [, port] = await proxy.ready(/ready on tcp:[^ ]*:(\d+)/);
    const mb = async () => (await readMemory(proxy.pid)).rss / 1e6;
    await new Promise((resolve) => setTimeout(resolve, IDLE_MS));
    const before = await mb();
    for (let open = 0; open < connections; open += PER_CLIENT) {
      const count = Math.min(PER_CLIENT, connections - open);
      const peer = programs.start({
        name: "client",
        module: `${root}bench/idle_connections.ts`,
        permissions: "bench",
        args: [CLIENT, port, String(count)],
      });
      await peer.ready(/holds (\d+)/);
    }
    await new Promise((resolve) => setTimeout(resolve, IDLE_MS));
    const after = await mb();
    console.log(`Deno ${Deno.version.deno}, ${connections} idle TCP connections in one process`);
    console.log(`resident: ${before.toFixed(0)} MB before, ${after.toFixed(0)} MB with them`);
    console.log(`${((after - before) * 1e6 / connections).toFixed(0)} bytes each`);
  } finally {
    await programs.close();
  }
}

if (Deno.args[0] === CLIENT) await client(Number(Deno.args[1]), Number(Deno.args[2]));
else {
  const wanted = Number(Deno.args[0] ?? WANTED);
  const possible = await hardLimit() - OTHERS;
  if (possible < wanted) console.log(`ulimit -Hn allows ${possible} connections instead of ${wanted}`);
  await measure(Math.min(wanted, possible));
}
