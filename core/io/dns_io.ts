/** Asks the servers of the Domain Name System, with the lives of their answers, which Deno's own resolver does not tell. */
import { Buffer } from "node:buffer";
// @ts-types="npm:@types/dns-packet@5.6.5"
import {
  type Answer,
  decode,
  encode,
  type Packet,
  RECURSION_DESIRED,
  streamDecode,
  streamEncode,
  type StringAnswer,
} from "dns-packet";
import { firstLine } from "../cli/first_line.ts";
import { DNS_PORT } from "../dns/name_server.ts";
import type { DnsAnswer, DnsRecords, DnsSource, DnsType } from "../dns/records.ts";
import { type Address, formatAddress } from "../sip/address.ts";
import { systemRandom } from "./clock_io.ts";
import { parseIpAddress } from "./ip_address.ts";

/** How long one server is waited for, ms, and how often all are asked. */
const WAIT_MS = 1000;
const ROUNDS = 2;
/** Questions under way at one time: each has a socket. */
const MAX_QUESTIONS = 256;
/** What an answer over UDP may take: RFC 1035 §4.2.1 without EDNS, and more from those that do not mind. */
const MAX_ANSWER = 4096;
/** Longest answer over TCP. */
const MAX_TCP_ANSWER = 65_535;
/** How long "there is no such thing" is good without an SOA, s. */
const NEGATIVE_TTL = 5;
const RESOLV_CONF = "/etc/resolv.conf";
const HOSTS = "/etc/hosts";
/** How long the names of this machine's own file are good, s. */
const HOSTS_TTL = 60;

/** How to ask. */
export interface DnsClientOptions {
  /** Servers; by default those of /etc/resolv.conf, else 127.0.0.1. */
  readonly servers?: readonly Address[];
  /** How long one server is waited for, ms. Default 1000. */
  readonly waitMs?: number;
}

/** Asks name servers over UDP, and over TCP what is too long for that. */
export class DnsClient implements DnsSource {
  readonly servers: readonly Address[];
  readonly #waitMs: number;
  readonly #hosts: ReadonlyMap<string, readonly string[]>;
  #questions = 0;

  constructor(options: DnsClientOptions = {}) {
    this.servers = options.servers ?? systemServers();
    this.#waitMs = options.waitMs ?? WAIT_MS;
    this.#hosts = hostsFile();
  }

