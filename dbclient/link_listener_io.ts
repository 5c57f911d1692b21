/** Where proxies connect: a TCP port, with TLS or without. Every connection is given out before it has said anything. */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { createServer, type Server, type Socket } from "node:net";
import { createSecureContext, type SecureContext, TLSSocket } from "node:tls";
import { firstLine } from "../mod.ts";

/** A certificate with its chain, and its private key, in PEM. */
export interface ServerTls {
  readonly cert: string;
  readonly key: string;
}

/** A connection of a proxy, as it is read and written. */
export interface LinkStream {
  readonly remoteAddr: { readonly hostname: string; readonly port: number };
  /** Ends when the TLS handshake is done; there is none without TLS. Rejects when it fails. */
  handshake?(): Promise<void>;
  /** Waits for bytes; null at the end. */
  read(into: Uint8Array): Promise<number | null>;
  /** Ends when the system has taken the bytes, which must not be changed until then. */
  write(bytes: Uint8Array): Promise<number>;
  closeWrite(): Promise<void>;
  close(): void;
}

/** What a {@linkcode LinkListener} needs. */
export interface ListenOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** Whether other processes may listen on the same port, and share its connections (Linux). */
  readonly reusePort: boolean;
  onStream(stream: LinkStream): void;
  /** Of accepting; it goes on. */
  onError(error: unknown): void;
}

/** Listens until it is closed. */
export interface LinkListener {
  readonly port: number;
  /** Takes another certificate for the connections from now on. */
  setTls(tls: ServerTls): void;
  close(): void;
}

/** Connections that the system keeps until they are accepted. */
const BACKLOG = 1024;
/** Pause after an error of accepting, such as too many open files, ms. */
const PAUSE = 500;

/** @throws {Deno.errors.AddrInUse} and other errors of listening */
export function listenTcp(options: ListenOptions): LinkListener {
  const { host: hostname, port, reusePort, onStream, onError } = options;
  const listener = Deno.listen({ hostname, port, reusePort, tcpBacklog: BACKLOG });
  let closed = false;
  const accept = async () => {
    while (!closed) {
      try {
        const stream = await listener.accept();
        stream.setNoDelay(true);
        onStream(stream);
      } catch (error) {
        if (closed) return;
        onError(error);
        await new Promise((resolve) => setTimeout(resolve, PAUSE));
      }
    }
  };
  accept();
  return {
    port: listener.addr.port,
    setTls() {
      throw new TypeError("this port has no TLS");
    },
    close() {
      closed = true;
      listener.close();
    },
  };
}

/**
 * Listens with TLS: by node:tls, since what `Deno.listenTls` accepts cannot be told to send at once (TCP_NODELAY), which
 * makes an answer wait 40 ms for the acknowledgement of the one before it.
 *
 * @throws (rejects) {Deno.errors.AddrInUse} and other errors of listening, or of the certificate
 */
export async function listenTls(options: ListenOptions, tls: ServerTls): Promise<LinkListener> {
  const { host, port, reusePort, onStream, onError } = options;
  let context = secureContext(tls);
  const server = createServer({ noDelay: true }, (socket) => onStream(new TlsStream(socket, context)));
  await new Promise<void>((resolve, reject) => {
    server.once(
      "error",
      (error: Error & { code?: string }) =>
        reject(error.code === "EADDRINUSE" ? new Deno.errors.AddrInUse(error.message) : error),
    );
    server.listen(
      { host, port, backlog: BACKLOG, ...(reusePort ? { reusePort } : {}) } as Parameters<
        Server["listen"]
      >[0],
      resolve,
    );
  });
  server.removeAllListeners("error");
  server.on("error", onError);
  return {
    port: (server.address() as { port: number }).port,
    setTls(changed) {
      context = secureContext(changed);
    },
    close() {
      server.close();
    },
  };
}

/**
 * Looks at a certificate and its key.
 *
 * @returns when the certificate ends to be valid
 * @throws {Error} with one line that says what is wrong, without the key
 */
export function checkTls({ cert, key }: ServerTls): Date {
  const certificate = attempt("the certificate is no PEM certificate", () => new X509Certificate(cert));
  const privateKey = attempt(
    "the private key is no PEM key without a passphrase",
    () => createPrivateKey(key),
  );
  if (!certificate.checkPrivateKey(privateKey)) {
    throw new Error("the private key is not that of the certificate");
  }
  return new Date(certificate.validTo);
}

function attempt<T>(problem: string, read: () => T): T {
  try {
    return read();
  } catch {
    // The library's own words are about its parser, and may hold a part of what it read.
    throw new Error(problem);
  }
}

function secureContext(tls: ServerTls): SecureContext {
  checkTls(tls);
  return createSecureContext({ cert: tls.cert, key: tls.key, minVersion: "TLSv1.2" });
}

/** A TLS connection with the methods of a Deno stream. */
class TlsStream implements LinkStream {
  readonly remoteAddr: { readonly hostname: string; readonly port: number };
  readonly #socket: Socket;
  readonly #tls: TLSSocket;
  readonly #secured = Promise.withResolvers<void>();
  #error: Error | undefined;
  #ended = false;
  #wake: (() => void) | undefined;

  constructor(socket: Socket, secureContext: SecureContext) {
    this.remoteAddr = { hostname: socket.remoteAddress ?? "?", port: socket.remotePort ?? 0 };
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on("error", (error) => this.#end(error));
    this.#tls = new TLSSocket(socket, { isServer: true, secureContext });
    this.#secured.promise.catch(() => {});
    this.#tls.on("secure", () => this.#secured.resolve());
    this.#tls.on("readable", () => this.#wake?.());
    this.#tls.on("end", () => this.#end());
    this.#tls.on("error", (error) => this.#end(error));
    this.#tls.on("close", () => this.#end());
  }

  handshake(): Promise<void> {
    return this.#secured.promise;
  }

  async read(into: Uint8Array): Promise<number | null> {
    for (;;) {
      const most = Math.min(into.length, this.#tls.readableLength);
      const chunk: Uint8Array | null = most === 0 ? null : this.#tls.read(most);
      if (chunk !== null) {
        into.set(chunk);
        return chunk.length;
      }
      if (this.#error !== undefined) throw this.#error;
      if (this.#ended) return null;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        // Asks for more; "readable" tells when there is some, or the end.
        this.#tls.read(0);
      });
      this.#wake = undefined;
    }
  }

  write(bytes: Uint8Array): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#tls.write(bytes, (error) => error ? reject(error) : resolve(bytes.length));
    });
  }

  closeWrite(): Promise<void> {
    return new Promise((resolve) => this.#tls.end(resolve));
  }

  close(): void {
    this.#end();
    this.#tls.destroy();
    this.#socket.destroy();
  }

  #end(error?: Error): void {
    this.#error ??= error;
    this.#ended = true;
    this.#secured.reject(error ?? new Error("the connection was closed before TLS was set up"));
    this.#wake?.();
  }
}

/** One line about why listening failed. */
export function listenProblem(error: unknown, host: string, port: number): string {
  if (error instanceof Deno.errors.AddrInUse) return `${host}:${port} is in use by another program`;
  return `cannot listen on ${host}:${port}: ${firstLine(error)}`;
}
