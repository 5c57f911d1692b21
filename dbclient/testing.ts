/** For tests: a server over a store in memory, and clients of it. */
import {
  DbclientConnection,
  type DbclientConnectionOptions,
  DbclientUnavailable,
  digestHa1,
  DigestHasher,
  encodeFrame,
  type Frame,
  FrameReader,
  type Identity,
  loadHashBackend,
} from "../mod.ts";
import { DbclientServer, type DbclientServerOptions } from "./server_io.ts";
import { StoreError, type Subscriber, type SubscriberStore } from "./subscriber.ts";

export const { backend } = await loadHashBackend();
export const sha256 = backend.get("SHA-256");
export const hasher = new DigestHasher(backend);
export const KEY = new Uint8Array(16).fill(9);
export const user = (i: number): Identity => ({ username: `user${i}`, realm: "example.com" });

/** 100 users in memory; can be told to fail, or to wait. */
export class MemoryStore implements SubscriberStore {
  readonly name = "memory";
  broken = false;
  gate: Promise<void> = Promise.resolve();
  async lookup(users: readonly Identity[]): Promise<(Subscriber | undefined)[]> {
    await this.gate;
    if (this.broken) throw new StoreError("memory: broken");
    return users.map(({ username, realm }) => {
      const number = Number(username.replace("user", ""));
      if (!(number < 100)) return undefined;
      return { username, realm, hash: digestHa1(hasher, "MD5", username, realm, "secret") };
    });
  }
  count(): Promise<number> {
    return Promise.resolve(100);
  }
  close(): Promise<void> {
    return Promise.resolve();
  }
}

export interface Setup {
  readonly server: DbclientServer;
  readonly store: MemoryStore;
  readonly log: string[];
  connect(options?: Partial<DbclientConnectionOptions>): DbclientConnection;
}

export async function withServer(
  run: (setup: Setup) => Promise<void>,
  options: Partial<DbclientServerOptions> = {},
): Promise<void> {
  const store = new MemoryStore();
  const log: string[] = [];
  const server = await DbclientServer.start({
    host: "127.0.0.1",
    port: 0,
    store,
    hashes: backend,
    n: 10,
    ttl: 3600,
    issuerSecret: new Uint8Array(32),
    log: (line) => log.push(line),
    ...options,
  });
  const connections: DbclientConnection[] = [];
  const connect = (change: Partial<DbclientConnectionOptions> = {}) => {
    const connection = new DbclientConnection({
      addresses: [{ host: "127.0.0.1", port: server.port }],
      sha256,
      backoff: { min: 5, max: 20 },
      ...change,
    });
    connections.push(connection);
    return connection;
  };
  try {
    await run({ server, store, log, connect });
  } finally {
    await Promise.all(connections.map((connection) => connection.close()));
    await server.close();
  }
}

/** A bare TCP client: sends bytes, gives the frames that come until the server closes. */
export async function raw(port: number, ...pieces: Uint8Array[]): Promise<Frame[]> {
  const stream = await Deno.connect({ hostname: "127.0.0.1", port });
  const reader = new FrameReader();
  const frames: Frame[] = [];
  const buffer = new Uint8Array(4096);
  try {
    for (const piece of pieces) await stream.write(piece);
    for (let count = await stream.read(buffer); count !== null; count = await stream.read(buffer)) {
      frames.push(...reader.push(buffer.subarray(0, count)).frames);
    }
  } finally {
    stream.close();
  }
  return frames;
}

export const HELLO = encodeFrame({
  type: "HELLO",
  id: 0,
  proxy: "raw",
  random: new Uint8Array(16),
  serial: 0,
});
export const AUTH = encodeFrame({ type: "AUTH", id: 0, proofs: [] });

export async function eventuallySo(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 1));
}

/** Asks until it works: the connection heals by itself in its own time. */
export async function eventually<T>(ask: () => Promise<T>): Promise<T> {
  for (let attempt = 0;; attempt++) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof DbclientUnavailable) || attempt >= 500) throw error;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}
