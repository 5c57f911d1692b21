/** The crew with threads under the test's control. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { until } from "../test_process.ts";
import { Location, type Registration } from "../location.ts";
import { Crew, type Thread } from "./crew_io.ts";
import type { FromWorker, ToWorker, WorkerStart } from "./messages.ts";

/** A thread that says what the test wants. */
class FakeThread implements Thread {
  onmessage: ((event: MessageEvent<FromWorker>) => void) | null = null;
  onerror: ((event: ErrorEvent) => void) | null = null;
  readonly told: ToWorker[] = [];
  terminated = false;

  constructor(readonly place: number, readonly cacheThread: number) {}

  postMessage(message: ToWorker): void {
    this.told.push(message);
  }

  terminate(): void {
    this.terminated = true;
  }

  say(message: FromWorker): void {
    this.onmessage?.({ data: message } as MessageEvent<FromWorker>);
  }

  serve(): void {
    this.say({ kind: "serving", descriptors: [], cacheThread: this.cacheThread });
  }

  report(received: number, serial = 0): void {
    this.say({ kind: "report", counts: { received }, state: { dbclients: [], targets: [] }, serial });
  }
}

/** A crew of two, and all that it does. */
class Harness {
  readonly threads: FakeThread[] = [];
  readonly serials: (number | undefined)[] = [];
  readonly logs: string[] = [];
  readonly abandoned: number[] = [];

  readonly location = new Location(0, { maxContacts: 10, maxAors: 10 });

  start(silenceMs?: number): Promise<Crew> {
    return Crew.start({
      workers: 2,
      cache: { abandonFetches: (thread) => void this.abandoned.push(thread) },
      newThread: (place) => {
        this.threads.push(new FakeThread(place, this.threads.length + 1));
        return this.threads.at(-1)!;
      },
      startOf: (_place, serial) => {
        this.serials.push(serial);
        return { kind: "start" } as WorkerStart;
      },
      register: (registration) => this.location.apply(registration, 0),
      log: (event, fields) => void this.logs.push(`${event} ${JSON.stringify(fields)}`),
      silenceMs,
    });
  }

  /** A crew that serves. */
  async serving(silenceMs?: number): Promise<Crew> {
    const starting = this.start(silenceMs);
    for (const thread of this.threads) thread.serve();
    return await starting;
  }

  /** Ends it, as threads that work do. */
  async end(crew: Crew): Promise<void> {
    const closing = crew.close();
    for (const thread of this.threads) {
      if (thread.terminated) continue;
      assertEquals(thread.told.at(-1), { kind: "end" });
      thread.say({ kind: "ended", counts: { received: 100 } });
    }
    await closing;
    assert(this.threads.every(({ terminated }) => terminated));
  }
}

Deno.test("crew: ready when all serve; connected when all are; counts of the end", async () => {
  const harness = new Harness();
  const starting = harness.start();
  let ready = false;
  starting.then(() => ready = true);
  harness.threads[0].serve();
  await Promise.resolve();
  assertEquals([harness.threads.map(({ place }) => place), ready], [[0, 1], false]);
  harness.threads[1].serve();
  const crew = await starting;
  harness.threads[0].say({ kind: "connected" });
  await crew.whenConnected(1); // Not for ever.
  harness.threads[1].say({ kind: "connected" });
  await crew.whenConnected(1e9);
  harness.threads[0].report(5);
  assertEquals(crew.counts({}).received, 5);
  await harness.end(crew);
  assertEquals([crew.counts({}).received, harness.logs], [200, []]);
});

Deno.test("crew: one that cannot begin ends all, with its reason", async () => {
  const harness = new Harness();
  const starting = harness.start();
  harness.threads[0].serve();
  harness.threads[1].say({ kind: "failed", reason: "--route x.ts: no such file" });
  await assertRejects(() => starting, Error, "--route x.ts: no such file");
  assert(harness.threads.every(({ terminated }) => terminated));
  assertEquals(harness.threads.length, 2);
});

