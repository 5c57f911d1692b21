/** The command `proxy explain FILE`. */
import {
  type Address,
  loadHashBackend,
  now,
  parseHostPort,
  systemRandom,
  type Transport,
  UsageError,
} from "../../mod.ts";
import { readKeys } from "../dbclient_files_io.ts";
import { isIpAddress } from "../destination.ts";
import { Fatal } from "../fatal.ts";
import { PROXY_FLAGS, type ProxyValues } from "../options.ts";
import { newDialogKey } from "../proxy_io.ts";
import { loadRoute } from "../route_io.ts";
import { readSettings } from "../settings.ts";
import { withFiles } from "../setting_files_io.ts";
import { explain } from "./explain.ts";

/** The proxy's flags, and those of the command. */
export const EXPLAIN_FLAGS = {
  source: {
    type: "text",
    value: "[udp:|tcp:|tls:]ADDRESS[:PORT]",
    help: "Where the message came from; without it, the address in its top Via",
  },
  ...PROXY_FLAGS,
} as const;

/** First lines of `proxy explain --help`. */
export const EXPLAIN_USAGE = `usage: deno task proxy explain FILE [flags]

Reads one SIP message from FILE (-: standard input) and says what a proxy with these flags would do with it, and why. Nothing
is sent, and no other program is asked. Takes all flags of the proxy.
Example: deno task proxy explain invite.sip --config proxy.toml --source udp:192.0.2.10:5060`;

/** Longest file that is read, bytes. */
const MAX_FILE = 1_048_576;
/** How long a route may wait for something, ms. */
const PATIENCE_MS = 5000;
const IDLE_MS = 10;
const CR = 0x0d;
const LF = 0x0a;

async function readMessage(path: string): Promise<Uint8Array> {
  try {
    if (path !== "-") {
      const { size } = await Deno.stat(path);
      if (size > MAX_FILE) throw new Fatal(`explain ${path}: ${size} bytes are more than one message`);
      return await Deno.readFile(path);
    }
    const bytes = await new Response(Deno.stdin.readable).bytes();
    if (bytes.length > MAX_FILE) {
      throw new Fatal(`explain -: ${bytes.length} bytes are more than one message`);
    }
    return bytes;
  } catch (error) {
    if (error instanceof Fatal) throw error;
    const reason = error instanceof Deno.errors.NotFound
      ? "no such file"
      : (error as Error).message.split("\n")[0];
    throw new Fatal(`explain ${path}: ${reason}`);
  }
}

/** A file that was written with a text editor has LF alone. */
function withCrlf(bytes: Uint8Array): Uint8Array {
  if (bytes.includes(CR)) return bytes;
  const made: number[] = [];
  for (const byte of bytes) {
    if (byte === LF) made.push(CR);
    made.push(byte);
  }
  return Uint8Array.from(made);
}

function readSource(text: string | undefined): Address | undefined {
  if (text === undefined) return undefined;
  const [, transport, rest] = /^(?:(udp|tcp|tls):)?(.*)$/.exec(text)!;
  const address = parseHostPort(rest);
  if (address === undefined || !isIpAddress(address.host)) {
    throw new UsageError(
      `--source: ${JSON.stringify(text)} is not allowed; it takes udp:ADDRESS:PORT, tcp:… or tls:…`,
    );
  }
  if (transport === undefined || transport === "udp") return address;
  return { ...address, transport: transport as Transport, flow: 1 };
}

/**
 * Runs the command.
 *
 * @param positional what stands beside the flags
 * @returns the lines to be printed
 * @throws {UsageError | Fatal} (rejects) with one line
 */
export async function runExplain(
  positional: readonly string[],
  values: ProxyValues & { readonly source?: string },
): Promise<string[]> {
  const [path, more] = positional;
  if (path === undefined) {
    throw new UsageError("explain needs a FILE with one SIP message, or - for standard input");
  }
  if (more !== undefined) {
    throw new UsageError(`unexpected argument ${JSON.stringify(more)}; explain takes one FILE`);
  }
  const source = readSource(values.source);
  // Certificates are for listeners, of which there are none.
  const settings = withFiles(readSettings(values), {
    ...values,
    tls_certificate: undefined,
    tls_private_key: undefined,
    tls_ca_list: undefined,
  });
  const { backend: hashes } = await loadHashBackend(values.hash);
  const keys = readKeys(values);
  const read = await readMessage(path);
  const bytes = withCrlf(read);
  const end = now() + PATIENCE_MS;
  const lines = await explain({
    bytes,
    name: path === "-" ? "stdin" : path,
    source,
    values,
    settings: { ...settings, dialogKey: newDialogKey({ keys, hashes }) },
    hashes,
    random: systemRandom,
    now: now(),
    route: values.route === undefined ? undefined : await loadRoute(values.route),
    isIpAddress,
    idle: async () => {
      await new Promise((resolve) => setTimeout(resolve, IDLE_MS));
      return now() < end;
    },
  });
  if (bytes !== read) lines.splice(1, 0, "The file has LF alone as line end: it was read with CR LF.");
  return lines;
}
