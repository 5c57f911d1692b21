/** What an outsider can see of a proxy: the bytes of its answers, when they come, and what they make DBclient do. */
import { type Address, request, toHex } from "../../mod.ts";
import { REALM, type World } from "./world.ts";

/** How long answers are waited for, ms. */
const WAIT = 300;
const decoder = new TextDecoder();

/** What came back for one request. */
export interface Sight {
  /** Responses with what is random, and the name, replaced. */
  readonly responses: readonly string[];
  /** ms after the request. */
  readonly times: readonly number[];
  /** Questions to DBclient that the request caused. */
  readonly questions: number;
}

/** An outsider with an address of its own. */
export class Outsider {
  readonly address: Address = { host: "203.0.113.7", port: 5060 };
  #responses: string[] = [];
  #times: number[] = [];
  #number = 0;
  #sentAt = 0;
  /** The last response as it came. */
  last = "";

  constructor(private readonly world: World) {
    world.network.attach(this.address, (bytes) => {
      const text = decoder.decode(bytes);
      if (!text.includes(`\r\nCall-ID: call-${this.#number}\r\n`)) return;
      this.last = text;
      this.#responses.push(this.last);
      this.#times.push(world.queue.now - this.#sentAt);
    });
  }

  /** Sends a request in a user's name and waits for what comes of it. */
  send(username: string, headers: readonly string[] = [], method = "INVITE"): Sight {
    const look = this.#begin(username, headers, method);
    // Not so long that it is sent again.
    this.world.queue.run(WAIT);
    return look();
  }

  /** The same where the proxy's route waits for promises, as it does with Digest. */
  async sendSlowly(username: string, headers: readonly string[] = []): Promise<Sight> {
    const look = this.#begin(username, headers, "INVITE");
    for (let ms = 0; ms < WAIT; ms++) {
      this.world.queue.run(1);
      for (let turns = 0; turns < 10; turns++) await Promise.resolve();
    }
    return look();
  }

  #begin(username: string, headers: readonly string[], method: string): () => Sight {
    const { queue, network, dbclient } = this.world;
    this.#responses = [];
    this.#times = [];
    this.#sentAt = queue.now;
    const before = dbclient.questions.length + dbclient.verifyQuestions;
    const number = ++this.#number;
    const uri = "sip:bob@example.com";
    const bytes = request({
      method,
      uri,
      via: `SIP/2.0/UDP 203.0.113.7:5060;branch=z9hG4bK${toHex(this.world.random.bytes(6))};rport`,
      from: `<sip:${username}@${REALM}>;tag=t`,
      to: `<${uri}>`,
      callId: `call-${number}`,
      cseq: 1,
      headers,
    });
    network.send(this.address, this.world.hop, bytes);
    return () => {
      const questions = dbclient.questions.length + dbclient.verifyQuestions - before;
      const responses = this.#responses.map((text) => blank(text, username));
      return { responses, times: this.#times, questions };
    };
  }

  /** Call-ID of the next request; its CSeq is 1. */
  get nextCallId(): string {
    return `call-${this.#number + 1}`;
  }

  /** A parameter of the last challenge. */
  param(name: string): string {
    return new RegExp(`[ ,]${name}="?([^",\r]*)`).exec(this.last)?.[1] ?? "";
  }
}

/** Random values and the name become the same letters, so that all else has to be equal byte for byte. */
function blank(text: string, username: string): string {
  return text.replaceAll(username, "USER").replace(/nonce="[0-9a-f]{32}"/g, 'nonce="N"')
    .replace(/(^Proxy-Authenticate: Digest .*nonce=)"[^"]*"/gm, '$1"N"')
    .replace(/(^To: .*;tag=)\S+/gm, "$1TAG").replace(/branch=[^;\r]*/g, "branch=B")
    .replace(/^Call-ID: \S+/gm, "Call-ID: C").replace(/auth="[0-9a-f]+"/g, 'auth="A"');
}
