/** For tests: headless Chromium, steered by its DevTools protocol. */

async function hasChromium(): Promise<boolean> {
  try {
    const { success } = await new Deno.Command("chromium", {
      args: ["--version"],
      stdout: "null",
      stderr: "null",
    })
      .output();
    return success;
  } catch {
    return false;
  }
}

const present = await hasChromium();
/** Whether tests with it are left out: where it is missing, but not in CI, where that is a failure. */
export const ignore: boolean = !present && Deno.env.get("CI") !== "true";
/** For their names. */
export const why: string = ignore ? " (skipped: chromium is not installed)" : "";

/** An event or an answer of the protocol. */
interface Message {
  readonly id?: number;
  readonly method?: string;
  // deno-lint-ignore no-explicit-any
  readonly params?: any;
  // deno-lint-ignore no-explicit-any
  readonly result?: any;
  readonly error?: { readonly message: string };
  readonly sessionId?: string;
}

/** A page in a browser of its own. */
export class Page {
  /** Events that came: requests, errors of scripts, entries of the log. */
  readonly events: Message[] = [];
  #id = 0;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  #session: string | undefined;
  #loaded = Promise.withResolvers<void>();

  private constructor(
    private readonly child: Deno.ChildProcess,
    private readonly socket: WebSocket,
    private readonly directory: string,
  ) {
    socket.onmessage = ({ data }) => this.#take(JSON.parse(data));
  }

  /** Starts the browser. */
  static async open(): Promise<Page> {
    const directory = await Deno.makeTempDir();
    const child = new Deno.Command("chromium", {
      args: [
        ...["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"],
        ...["--disable-background-networking", "--remote-debugging-port=0", `--user-data-dir=${directory}`],
        "about:blank",
      ],
      stdout: "null",
      stderr: "piped",
    }).spawn();
    const reader = child.stderr.pipeThrough(new TextDecoderStream()).getReader();
    let said = "";
    let url: string | undefined;
    while (url === undefined) {
      const { value, done } = await reader.read();
      if (done) throw new Error(`chromium ended: ${said}`);
      said += value;
      url = /DevTools listening on (ws:\S+)/.exec(said)?.[1];
    }
    (async () => {
      while (!(await reader.read()).done);
    })();
    const socket = new WebSocket(url);
    await new Promise((resolve) => socket.onopen = resolve);
    const page = new Page(child, socket, directory);
    const { targetInfos } = await page.send<{ targetInfos: { targetId: string; type: string }[] }>(
      "Target.getTargets",
    );
    const { targetId } = targetInfos.find(({ type }) => type === "page")!;
    const { sessionId } = await page.send<{ sessionId: string }>("Target.attachToTarget", {
      targetId,
      flatten: true,
    });
    page.#session = sessionId;
    for (const domain of ["Page", "Runtime", "Network", "Log"]) await page.send(`${domain}.enable`);
    return page;
  }

  /** Loads an address and waits until it is there. */
  async load(url: string): Promise<void> {
    this.#loaded = Promise.withResolvers();
    await this.send("Page.navigate", { url });
    await this.#loaded.promise;
  }

  /** The value of an expression in the page. */
  async evaluate<T>(expression: string): Promise<T> {
    const { result, exceptionDetails } = await this.send<
      { result: { value: T }; exceptionDetails?: { text: string } }
    >("Runtime.evaluate", { expression, returnByValue: true });
    if (exceptionDetails !== undefined) throw new Error(`${exceptionDetails.text}: ${expression}`);
    return result.value;
  }

  send<T>(method: string, params: unknown = {}): Promise<T> {
    const id = ++this.#id;
    const waiting = Promise.withResolvers<unknown>();
    this.#waiting.set(id, waiting);
    this.socket.send(JSON.stringify({ id, method, params, sessionId: this.#session }));
    return waiting.promise as Promise<T>;
  }

  #take(message: Message): void {
    if (message.id === undefined) {
      this.events.push(message);
      if (message.method === "Page.loadEventFired") this.#loaded.resolve();
      return;
    }
    const waiting = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    if (message.error === undefined) waiting?.resolve(message.result);
    else waiting?.reject(new Error(message.error.message));
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.socket.onclose = resolve);
    this.#session = undefined;
    this.send("Browser.close").catch(() => {});
    await closed;
    await this.child.status;
    await Deno.remove(this.directory, { recursive: true });
  }
}