  /** See {@linkcode DnsSource.query}. */
  async query<T extends DnsType>(name: string, type: T): Promise<DnsAnswer<DnsRecords[T]>> {
    const plain = name.replace(/\.$/, "").toLowerCase();
    const own = type === "A" || type === "AAAA" ? this.#hosts.get(plain) : undefined;
    if (own !== undefined) {
      const records = own.filter((ip) => ip.includes(":") === (type === "AAAA"));
      return { records: records as unknown as DnsRecords[T][], ttl: HOSTS_TTL };
    }
    if (this.#questions >= MAX_QUESTIONS) throw new Error(`${name}: too many questions at one time`);
    this.#questions++;
    try {
      return await this.#ask(plain, type);
    } finally {
      this.#questions--;
    }
  }

  async #ask<T extends DnsType>(name: string, type: T): Promise<DnsAnswer<DnsRecords[T]>> {
    let problem = "no name server is known";
    for (let round = 0; round < ROUNDS; round++) {
      for (const server of this.servers) {
        try {
          const packet = await exchange(server, name, type, this.#waitMs);
          // @ts-ignore: @types/dns-packet leaves rcode out
          const rcode: string = packet.rcode;
          if (rcode === "NOERROR" || rcode === "NXDOMAIN") return readAnswer(packet, type);
          problem = `${formatAddress(server)} answers ${rcode}`;
        } catch (error) {
          problem = `${formatAddress(server)}: ${firstLine(error)}`;
        }
      }
    }
    throw new Error(`${name} ${type}: ${problem}`);
  }
}

/** One question to one server. */
async function exchange(server: Address, name: string, type: DnsType, waitMs: number): Promise<Packet> {
  const question: Packet = {
    type: "query",
    id: systemRandom.below(2 ** 16),
    flags: RECURSION_DESIRED,
    questions: [{ name, type }],
  };
  const ipv6 = server.host.includes(":");
  // A port of its own for each question, so that nobody can guess where an answer has to go (RFC 5452).
  const socket = Deno.listenDatagram({ transport: "udp", hostname: ipv6 ? "::" : "0.0.0.0", port: 0 });
  const timer = setTimeout(() => socket.close(), waitMs);
  try {
    await socket.send(encode(question), { transport: "udp", hostname: server.host, port: server.port });
    const buffer = new Uint8Array(MAX_ANSWER);
    for (;;) {
      const [bytes, from] = await receive(socket, buffer, waitMs);
      if (from.hostname !== server.host || from.port !== server.port) continue;
      const packet = tryDecode(bytes);
      if (packet === undefined || !answers(packet, question)) continue;
      return packet.flag_tc ? await exchangeOverTcp(server, question, waitMs) : packet;
    }
  } finally {
    clearTimeout(timer);
    try {
      socket.close();
    } catch {
      // The timer was first.
    }
  }
}

async function receive(
  socket: Deno.DatagramConn,
  buffer: Uint8Array,
  waitMs: number,
): Promise<[Uint8Array, Deno.NetAddr]> {
  try {
    return await socket.receive(buffer) as [Uint8Array, Deno.NetAddr];
  } catch (error) {
    if (error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted) {
      throw new Error(`no answer within ${waitMs} ms`);
    }
    throw error;
  }
}

async function exchangeOverTcp(server: Address, question: Packet, waitMs: number): Promise<Packet> {
  const signal = AbortSignal.timeout(waitMs);
  const stream = await Deno.connect({ hostname: server.host, port: server.port, signal });
  const timer = setTimeout(() => stream.close(), waitMs);
  try {
    const bytes = streamEncode(question);
    for (let at = 0; at < bytes.length;) at += await stream.write(bytes.subarray(at));
    const answer = new Uint8Array(2 + MAX_TCP_ANSWER);
    for (let length = 0; length < answer.length;) {
      const count = await stream.read(answer.subarray(length));
      if (count === null) throw new Error("the connection was closed");
      length += count;
      if (length < 2 || length < 2 + (answer[0] << 8 | answer[1])) continue;
      const packet = streamDecode(Buffer.from(answer.subarray(0, length)));
      if (packet !== null && answers(packet, question)) return packet;
      break;
    }
    throw new Error("the answer does not fit the question");
  } finally {
    clearTimeout(timer);
    try {
      stream.close();
    } catch {
      // The timer was first.
    }
  }
}

/** undefined: what came is no packet. */
function tryDecode(bytes: Uint8Array): (Packet & { readonly flag_tc?: boolean }) | undefined {
  try {
    return decode(Buffer.from(bytes));
  } catch {
    return undefined;
  }
}

/** Whether a packet answers the question: by its number, name and type (RFC 5452 §9.1). */
function answers(packet: Packet, { id, questions }: Packet): boolean {
  const asked = questions![0];
  const [question] = packet.questions ?? [];
  return packet.type === "response" && packet.id === id && question?.type === asked.type &&
    question.name.toLowerCase() === asked.name;
}

function readAnswer<T extends DnsType>(packet: Packet, type: T): DnsAnswer<DnsRecords[T]> {
  const found = (packet.answers ?? []).filter((answer) => answer.type === type);
  if (found.length === 0) return { records: [], ttl: negativeTtl(packet) };
  const lives = (packet.answers ?? []).map((answer) => "ttl" in answer ? answer.ttl ?? 0 : 0);
  const records = found.map((answer) => readRecord(answer)) as unknown as DnsRecords[T][];
  return { records, ttl: Math.min(...lives) };
}

/** RFC 2308 §5: the smaller of the SOA's own life and its minimum. */
function negativeTtl({ authorities = [] }: Packet): number {
  for (const record of authorities) {
    if (record.type === "SOA") {
      return Math.min(record.ttl ?? NEGATIVE_TTL, record.data.minimum ?? NEGATIVE_TTL);
    }
  }
  return NEGATIVE_TTL;
}

function readRecord(answer: Answer): DnsRecords[DnsType] {
  if (answer.type === "SRV") {
    const { priority = 0, weight = 0, port, target } = answer.data;
    return { priority, weight, port, target };
  }
  if (answer.type === "NAPTR") {
    const { order, preference, flags, services, regexp, replacement } = answer.data;
    return { order, preference, flags, services, regexp, replacement };
  }
  // Only answers of the type that was asked for come here: an A or AAAA.
  return (answer as StringAnswer).data;
}

/** The servers of /etc/resolv.conf. */
function systemServers(): Address[] {
  const servers = readLines(RESOLV_CONF).flatMap((line) => {
    const [word, host = ""] = line.split(/\s+/);
    return word === "nameserver" && parseIpAddress(host) !== undefined ? [{ host, port: DNS_PORT }] : [];
  });
  return servers.length === 0 ? [{ host: "127.0.0.1", port: DNS_PORT }] : servers;
}

/** The names of /etc/hosts. */
function hostsFile(): Map<string, string[]> {
  const hosts = new Map<string, string[]>();
  for (const line of readLines(HOSTS)) {
    const [ip, ...names] = line.replace(/#.*/, "").trim().split(/\s+/);
    if (parseIpAddress(ip) === undefined) continue;
    for (const name of names.map((name) => name.toLowerCase())) {
      hosts.set(name, [...hosts.get(name) ?? [], ip]);
    }
  }
  return hosts;
}

function readLines(path: string): string[] {
  try {
    return Deno.readTextFileSync(path).split("\n");
  } catch {
    // A machine without the file has nothing to say there.
    return [];
  }
}
