/** For tests: a SIP endpoint on real sockets, UDP, TCP and TLS at one port number of its own each. */
import { fail } from "@std/assert";
import {
  type Address,
  type DatagramSocket,
  isReliable,
  now,
  openDatagramSocket,
  StreamTransport,
  type TlsIdentity,
} from "../mod.ts";
import { RECEIVED, record, SENT } from "../proxy/test_record.ts";

/** A message that came. */
export interface Received {
  readonly text: string;
  readonly from: Address;
}

const decoder = new TextDecoder();
const encoder = new TextEncoder();
/** Ports that are tried. */
const ATTEMPTS = 20;
const LIMITS = {
  maxConnections: 100,
  maxPerSource: 100,
  idleMs: 60_000,
  firstMs: 60_000,
  messageMs: 10_000,
  connectMs: 5000,
  stallMs: 10_000,
  queueBytes: 1 << 20,
  totalBytes: 1 << 24,
};

/** Sends and receives messages as text. */
export class Endpoint {
  readonly #streams: StreamTransport;
  readonly #received: Received[] = [];
  #wake = (): void => {};
  udp!: DatagramSocket;
  tcp: Address | undefined;
  tls: Address | undefined;

  private constructor(caCerts: readonly string[]) {
    const take = (buffer: Uint8Array, start: number, end: number, from: Address) => {
      record(buffer.subarray(start, end), SENT);
      this.#received.push({ text: decoder.decode(buffer.subarray(start, end)), from });
      this.#wake();
    };
    this.#take = take;
    this.#streams = new StreamTransport({
      limits: LIMITS,
      caCerts,
      onMessage: take,
      onMalformed: (problem) => fail(problem.text),
      onUnreachable: () => {},
      onError: (error) => fail(error.message),
    });
  }
  readonly #take: (buffer: Uint8Array, start: number, end: number, from: Address) => void;

  /**
   * @param options.tcp whether it takes connections
   * @param options.tls the certificate with which it takes connections over TLS
   * @param options.trusts certificates that it trusts
   */
  static async open(
    options: { host?: string; tcp?: boolean; tls?: TlsIdentity; trusts?: readonly string[] } = {},
  ): Promise<Endpoint> {
    const { host = "127.0.0.1", tcp = true, tls, trusts = [] } = options;
    const endpoint = new Endpoint(trusts);
    for (let attempt = 1;; attempt++) {
      endpoint.udp = await openDatagramSocket({
        host,
        port: 0,
        io: "deno",
        onDatagram: endpoint.#take,
        onError: (error) => fail(error.message),
      });
      if (!tcp) break;
      try {
        // UDP and TCP have one port, as RFC 3261 §18.1.1 takes for granted; it may be in use for TCP.
        endpoint.tcp = endpoint.#streams.listen({ host, port: endpoint.udp.local.port, transport: "tcp" });
        break;
      } catch (error) {
        await endpoint.udp.close();
        if (attempt === ATTEMPTS) throw error;
      }
    }
    if (tls !== undefined) endpoint.tls = endpoint.#streams.listen({ host, port: 0, transport: "tls" }, tls);
    return endpoint;
  }

  send(text: string, to: Address): void {
    const bytes = encoder.encode(text);
    record(bytes, RECEIVED);
    if (isReliable(to)) this.#streams.send(bytes, 0, bytes.length, to);
    else this.udp.send(bytes, 0, bytes.length, to);
  }

  /** The next message that is no 100 (Trying); fails when none comes. */
  async next(what: string, ms = 10_000): Promise<Received> {
    const end = now() + ms;
    for (;;) {
      const received = this.#received.shift();
      if (received !== undefined && !received.text.startsWith("SIP/2.0 100")) return received;
      if (received !== undefined) continue;
      if (now() > end) fail(`no ${what} came`);
      let timer: ReturnType<typeof setTimeout> | undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        timer = setTimeout(resolve, end - now() + 1);
      });
      clearTimeout(timer);
    }
  }

  /** Messages that came and were not asked for. */
  get waiting(): number {
    return this.#received.length;
  }

  /** Ends its connections, not its listeners. */
  async close(): Promise<void> {
    this.#streams.close();
    await this.udp.close();
  }
}

/** A response to a request, as a called side gives it. */
export function answer(request: string, status: string, more: readonly string[] = []): string {
  const kept = request.split("\r\n").filter((line) => /^(Via|From|Call-ID|CSeq|Record-Route):/.test(line));
  const to = /^To: (.*)$/m.exec(request)![1].trim();
  const tagged = to.includes(";tag=") ? to : `${to};tag=called`;
  return [`SIP/2.0 ${status}`, ...kept, `To: ${tagged}`, ...more, "Content-Length: 0", "", ""].join("\r\n");
}

/** The lines of a header. */
export function lines(text: string, name: string): string[] {
  return text.split("\r\n").filter((line) => line.startsWith(`${name}: `)).map((line) =>
    line.slice(name.length + 2)
  );
}
