/** For tests: phones and a called side on the wire, and subscribers for them. */
import { assertEquals, fail } from "@std/assert";
import { answerDigest, DigestHasher, isMalformed, parseAuth, parseDigestChallenge } from "../mod.ts";
import { run, TestSocket } from "./test_process.ts";
import { ackOf, backend, header, headers, PcCaller, request, statusOf } from "./testing.ts";

const hasher = new DigestHasher(backend);

/** A phone on the wire: sends, and follows the transaction rules as far as these tests need. */
export class Phone {
  readonly socket = new TestSocket();
  readonly caller: PcCaller;
  #branch = 0;

  constructor(readonly proxyPort: number, name = "alice", private readonly password = "secret") {
    this.caller = new PcCaller(name, password);
  }

  /** A Via of this phone with a branch of its own. */
  via(): string {
    return `SIP/2.0/UDP 127.0.0.1:${this.socket.port};rport;branch=z9hG4bKp${this.socket.port}x${++this
      .#branch}`;
  }

  #parts(extra: Record<string, unknown> = {}) {
    return { via: this.via(), ...extra };
  }

  /** Sends a request, and an ACK for its failure. @param again ms after which it is sent again, and so on */
  async ask(text: string, again?: number): Promise<string> {
    const send = () => this.socket.send(text, this.proxyPort);
    const timer = again === undefined ? undefined : setInterval(send, again);
    await send();
    const answer = await this.socket.nextButTrying("answer");
    clearInterval(timer);
    if (text.startsWith("INVITE") && statusOf(answer) >= 300) {
      await this.socket.send(ackOf(text, answer), this.proxyPort);
    }
    return answer;
  }

  plain(method: string, extra: Record<string, unknown> = {}): Promise<string> {
    return this.ask(request(method, this.#parts(extra)));
  }

  async authenticated(method: string, extra: Record<string, unknown> = {}): Promise<string> {
    let answer = await this.ask(this.caller.request(method, this.#parts(extra)));
    // Another phone of the same user may have used tokens of the credential: then a second challenge tells where it is.
    for (let challenges = 0; statusOf(answer) === 407 && challenges < 2; challenges++) {
      answer = await this.ask(this.caller.again(answer, method, this.#parts(extra)));
    }
    return answer;
  }

  /** The same with Digest. */
  async withDigest(method: string, extra: Record<string, unknown> = {}): Promise<string> {
    const first = await this.plain(method, { ...extra, cseq: 1 });
    if (statusOf(first) !== 407) return first;
    const challenge = parseDigestChallenge(parseAuth(header(first, "Proxy-Authenticate")));
    if (isMalformed(challenge)) fail(header(first, "Proxy-Authenticate"));
    const { username } = this.caller;
    const account = { username, password: this.password };
    const what = { method, uri: "sip:bob@example.com" };
    const answer = answerDigest(hasher, challenge, account, what, "5f3a", 1);
    return await this.plain(method, { ...extra, cseq: 2, headers: [`Proxy-Authorization: ${answer}`] });
  }
}

/** A subscriber database with alice in it, or others; their password is "secret". */
export async function withSubscribers(dir: string, names: readonly string[] = ["alice"]): Promise<string> {
  const rows = names.map((name) => `${name},example.com,secret\n`);
  await Deno.writeTextFile(`${dir}/users.csv`, `username,domain,password\n${rows.join("")}`);
  const { code, err } = await run(
    "dbclient",
    "users",
    "import",
    "--db",
    `sqlite:${dir}/users.db`,
    `${dir}/users.csv`,
  );
  assertEquals(code, 0, err);
  return `sqlite:${dir}/users.db`;
}

/** A 486 (Busy Here) for an INVITE as it was forwarded. */
export function busy(invite: string): string {
  const lines = invite.split("\r\n").filter((line) => /^(Via|Record-Route|From|Call-ID|CSeq):/i.test(line));
  return ["SIP/2.0 486 Busy Here", ...lines, `To: ${header(invite, "To")};tag=b`, "Content-Length: 0", "", ""]
    .join("\r\n");
}

/** The port that the topmost Via of a forwarded request names: where its response is to go. */
export function viaPort(forwarded: string): number {
  return Number(/^SIP\/2\.0\/UDP [^:;]+:(\d+);/.exec(headers(forwarded, "Via")[0])![1]);
}

/** A called side that is always busy. */
export class BusySide {
  /** The INVITEs that came, each once. */
  readonly invites: string[] = [];
  readonly #socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  readonly #running: Promise<void>;

  /** @param answer to an INVITE as it was forwarded; default 486 */
  constructor(private readonly answer: (invite: string) => string = busy) {
    this.#running = this.#run();
  }

  get port(): number {
    return (this.#socket.addr as Deno.NetAddr).port;
  }

  /** The forwarded INVITE of a call. */
  inviteOf(callId: string): string {
    return this.invites.findLast((invite) => header(invite, "Call-ID") === callId)!;
  }

  async close(): Promise<void> {
    this.#socket.close();
    await this.#running;
  }

  async #run(): Promise<void> {
    try {
      for await (const [bytes] of this.#socket) {
        const text = new TextDecoder().decode(bytes);
        if (!text.startsWith("INVITE ")) continue;
        if (!this.invites.includes(text)) this.invites.push(text);
        const to: Deno.NetAddr = { transport: "udp", hostname: "127.0.0.1", port: viaPort(text) };
        await this.#socket.send(new TextEncoder().encode(this.answer(text)), to);
      }
    } catch {
      // Closed.
    }
  }
}
