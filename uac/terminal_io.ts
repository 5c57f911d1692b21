/** SIPp's live screens in a terminal, and its keys: there, and by a control socket. */
import { screen, type ScreenFacts } from "./screens.ts";
import { type Snapshot, snapshot } from "./sipp_figures.ts";

/** What keys do. */
export interface Controls {
  /** Adds to the rate, in steps of `-rate_scale`. */
  changeRate(steps: number): void;
  setRate(rate: number): void;
  pause(): void;
  /** No new calls; the second time, the end at once. */
  quit(atOnce: boolean): void;
  /** Writes the screens to their file. */
  dump(): void;
  show(screen: number): void;
}

/** Does what a key says. Whether there is such a key. */
export function press(key: string, controls: Controls): boolean {
  switch (key) {
    case "+":
      controls.changeRate(1);
      return true;
    case "-":
      controls.changeRate(-1);
      return true;
    case "*":
      controls.changeRate(10);
      return true;
    case "/":
      controls.changeRate(-10);
      return true;
    case "p":
      controls.pause();
      return true;
    case "q":
    case "Q":
      controls.quit(key === "Q");
      return true;
    case "s":
      controls.dump();
      return true;
  }
  if (!/^[1-9]$/.test(key)) return false;
  controls.show(Number(key));
  return true;
}

/** Does what a datagram to the control socket says: keys, or `cset rate N`. What it does not know, it passes over. */
export function command(text: string, controls: Controls): void {
  const rate = /^cset rate (\d+(?:\.\d+)?)\s*$/.exec(text);
  if (rate !== null) return controls.setRate(Math.min(1_000_000, Number(rate[1])));
  for (const key of text.slice(0, 16)) if (!press(key, controls)) return;
}

/** A UDP socket that takes keys. */
export class ControlSocket {
  readonly #socket: Deno.DatagramConn;

  /** @throws {Deno.errors.AddrInUse} if the port is taken */
  constructor(host: string, port: number, controls: Controls) {
    this.#socket = Deno.listenDatagram({ transport: "udp", hostname: host, port });
    this.#read(controls);
  }

  async #read(controls: Controls): Promise<void> {
    try {
      for await (const [bytes] of this.#socket) {
        command(new TextDecoder().decode(bytes.subarray(0, 256)), controls);
      }
    } catch {
      // Closed.
    }
  }

  close(): void {
    this.#socket.close();
  }
}

const ALTERNATE = "\x1b[?1049h\x1b[?25l";
const NORMAL = "\x1b[?25h\x1b[?1049l";
const encoder = new TextEncoder();
const draw = (text: string) => {
  const bytes = encoder.encode(text);
  for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
};

/** Whether screens can be shown: a terminal on both ends. */
export function hasTerminal(): boolean {
  return Deno.stdin.isTerminal() && Deno.stdout.isTerminal();
}

/** The live screens. */
export class Screens {
  #shown = 1;
  #before: Snapshot;
  #timer: ReturnType<typeof setInterval>;
  #reader: ReadableStreamDefaultReader<Uint8Array> | undefined;

  /**
   * @param every ms between two screens
   * @param keys whether keys are read: not with `-nostdin`
   */
  constructor(
    private readonly facts: () => Omit<ScreenFacts, "before">,
    every: number,
    keys: boolean,
    controls: Controls,
  ) {
    const { engine, now } = facts();
    this.#before = snapshot(engine, now);
    draw(ALTERNATE);
    if (keys) {
      Deno.stdin.setRaw(true, { cbreak: true });
      this.#reader = Deno.stdin.readable.getReader();
      this.#keys(this.#reader, controls);
    }
    this.draw();
    this.#timer = setInterval(() => {
      this.draw();
      const { engine, now } = facts();
      this.#before = snapshot(engine, now);
    }, every);
  }

  show(number: number): void {
    this.#shown = number;
    this.draw();
  }

  draw(): void {
    const text = screen(this.#shown, { ...this.facts(), before: this.#before });
    let rows = 24;
    try {
      rows = Deno.consoleSize().rows || rows;
    } catch {
      // As many as a terminal has at least.
    }
    const lines = text.split("\n");
    const foot = lines.pop()!;
    const shown = [...lines.slice(0, Math.max(1, rows - 1)), foot];
    draw("\x1b[H" + shown.map((line) => line + "\x1b[K").join("\r\n") + "\x1b[J");
  }

  /** Gives the terminal back. */
  close(): void {
    clearInterval(this.#timer);
    draw(NORMAL);
    if (this.#reader === undefined) return;
    this.#reader.cancel().catch(() => {});
    Deno.stdin.setRaw(false);
  }

  async #keys(reader: ReadableStreamDefaultReader<Uint8Array>, controls: Controls): Promise<void> {
    const decoder = new TextDecoder();
    try {
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return;
        for (const key of decoder.decode(value)) press(key, controls);
        this.draw();
      }
    } catch {
      // The terminal is gone; the run goes on.
    }
  }
}
