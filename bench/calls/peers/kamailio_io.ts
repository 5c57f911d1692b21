/** Kamailio as a process, with this folder's configuration. */
import { fileURLToPath } from "node:url";
import { udpPortInUse } from "../../proc_io.ts";
import { type Program, ProgramError } from "../../processes_io.ts";
import { HOST, type Site } from "../../programs_io.ts";
import type { KamailioMode } from "../modes.ts";
import { freeUdpPort } from "./ports_io.ts";

const CONFIGURATION = fileURLToPath(new URL("./kamailio.cfg", import.meta.url));
/** Shared memory, and each process's own, MB. */
const SHARED_MB = 2048;
const PRIVATE_MB = 16;
/** The allocator: Debian's default (qm) is made to find mistakes, and triples the cost of a call. */
const ALLOCATOR = "fm";
const ATTEMPTS = 100;
const ATTEMPT_MS = 100;
/** How long its children take to be ready after the port is there, ms. */
const SETTLE_MS = 500;

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** How Kamailio is started. */
export interface KamailioOptions {
  readonly path: string;
  readonly mode: KamailioMode;
  /** Processes that serve requests. */
  readonly children: number;
  readonly databaseUrl: string | undefined;
  /** Port that all calls go to. */
  readonly calledPort: number;
}

function defines({ mode, children, databaseUrl = "none", calledPort }: KamailioOptions): string[] {
  const names = [
    ...mode.defines,
    `CHILDREN=${children}`,
    `DB_URL="${databaseUrl}"`,
    `NEXT_HOP="sip:${HOST}:${calledPort}"`,
  ];
  return names.flatMap((name) => ["-A", name]);
}

/** Why Kamailio cannot run in a mode, or undefined: a module may not be installed. */
export async function kamailioProblem(path: string, mode: KamailioMode): Promise<string | undefined> {
  const options = { path, mode, children: 1, databaseUrl: undefined, calledPort: 5060 };
  const { success, stdout, stderr } = await new Deno.Command(path, {
    args: ["-c", "-E", "-f", CONFIGURATION, ...defines(options)],
    stdin: "null",
  }).output();
  if (success) return undefined;
  const decoder = new TextDecoder();
  const lines = (decoder.decode(stdout) + decoder.decode(stderr)).trim().split("\n");
  return lines.find((line) => /ERROR|CRITICAL/.test(line)) ?? lines.at(-1) ?? "it refuses the configuration";
}

/** Starts it; gives the program and its port. */
export async function startKamailio(site: Site, options: KamailioOptions): Promise<[Program, number]> {
  const port = freeUdpPort();
  const program = site.programs.start({
    name: "kamailio",
    command: options.path,
    args: [
      ...["-f", CONFIGURATION, "-DD", "-E", "-l", `udp:${HOST}:${port}`],
      ...["-m", String(SHARED_MB), "-M", String(PRIVATE_MB), "-x", ALLOCATOR, "-X", ALLOCATOR],
      ...defines(options),
    ],
  });
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    if (await udpPortInUse(port)) {
      await Promise.race([sleep(SETTLE_MS), program.finished([])]);
      return [program, port];
    }
    await Promise.race([sleep(ATTEMPT_MS), program.finished([])]);
  }
  throw new ProgramError("kamailio does not listen");
}
