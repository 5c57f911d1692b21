/** From the command line to what a run needs. */
import { lookup } from "node:dns/promises";
import { loadHashBackend, systemRandom } from "../mod.ts";
import { BUILTIN } from "./builtin.ts";
import { readChainStates } from "./chain_state_io.ts";
import { fileReader, loadInjectionFiles, loadScenario, readText } from "./files_io.ts";
import type { Command } from "./flags.ts";
import { InjectionFiles, patternFile } from "./injection.ts";
import type { RunOptions } from "./run_io.ts";
import { partOf, type Share } from "./share.ts";

function injectionFiles({ values, files, indices }: Command, share: Share): InjectionFiles {
  const all = values.user_pattern === undefined
    ? loadInjectionFiles(files, indices)
    : new InjectionFiles([patternFile(values.user_pattern, values.password, values.from, values.count)]);
  for (const file of all.files) file.share(share);
  return all;
}

/** The IP address of a name. */
async function resolve(host: string): Promise<string> {
  if (/^[0-9.]+$|:/.test(host)) return host;
  try {
    return (await lookup(host)).address;
  } catch {
    throw new Error(`${host}: there is no such host`);
  }
}

/** An address of this machine from which `remote` can be reached. */
function localAddress(remote: string | undefined): string {
  if (remote === undefined || remote.startsWith("127.") || remote === "::1") return remote ?? "127.0.0.1";
  const family = remote.includes(":") ? "IPv6" : "IPv4";
  const outside = Deno.networkInterfaces().find(({ family: its, address }) =>
    its === family && !address.startsWith("127.") && address !== "::1" && !address.startsWith("fe80:")
  );
  if (outside === undefined) {
    throw new Error(`no ${family} address found to reach ${remote}: give one with -i`);
  }
  return outside.address;
}

/** Runs a command of a scenario by the shell, as SIPp does; what it prints is not read. */
function shell(command: string, say: (line: string) => void): void {
  try {
    const child = new Deno.Command("/bin/sh", { args: ["-c", command], stdin: "null", stdout: "null" })
      .spawn();
    child.unref();
    child.status.catch(() => {});
  } catch (error) {
    say(`<exec command>: ${(error as Error).message.split("\n")[0]}`);
  }
}

function mayExec(): void {
  if (Deno.permissions.querySync({ name: "run", command: "/bin/sh" }).state !== "granted") {
    throw new Error(
      "--allow_exec needs the permission too: deno run -P=uac --allow-run=/bin/sh uac/main.ts …",
    );
  }
}

/**
 * Everything a run needs, from the command line and the files that it names.
 *
 * @param share of users, calls at once and lines of injection files: for a worker
 * @throws {Error} one line
 */
export async function runOptions(
  command: Command,
  say: (line: string) => void,
  share: Share = { index: 0, of: 1 },
): Promise<RunOptions> {
  const { values, remote, given, keys, set, dynamic, behaviors, circuits } = command;
  const { backend, warning } = await loadHashBackend(values.hash);
  if (warning !== undefined) say(warning);
  const file = values.sf ?? `built-in ${values.sn}`;
  const scenario = loadScenario(values.sf === undefined ? BUILTIN[values.sn] : readText(values.sf), file);
  const outOfCallFile = values.oocsf ?? (values.oocsn === undefined ? undefined : `built-in ${values.oocsn}`);
  const outOfCall = outOfCallFile === undefined ? undefined : loadScenario(
    values.oocsf === undefined ? BUILTIN[values.oocsn!] : readText(values.oocsf),
    outOfCallFile,
  );
  const client = scenario.role === "client";
  if (client && remote === undefined) throw new Error("whom to call is missing: HOST[:PORT]");
  const ip = remote === undefined ? undefined : await resolve(remote.host);
  const sendTo = command.sendTo === undefined
    ? undefined
    : { host: await resolve(command.sendTo.host), port: command.sendTo.port };
  if (values.allow_exec) mayExec();
  const retrans = values.max_retrans;
  const realms = values.realm;
  if (values.sleep > 0 && share.of === 1) {
    await new Promise((resolve) => setTimeout(resolve, values.sleep * 1000));
  }
  return {
    transport: values.t as "u1" | "un" | "ui" | "t1" | "tn",
    host: values.i ?? localAddress(ip?.startsWith("127.") ? "127.0.0.1" : ip),
    port: values.p === undefined || values.p === 0 ? values.p ?? (client ? 0 : 5060) : values.p + share.index,
    io: values.io,
    ioWait: values.io_wait,
    maxSockets: values.max_socket,
    ipField: values.ip_field,
    scenario,
    file,
    outOfCall,
    outOfCallFile,
    remote: ip === undefined || !client ? undefined : { host: ip, port: remote!.port },
    sendTo,
    facts: {
      service: values.s,
      ...remote === undefined ? {} : { remoteHost: remote.host },
      pid: Deno.pid,
      domain: realms?.[0] ?? remote?.host ?? ip ?? "localhost",
      keys,
      ...values.mi === undefined ? {} : { mediaIp: values.mi },
      mediaPort: values.mp,
      dynamicStart: dynamic.start,
      dynamicMax: dynamic.max,
      dynamicStep: dynamic.step,
    },
    rate: values.r,
    period: values.rp,
    calls: values.m,
    limit: Math.ceil(values.l / share.of),
    users: values.users === undefined ? undefined : partOf(values.users, share),
    pause: values.d,
    recvTimeout: values.recv_timeout ?? (client ? 60_000 : 3_600_000),
    retransmit: !values.nr,
    maxInviteRetrans: values.max_invite_retrans ?? retrans,
    maxRetrans: values.max_non_invite_retrans ?? retrans,
    t2: values.T2,
    lost: values.lost / 100,
    behaviors: { ...behaviors, autoAnswer: values.aa },
    ignoreInPause: values.pause_msg_ign,
    baseCseq: values.base_cseq,
    callIdPattern: values.cid_str,
    files: injectionFiles(command, share),
    set,
    circuits,
    username: values.au,
    password: given.has("ap") ? values.ap : undefined,
    auth: {
      mode: values.pc_only ? "pc" : values.auth,
      preemptive: values.preemptive,
      bye: values.bye,
      ...realms === undefined ? {} : { realms },
    },
    authUri: values.auth_uri === undefined || /^sips?:/.test(values.auth_uri)
      ? values.auth_uri
      : `sip:${values.auth_uri}`,
    chainStates: values.chain_state === undefined ? undefined : readChainStates(values.chain_state),
    hashes: backend,
    random: systemRandom,
    wallClock: Date.now,
    readFile: fileReader(values.file_dir ?? []),
    exec: values.allow_exec ? (command) => shell(command, say) : undefined,
  };
}