Deno.test("crew: one that crashes is replaced, later each time, and tells where the one before had come to", async () => {
  const harness = new Harness();
  const crew = await harness.serving();
  const [first, second] = harness.threads;
  first.report(7, 42);
  first.say({ kind: "crashed", reason: "Error: boom" });
  assert(first.terminated && !second.terminated);
  assertEquals(harness.abandoned, [1]);
  first.report(1000); // What it still says counts no more.
  first.say({ kind: "crashed", reason: "again" });
  await until(() => harness.threads.length === 3, "the replacement");
  const third = harness.threads[2];
  assertEquals([third.place, harness.serials], [0, [undefined, undefined, 42]]);
  third.serve();
  third.report(1, 42);
  assertEquals(crew.counts({}).received, 8);
  third.onerror?.(new ErrorEvent("error", { message: "Uncaught Error: bang\nmore", cancelable: true }));
  await until(() => harness.threads.length === 4, "the second replacement");
  harness.threads[3].say({ kind: "failed", reason: "no such file" });
  await until(() => harness.threads.length === 5, "the third replacement");
  assertEquals(harness.logs, [
    'worker_crashed {"worker":1,"reason":"Error: boom","replaced_in_ms":0}',
    'worker_replaced {"worker":1}',
    'worker_crashed {"worker":1,"reason":"Uncaught Error: bang","replaced_in_ms":100}',
    'worker_crashed {"worker":1,"reason":"no such file","replaced_in_ms":200}',
  ]);
  await harness.end(crew);
  assertEquals(harness.threads.length, 5);
});

Deno.test("crew: one that ended without a word, or hangs, is replaced", async () => {
  const harness = new Harness();
  const crew = await harness.serving(300);
  const alive = setInterval(() => harness.threads.slice(1).forEach((thread) => thread.report(1)), 20);
  await until(() => harness.threads.length === 3, "the replacement");
  assertEquals(harness.logs, [
    'worker_crashed {"worker":1,"reason":"nothing was heard of it for 0.3 s","replaced_in_ms":0}',
  ]);
  assert(harness.threads[0].terminated && !harness.threads[1].terminated);
  clearInterval(alive);
  await harness.end(crew);
});

Deno.test("crew: a crash while it ends is no news, and nobody comes in its place", async () => {
  const harness = new Harness();
  const crew = await harness.serving();
  const closing = crew.close();
  harness.threads[0].say({ kind: "crashed", reason: "Error: too late" });
  harness.threads[1].say({ kind: "ended", counts: {} });
  await closing;
  assertEquals([harness.threads.length, harness.logs], [2, []]);
});

Deno.test("crew: a registration changes the contacts in all workers, before the one that asked is answered", async () => {
  const harness = new Harness();
  const crew = await harness.serving();
  const registration: Registration = {
    aor: "alice@example.com",
    callId: "a",
    cseq: 1,
    contacts: [{ uri: "sip:alice@192.0.2.1", q: 1, params: "", seconds: 60 }],
    path: [],
    received: undefined,
    userAgent: "",
  };
  const [first, second] = harness.threads;
  const told = (thread: FakeThread) => thread.told.splice(0).filter(({ kind }) => kind !== "start");
  first.say({ kind: "register", id: 7, registration });
  const bindings = harness.location.lookup("alice@example.com", 0);
  const change = { kind: "location", change: { aor: "alice@example.com", bindings } } as const;
  assertEquals(bindings.length, 1);
  assertEquals(told(first), [change, { kind: "registered", id: 7, outcome: { bindings } }]);
  assertEquals(told(second), [change]);
  // Nothing changes: nobody else hears of it.
  second.say({ kind: "register", id: 1, registration });
  assertEquals(told(second), [{ kind: "registered", id: 1, outcome: { fault: "old_cseq" } }]);
  second.say({ kind: "register", id: 2, registration: { ...registration, contacts: [] } });
  assertEquals(told(second), [{ kind: "registered", id: 2, outcome: { bindings } }]);
  assertEquals(told(first), []);
  await harness.end(crew);
});
