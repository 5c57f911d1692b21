/** Somebody on the way who lacks K: changes challenges and confirmations, plays old ones again, makes up new ones. */
import { type Random, response, SipMessage, toHex } from "../../mod.ts";
import type { Datagram } from "./network.ts";
import type { World } from "./world.ts";

const decoder = new TextDecoder();
const encoder = new TextEncoder();
const CHALLENGE = /^Proxy-Authenticate: (PC .*)$/m;
const INFO = /^Proxy-Authentication-Info: (PC .*)$/m;

/** A man in the middle of every link to a proxy. */
export class Adversary {
  /** Challenges that proxies really sent, as `Call-ID CSeq value`. */
  readonly genuine = new Set<string>();
  /** Requests (`Call-ID CSeq`) whose confirmation was changed. */
  readonly forgedInfos = new Set<string>();
  forgeries = 0;
  /** Percent of the messages that are tampered with. */
  percent = 0;
  readonly #seen: string[] = [];
  readonly #infos: string[] = [];
  readonly #random: Random;
  readonly #view = new SipMessage();

  constructor(world: World) {
    this.#random = world.random;
    const proxies = new Set(world.proxies.map(({ address }) => address.host));
    world.network.taps.push(({ from, bytes }) => {
      if (!proxies.has(from.host)) return;
      const text = decoder.decode(bytes);
      const challenge = CHALLENGE.exec(text)?.[1];
      if (challenge !== undefined) {
        this.#view.parse(bytes, 0, bytes.length);
        this.genuine.add(`${this.#view.callId} ${this.#view.cseqNumber} ${challenge}`);
        this.#seen.push(challenge);
      }
      const info = INFO.exec(text)?.[1];
      if (info !== undefined) this.#infos.push(info);
    });
    world.network.middle = (datagram) => {
      if (this.#random.below(100) >= this.percent) return undefined;
      if (proxies.has(datagram.from.host)) return this.#alterResponse(datagram);
      return proxies.has(datagram.to.host) ? this.#answerInstead(datagram) : undefined;
    };
  }

  #alterResponse(datagram: Datagram): Datagram[] | undefined {
    const text = decoder.decode(datagram.bytes);
    const challenge = CHALLENGE.exec(text)?.[1];
    const info = INFO.exec(text)?.[1];
    let altered = text;
    if (challenge !== undefined) altered = text.replace(challenge, this.#forge(challenge));
    if (info !== undefined) {
      const forged = this.#forgeInfo(info);
      if (forged !== info) {
        this.#view.parse(datagram.bytes, 0, datagram.bytes.length);
        this.forgedInfos.add(`${this.#view.callId} ${this.#view.cseqNumber}`);
        altered = text.replace(info, forged);
      }
    }
    if (altered === text) return undefined;
    this.forgeries++;
    return [{ ...datagram, bytes: encoder.encode(altered) }];
  }

  /** Keeps a request, and challenges it in the proxy's place. */
  #answerInstead(datagram: Datagram): Datagram[] | undefined {
    if (this.#view.parse(datagram.bytes, 0, datagram.bytes.length) !== undefined) return undefined;
    if (this.#seen.length === 0 || this.#view.method === "ACK") return undefined;
    this.forgeries++;
    const headers = [`Proxy-Authenticate: ${this.#forge(this.#pick(this.#seen))}`];
    const bytes = response(this.#view, 407, undefined, { toTag: "x", headers, source: datagram.from });
    return [{ from: datagram.to, to: datagram.from, bytes }];
  }

  #forge(challenge: string): string {
    const { below } = this.#random;
    const old = this.#pick(this.#seen);
    const set = (name: string, value: string | number) =>
      challenge.replace(new RegExp(` ${name}=("?)[^",]*`), ` ${name}=$1${value}`);
    const guide = (seq: number, auth: string) =>
      `${challenge.replace(/, seq=.*$/, "")}, seq=${seq}, auth="${auth}"`;
    const auth = /auth="([0-9a-f]*)"/.exec(challenge)?.[1];
    const oldAuth = /auth="([0-9a-f]*)"/.exec(old)?.[1];
    switch (below(9)) {
      case 0: // An old challenge, perhaps guided, to another request.
        return old;
      case 1: // A lower index under the auth that was sent, or a made-up one.
        return guide(0, auth ?? toHex(this.#random.bytes(20)));
      case 2:
        return guide(below(3), oldAuth ?? "00".repeat(20));
      case 3:
        return set("opaque", toHex(this.#random.bytes(8)));
      case 4:
        return set("nonce", toHex(this.#random.bytes(16)));
      case 5:
        return set("chain", 1 + below(8));
      case 6: // The nonce of another credential, at times that of another user.
        return set("nonce", /nonce="([0-9a-f]*)"/.exec(old)![1]);
      case 7:
        return challenge.replace(/, seq=.*$/, "");
      default: // An index without auth.
        return `${challenge.replace(/, seq=.*$/, "")}, seq=0`;
    }
  }

  #forgeInfo(info: string): string {
    const { below } = this.#random;
    switch (below(4)) {
      case 0:
        return this.#pick(this.#infos);
      case 1:
        return info.replace(/rspauth="../, `rspauth="${toHex(this.#random.bytes(1))}`);
      case 2:
        return `${info.replace(/, nextnonce=.*$/, "")}, nextnonce="${
          toHex(this.#random.bytes(16))
        }", chain=5`;
      default:
        return info.replace(/, nextnonce=.*$/, "");
    }
  }

  #pick(from: readonly string[]): string {
    return from[this.#random.below(from.length)];
  }
}
