/** A Galera cluster of three MariaDB servers for one test, on loopback alone; about ten seconds. */
import {
  freePort,
  installMariadb,
  makeTester,
  mariadbMissing,
  type PrivateMariadb,
  runMariadbd,
  serverDirectory,
  unlessCi,
} from "./private_mariadb_io.ts";

/** A running cluster. */
export interface PrivateGalera {
  readonly nodes: readonly PrivateMariadb[];
  /** Ends those that still run. */
  stop(): Promise<void>;
}

const NODES = 3;
/** So that the others answer again within two seconds when one is gone (docs/DATABASES.md). */
const GROUP_TIMES = [
  "evs.keepalive_period=PT0.2S",
  "evs.inactive_check_period=PT0.2S",
  "evs.join_retrans_period=PT0.2S",
  "evs.suspect_timeout=PT0.8S",
  "evs.inactive_timeout=PT1.2S",
  "evs.install_timeout=PT1.2S",
].join(";");
const SYNCED = "SELECT 1 FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'WSREP_LOCAL_STATE' " +
  "AND VARIABLE_VALUE = '4'";

/** Where Debian and others put the provider. */
const PROVIDERS = ["/usr/lib/galera/libgalera_smm.so", "/usr/lib64/galera-4/libgalera_smm.so"];

async function provider(): Promise<string | undefined> {
  for (const path of PROVIDERS) {
    if (await Deno.stat(path).then(() => true, () => false)) return path;
  }
  return undefined;
}

/** Why no cluster can be started here, or undefined. */
export async function galeraMissing(): Promise<string | undefined> {
  return await mariadbMissing() ??
    unlessCi(await provider() === undefined ? "galera-4 is not installed" : undefined);
}

/** @param setup SQL that is run before the cluster forms */
export async function startGalera(setup: string): Promise<PrivateGalera> {
  const root = await serverDirectory("galera_");
  const library = await provider();
  const places = Array.from({ length: NODES }, (_, i) => {
    return { directory: `${root}/${i + 1}`, port: freePort(), group: freePort(), ist: freePort() };
  });
  const members = places.map((place) => `127.0.0.1:${place.group}`).join(",");
  const start = (i: number, isFirst: boolean) => {
    const { group, ist, ...place } = places[i];
    return runMariadbd(place, [
      "--wsrep-on=ON",
      `--wsrep-provider=${library}`,
      "--wsrep-cluster-name=test",
      "--binlog-format=ROW",
      "--innodb-autoinc-lock-mode=2",
      "--innodb-flush-log-at-trx-commit=0",
      "--wsrep-node-address=127.0.0.1",
      "--wsrep-sst-method=rsync",
      `--wsrep-sst-receive-address=127.0.0.1:${freePort()}`,
      `--wsrep-provider-options=base_port=${group};gmcast.listen_addr=tcp://127.0.0.1:${group};` +
      `ist.recv_addr=127.0.0.1:${ist};gcache.size=8M;${GROUP_TIMES}`,
      ...(isFirst
        ? ["--wsrep-cluster-address=gcomm://", "--wsrep-new-cluster"]
        : [`--wsrep-cluster-address=gcomm://${members}`]),
    ], SYNCED);
  };
  const nodes: PrivateMariadb[] = [];
  const stop = async () => {
    await Promise.all(nodes.map((node) => node.stop("SIGKILL")));
    await Deno.remove(root, { recursive: true });
  };
  try {
    const [first, ...others] = places;
    await Deno.rename(await serverDirectory("galera_"), first.directory);
    await installMariadb(first.directory);
    const alone = await start(0, true);
    await makeTester(alone);
    await alone.sql(setup);
    alone.signal("SIGTERM");
    // Its directory is needed yet: the others begin with what it holds, so that no state has to be transferred.
    await alone.ended;
    for (const { directory } of others) {
      const copy = await new Deno.Command("cp", { args: ["-a", first.directory, directory] }).output();
      if (!copy.success) throw new Error(new TextDecoder().decode(copy.stderr));
    }
    nodes.push(await start(0, true));
    nodes.push(...await Promise.all(others.map((_, i) => start(i + 1, false))));
    return { nodes, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
