/** For tests: baresip as a phone without sound card, told what to do over its ctrl_tcp module. */
import { fail } from "@std/assert";
import { freeTcpPort } from "../../proxy/test_process.ts";
import { PeerProcess } from "./programs_io.ts";
import { tone } from "./tone.ts";

/** An event of baresip, or the answer to a command. */
export interface BaresipMessage {
  /** Of an event: CALL_ESTABLISHED, … */
  readonly type?: string;
  readonly param?: string;
  /** Of an answer: that of the command, and its result. */
  readonly token?: string;
  readonly ok?: boolean;
  readonly data?: string;
}

const MODULES: readonly string[] = ["ctrl_tcp.so", "g711.so", "aufile.so"];
const APPLICATIONS: readonly string[] = ["account.so", "menu.so"];

/** A running baresip with one account. */
export class Baresip {
  readonly #events: BaresipMessage[] = [];
  readonly #answers: BaresipMessage[] = [];
  readonly #reading: Promise<void>;
  #wake = (): void => {};

  private constructor(readonly process: PeerProcess, readonly control: Deno.TcpConn) {
    this.#reading = this.#read();
  }

  /**
   * Starts it, and waits until it is registered.
   * @param options.proxy host:port
   * @param options.transport udp or tcp
   */
  static async start(
    dir: string,
    user: string,
    password: string,
    { proxy, transport = "udp" }: { readonly proxy: string; readonly transport?: "udp" | "tcp" },
  ): Promise<Baresip> {
    const home = await Deno.makeTempDir({ dir, prefix: "baresip" });
    const control = freeTcpPort();
    const parameters =
      `auth_user=${user};auth_pass=${password};outbound="sip:${proxy};transport=${transport}"`;
    const account = `<sip:${user}@example.com;transport=${transport}>;${parameters};regint=120\n`;
    await Deno.writeTextFile(`${home}/accounts`, account, { mode: 0o600 });
    await Deno.writeTextFile(`${home}/contacts`, "");
    await Deno.writeFile(`${home}/tone.wav`, tone());
    const lines = [
      "module_path /usr/lib/baresip/modules",
      ...MODULES.map((name) => `module ${name}`),
      ...APPLICATIONS.map((name) => `module_app ${name}`),
      `ctrl_tcp_listen 127.0.0.1:${control}`,
      "sip_listen 127.0.0.1:0",
      `audio_path ${home}`,
      `audio_player aufile,${home}/heard.wav`,
      `audio_alert aufile,${home}/alert.wav`,
      `audio_source aufile,${home}/tone.wav`,
    ];
    await Deno.writeTextFile(`${home}/config`, `${lines.join("\n")}\n`);
    const process = new PeerProcess("baresip", ["-4", "-f", home], { cwd: home });
    try {
      await process.says(/baresip is ready/);
      await process.says(new RegExp(`${user}@example\\.com: .* 200 OK`));
      return new Baresip(process, await Deno.connect({ hostname: "127.0.0.1", port: control }));
    } catch (error) {
      await process.end();
      throw error;
    }
  }

  /** Gives a command, and waits for its answer. */
  async command(command: string, params = ""): Promise<string> {
    const text = JSON.stringify({ command, params, token: command });
    await this.control.write(new TextEncoder().encode(`${text.length}:${text},`));
    return (await this.#next(this.#answers, ({ token }) => token === command, command)).data ?? "";
  }

  /** Waits for an event; each counts once. Their order is not the same each time. */
  event(type: string): Promise<BaresipMessage> {
    return this.#next(this.#events, (event) => event.type === type, type);
  }

  async end(): Promise<void> {
    this.control.close();
    await this.#reading;
    await this.process.end();
  }

  async #next(
    messages: BaresipMessage[],
    wanted: (message: BaresipMessage) => boolean,
    what: string,
  ): Promise<BaresipMessage> {
    const end = performance.now() + 10_000;
    for (;;) {
      const index = messages.findIndex(wanted);
      if (index >= 0) return messages.splice(index, 1)[0];
      if (performance.now() > end) {
        fail(`baresip gives no ${what}, but:\n${JSON.stringify(messages)}\n${this.process.said}`);
      }
      let timer: ReturnType<typeof setTimeout> | undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        timer = setTimeout(resolve, 1000);
      });
      clearTimeout(timer);
    }
  }

  /** Netstrings of JSON. */
  async #read(): Promise<void> {
    let text = "";
    try {
      for await (const piece of this.control.readable.pipeThrough(new TextDecoderStream())) {
        text += piece;
        for (let colon = text.indexOf(":"); colon > 0; colon = text.indexOf(":")) {
          const end = colon + 1 + Number(text.slice(0, colon));
          if (text.length <= end) break;
          const message: BaresipMessage = JSON.parse(text.slice(colon + 1, end));
          (message.type === undefined ? this.#answers : this.#events).push(message);
          text = text.slice(end + 1);
        }
        this.#wake();
      }
    } catch {
      // Closed.
    }
  }
}
