/** Which of the other programs are installed, and in which versions. */

/** Where servers are that are not on everybody's path. */
const MORE_PATHS = ["/usr/sbin", "/usr/local/sbin", "/sbin"];

/** A program that is there. */
export interface Installed {
  readonly path: string;
  readonly version: string;
}
/** What may be measured against, and with. */
export type PeerName = "kamailio" | "sipp" | "mariadbd" | "mariadb-install-db" | "mariadb";
/** Those that are there. */
export type Peers = Readonly<Partial<Record<PeerName, Installed>>>;

const VERSION_FLAGS: Readonly<Record<PeerName, string | undefined>> = {
  kamailio: "-v",
  sipp: "-v",
  mariadbd: "--version",
  mariadb: "--version",
  "mariadb-install-db": undefined,
};
const VERSION = /\bv?(\d+\.\d+(?:\.\d+)?\S*)/;

async function capture(command: string, args: readonly string[]): Promise<string> {
  const { stdout, stderr } = await new Deno.Command(command, { args: [...args], stdin: "null" }).output();
  const decoder = new TextDecoder();
  return decoder.decode(stdout) + decoder.decode(stderr);
}

async function find(name: PeerName): Promise<Installed | undefined> {
  const script = `PATH="$PATH:${MORE_PATHS.join(":")}"; command -v ${name}`;
  const path = (await capture("sh", ["-c", script])).trim();
  if (path === "") return undefined;
  const flag = VERSION_FLAGS[name];
  const version = flag === undefined ? "" : VERSION.exec(await capture(path, [flag]))?.[1] ?? "unknown";
  return { path, version: version.replace(/\.$/, "") };
}

/** Looks for all of them. */
export async function findPeers(): Promise<Peers> {
  if (Deno.build.os === "windows") return {};
  const names = Object.keys(VERSION_FLAGS) as PeerName[];
  return Object.fromEntries(await Promise.all(names.map(async (name) => [name, await find(name)])));
}
