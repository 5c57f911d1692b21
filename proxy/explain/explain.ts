/**
 * `proxy explain`: what the proxy would do with one message, and why. It is the proxy itself that takes the message, with
 * surroundings that tell what it does instead of doing it; nothing is decided here.
 */
import {
  type Address,
  deriveCredential,
  formatTransportAddress,
  type HashBackend,
  HeaderId,
  type Problem,
  type Random,
  SipMessage,
  toHex,
} from "../../mod.ts";
import type { VerifyService } from "../digest_authenticator.ts";
import type { IssueService } from "../issue_service.ts";
import type { ProxyValues } from "../options.ts";
import { newRoute, Proxy } from "../proxy.ts";
import type { ProxyEnvironment } from "../proxy_environment.ts";
import { CHECKS, type Refusal } from "../request_check.ts";
import type { RouteFunction } from "../route.ts";
import type { Settings } from "../settings.ts";
import { faultPosition } from "./fault_position.ts";
import { changedLines, shownLines, shownText } from "./shown_text.ts";
import { tracedRoute } from "./traced_route.ts";

/** What is to be explained, and for which proxy. */
export interface ExplainOptions {
  /** One message as it would come in. */
  readonly bytes: Uint8Array;
  /** What it is called in positions: a file name. */
  readonly name: string;
  /** Where it came from; undefined: the sent-by of its top Via, if that is an IP address. */
  readonly source: Address | undefined;
  readonly values: ProxyValues;
  readonly settings: Settings;
  readonly hashes: HashBackend;
  readonly random: Random;
  readonly now: number;
  /** Undefined for the default route. */
  readonly route: RouteFunction | undefined;
  /** Whether an address is that of a host, not a name. */
  readonly isIpAddress: (host: string) => boolean;
  /** Lets time pass for a route that waits for something; false when it has waited long enough. */
  readonly idle: () => Promise<boolean>;
}

/** Stands for a sender or a next hop whose address is not known (RFC 5737). */
const SOMEBODY: Address = { host: "192.0.2.1", port: 5060 };
/** Addresses that stand for names that are not looked up (RFC 2544). */
const NAMED = "198.18.0.";
/** Room for the transactions of one message. */
const TRANSACTIONS = 64;

/** One explanation. */
class Explanation {
  readonly lines: string[] = [];
  readonly #options: ExplainOptions;
  readonly #message = new SipMessage();
  readonly #names = new Map<string, string>();
  #problem: Problem | undefined;
  #refusal: Refusal | undefined;
  readonly #decisions: string[] = [];
  readonly #sent: { readonly bytes: Uint8Array; readonly to: Address }[] = [];
  readonly #refused: string[] = [];
  #waits = false;

  constructor(options: ExplainOptions) {
    this.#options = options;
    const { bytes } = options;
    this.#message.parse(bytes, 0, bytes.length);
  }

  async run(): Promise<void> {
    const { bytes, values, settings, hashes, now, route, idle } = this.#options;
    const source = this.#source();
    // Nothing is kept, so that an explanation beside a running proxy costs little.
    const small: ProxyValues = { ...values, max_users: TRANSACTIONS, max_transactions: TRANSACTIONS };
    const traced = tracedRoute(
      route ?? newRoute(values, settings),
      (line) => this.#decisions.push(shownText(line)),
      () => this.#waits = false,
    );
    const asked: RouteFunction = (request, actions) => {
      this.#waits = true;
      return traced(request, actions);
    };
    const proxy = new Proxy(small, settings, hashes, this.#environment(), this.#dbclient(), asked);
    proxy.receive(bytes, 0, bytes.length, source, now);
    do proxy.flush(now); while (this.#waits && await idle());
    this.#tell(source, proxy.statistics());
  }

  #source(): Address {
    const { source, isIpAddress } = this.#options;
    if (source !== undefined) return source;
    const via = this.#message.topVia();
    if (via === undefined || !isIpAddress(via.host)) return SOMEBODY;
    const { transport } = via;
    const { host, port } = via;
    if (transport === "TCP") return { host, port, transport: "tcp", flow: 1 };
    return transport === "TLS" ? { host, port, transport: "tls", flow: 1 } : { host, port };
  }

  #environment(): ProxyEnvironment {
    const { random, now } = this.#options;
    return {
      random,
      now,
      trace: {
        malformed: (problem) => this.#problem = problem,
        refused: (refusal) => this.#refusal = refusal,
      },
      send: (buffer, start, end, to) => {
        this.#sent.push({ bytes: buffer.slice(start, end), to });
        return true;
      },
      locate: ({ host, port, transport }, done) => {
        const address = `${NAMED}${this.#names.size + 1}`;
        this.#names.set(address, host);
        this.#decisions.push(`${shownText(host)} is looked up (RFC 3263)`);
        done([{ host: address, port: port || 5060, ...transport === undefined ? {} : { transport } }], now);
      },
      log: (event, fields) => {
        if (event === "refused") {
          const { reason, ...rest } = fields;
          const also = Object.entries(rest).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
          this.#refused.push(shownText([reason, ...also].join(" ")));
        } else if (event === "route_failed") {
          this.#decisions.push(shownText(`the route fails: ${fields.error}`));
        }
      },
    };
  }

