/** For tests: a name server on 127.0.0.1, over UDP and TCP. */
import { Buffer } from "node:buffer";
// @ts-types="npm:@types/dns-packet@5.6.5"
import { type Answer, AUTHORITATIVE_ANSWER, decode, encode, type Packet } from "dns-packet";
import type { Address } from "../sip/address.ts";

/** How it treats a question. */
export interface TestDnsBehaviour {
  /** Gives no answer. */
  silent?: boolean;
  /** Answers with this RCODE. */
  rcode?: number;
  /** Answers over UDP that the answer is too long. */
  truncated?: boolean;
  /** Sends answers with another number, name and source first. */
  forged?: boolean;
}

/** Answers from a list of records. */
export class TestDns {
  readonly records: Answer[] = [];
  /** `name type` of each question, `(tcp)` behind those over TCP. */
  readonly asked: string[] = [];
  behaviour: TestDnsBehaviour = {};
  readonly #tcp = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #udp = Deno.listenDatagram({
    transport: "udp",
    hostname: "127.0.0.1",
    port: (this.#tcp.addr as Deno.NetAddr).port,
  });
  readonly #running = [this.#serveUdp(), this.#serveTcp()];

  get address(): Address {
    return { host: "127.0.0.1", port: (this.#udp.addr as Deno.NetAddr).port };
  }

  add(name: string, type: Answer["type"], data: unknown, ttl = 60): this {
    this.records.push({ name, type, ttl, data } as Answer);
    return this;
  }

  async close(): Promise<void> {
    this.#udp.close();
    this.#tcp.close();
    await Promise.all(this.#running);
  }

  #answer(bytes: Uint8Array, tcp: boolean): Packet | undefined {
    const query = decode(Buffer.from(bytes));
    const { name, type } = query.questions![0];
    this.asked.push(`${name} ${type}${tcp ? " (tcp)" : ""}`);
    const { silent, rcode = 0, truncated } = this.behaviour;
    if (silent) return undefined;
    const known = this.records.filter((record) => record.name === name);
    const answers = known.filter((record) => record.type === type || record.type === "CNAME");
    const cut = truncated && !tcp;
    return {
      type: "response",
      id: query.id,
      // RFC 1035 §4.1.1: TC, and RCODE; 3 is NXDOMAIN.
      flags: AUTHORITATIVE_ANSWER | (cut ? 1 << 9 : 0) | (rcode || (known.length === 0 ? 3 : 0)),
      questions: query.questions,
      answers: cut || rcode > 0 ? [] : answers,
      authorities: answers.length > 0 || cut ? [] : [{
        type: "SOA",
        name: "example.com",
        ttl: 7,
        data: { mname: "ns.example.com", rname: "a.example.com", serial: 1, minimum: 9 },
      }],
    };
  }

  async #serveUdp(): Promise<void> {
    try {
      for await (const [bytes, from] of this.#udp) {
        const answer = this.#answer(bytes, false);
        if (answer === undefined) continue;
        if (this.behaviour.forged) {
          const wrong: Answer[] = [{
            name: answer.questions![0].name,
            type: "A",
            ttl: 60,
            data: "203.0.113.66",
          }];
          await this.#udp.send(encode({ ...answer, id: (answer.id! + 1) % 65_536, answers: wrong }), from);
          const questions = [{ ...answer.questions![0], name: "other.example.com" }];
          await this.#udp.send(encode({ ...answer, questions, answers: wrong }), from);
          await this.#udp.send(Uint8Array.of(1, 2, 3), from);
          const stranger = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
          await stranger.send(encode({ ...answer, answers: wrong }), from);
          stranger.close();
        }
        await this.#udp.send(encode(answer), from);
      }
    } catch {
      // Closed.
    }
  }

  async #serveTcp(): Promise<void> {
    try {
      for await (const stream of this.#tcp) {
        const buffer = new Uint8Array(4096);
        const count = await stream.read(buffer) ?? 0;
        const answer = this.#answer(buffer.slice(2, count), true);
        if (answer !== undefined) {
          const bytes = encode(answer);
          const framed = new Uint8Array(bytes.length + 2);
          framed.set([bytes.length >> 8, bytes.length & 0xff]);
          framed.set(bytes, 2);
          // In two parts: a stream keeps no boundaries.
          await stream.write(framed.subarray(0, 5));
          await stream.write(framed.subarray(5));
        }
        stream.close();
      }
    } catch {
      // Closed.
    }
  }
}
