/** How good a node of a cluster is for reading, from what it says of itself; without I/O. docs/DATABASES.md. */

import type { NodeRank } from "./subscriber.ts";

/**
 * Best first. A read-only node is good for reading, but a node that lost its group makes itself read-only, and a replica
 * lags behind: so one that takes writes is asked before it.
 */
export const NODE_RANKS: readonly NodeRank[] = ["good", "read_only", "not_synced", "suspect", "down"];

/** What a node says of itself: SHOW GLOBAL STATUS and SHOW GLOBAL VARIABLES, by lower-case name. */
export type NodeStatus = ReadonlyMap<string, string>;

/** States of a Galera node: 4 is Synced (Galera documentation, wsrep_local_state). */
const SYNCED = "4";

/** A node that answers. */
export function nodeHealth(status: NodeStatus): { readonly rank: NodeRank; readonly why: string } {
  // Empty on a MariaDB without Galera, absent on MySQL.
  if ((status.get("wsrep_provider_name") ?? "") !== "") {
    const part = status.get("wsrep_cluster_status");
    if (part !== "Primary") {
      return { rank: "down", why: `it is in no primary component (wsrep_cluster_status ${part})` };
    }
    if (status.get("wsrep_ready") !== "ON") return { rank: "down", why: "wsrep_ready is OFF" };
    if (status.get("wsrep_local_state") !== SYNCED) {
      return { rank: "not_synced", why: `it is not synced (${status.get("wsrep_local_state_comment")})` };
    }
  }
  const readOnly = ["read_only", "super_read_only"].some((name) =>
    !["off", "0", "no_lock", undefined].includes(status.get(name)?.toLowerCase())
  );
  return readOnly ? { rank: "read_only", why: "it is read-only" } : { rank: "good", why: "" };
}