  /** A DBclient that has a credential for everybody, of which nobody has the password. Digest answers do not get to it: their nonces are not known. */
  #dbclient(): IssueService & VerifyService {
    const { hashes, random, now } = this.#options;
    return {
      connected: true,
      issue: (algorithm, users, done) => {
        for (const { username, realm } of users) {
          this.#decisions.push(
            shownText(
              `DBclient is asked for a credential of ${username}@${realm}; the challenge below is made up`,
            ),
          );
        }
        const outcomes = users.map((user) => {
          const secret = toHex(random.bytes(16));
          const credential = deriveCredential(hashes.get(algorithm), secret, user, random.bytes(16), 10);
          return { status: "ok", credential, ttl: 3600, serial: 0 } as const;
        });
        done(outcomes, now);
      },
      verify: (_, done) => done(undefined, now),
    };
  }

  #tell(source: Address, statistics: Record<string, number>): void {
    const { bytes, name } = this.#options;
    const message = this.#message;
    this.lines.push(`${name}: ${bytes.length} bytes from ${formatTransportAddress(source)}`);
    this.#section("Message", this.#parts());
    this.#section(
      "Validation",
      statistics.received === 0
        ? ["so few bytes are taken for a keep-alive (RFC 5626 §3.5.1), and nothing comes of it"]
        : this.#validation(),
    );
    if (this.#decisions.length > 0) this.#section("Route", this.#decisions);
    if (!message.isRequest && this.#problem === undefined && statistics.strays > 0) {
      this.#section("Response", ["belongs to no request that this proxy has forwarded: it is dropped"]);
    }
    if (this.#refused.length > 0) this.#section("Log: refused", this.#refused);
    if (this.#sent.length === 0) this.#section("Sent", ["nothing"]);
    for (const { bytes, to } of this.#sent) this.#tellSent(bytes, to);
  }

  #section(title: string, lines: readonly string[]): void {
    this.lines.push("", title, ...lines.map((line) => `  ${line}`));
  }

  #parts(): string[] {
    const message = this.#message;
    const [first = "", ...headers] = shownLines(this.#options.bytes.subarray(message.start, message.bodyEnd));
    const parts = [`start line: ${first}`];
    const via = message.topVia();
    if (via !== undefined) {
      parts.push(
        `top Via: ${via.transport} ${via.host}:${via.port}, responses go ${
          message.isRequest ? "back to the source (received, rport)" : "by the Via below"
        }`,
      );
    }
    const texts: [string, string | undefined][] = [
      ["From", message.value(HeaderId.FROM)],
      ["To", message.value(HeaderId.TO)],
      ["Call-ID", message.value(HeaderId.CALL_ID)],
      ["CSeq", message.value(HeaderId.CSEQ)],
      ["Max-Forwards", message.value(HeaderId.MAX_FORWARDS)],
      ["Route", message.value(HeaderId.ROUTE)],
    ];
    for (const [title, value] of texts) if (value !== undefined) parts.push(`${title}: ${shownText(value)}`);
    parts.push(...headers.filter((line) => /^(proxy-)?authorization:/i.test(line)));
    parts.push(
      `${message.headerCount} header lines, ${
        Math.max(0, message.bodyEnd - message.bodyStart)
      } bytes of body`,
    );
    return parts;
  }

  #validation(): string[] {
    const { name } = this.#options;
    const message = this.#message;
    const problem = this.#problem;
    if (problem !== undefined) {
      const { status, text } = problem;
      const consequence = status === 0 ? "dropped" : `answered with ${status}`;
      return [`${name}:${faultPosition(message, problem, 0)}: ${shownText(text)} (${consequence})`];
    }
    const done = ["ok: syntax of the fields that every receiver reads (§16.3 step 1)"];
    if (!message.isRequest) return done;
    for (const [check, title] of Object.entries(CHECKS)) {
      if (this.#refusal?.check === check) {
        const { status, reason } = this.#refusal;
        return [...done, `${status}: ${title}${reason === undefined ? "" : `: ${shownText(reason)}`}`];
      }
      done.push(`ok: ${title}`);
    }
    return done;
  }

  #tellSent(sent: Uint8Array, to: Address): void {
    const { bytes } = this.#options;
    const message = this.#message;
    const name = this.#names.get(to.host);
    const shown = name === undefined
      ? formatTransportAddress(to)
      : `${to.transport ?? "udp"}:${shownText(name)}`;
    const response = sent[0] === 0x53 && sent[1] === 0x49 && sent[2] === 0x50 && sent[3] === 0x2f;
    if (response && message.isRequest) {
      return this.#section(`Answered to ${shown}: ${sent.length} bytes`, shownLines(sent));
    }
    const before = bytes.subarray(message.start, message.bodyEnd);
    this.#section(
      `Forwarded to ${shown}: ${before.length} bytes became ${sent.length}; what has changed:`,
      changedLines(before, sent),
    );
  }
}

/**
 * Explains a message.
 *
 * @returns lines of text without secrets or control characters
 */
export async function explain(options: ExplainOptions): Promise<string[]> {
  const explanation = new Explanation(options);
  await explanation.run();
  return explanation.lines;
}
