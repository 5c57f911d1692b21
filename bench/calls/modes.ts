/** What is measured: each way of authentication of our proxy, each of Kamailio's, and the load generators alone. */

/** Who places the calls, or is called. */
export type Agent = "uac" | "sipp";

interface ModeCommon {
  /** What it is called in tables. */
  readonly title: string;
  /** The scenario of the callers. */
  readonly scenario: "plain" | "auth" | "auth-bye";
  /** Whether the first call of each user is another than those that follow: the warm-up then has one of each. */
  readonly learns: boolean;
}
/** Our proxy. */
export interface OwnMode extends ModeCommon {
  readonly peer: "proxychain";
  readonly auth: "pc" | "digest" | "none";
  /** Whether callers send tokens before they are asked. */
  readonly preemptive: boolean;
}
/** Kamailio. */
export interface KamailioMode extends ModeCommon {
  readonly peer: "kamailio";
  /** Names that are defined for its configuration. */
  readonly defines: readonly string[];
  readonly database: boolean;
}
/** No proxy. */
export interface DirectMode extends ModeCommon {
  readonly peer: "direct";
  readonly agent: Agent;
}
/** Any of them. */
export type Mode = OwnMode | KamailioMode | DirectMode;

const own = (
  title: string,
  auth: OwnMode["auth"],
  scenario: ModeCommon["scenario"],
  preemptive = false,
): OwnMode => ({ peer: "proxychain", title, auth, scenario, preemptive, learns: auth === "pc" });
const kamailio = (
  title: string,
  scenario: ModeCommon["scenario"],
  defines: string[],
  learns = false,
): KamailioMode => ({
  peer: "kamailio",
  title: `Kamailio: ${title}`,
  scenario,
  defines,
  database: scenario !== "plain",
  learns,
});
const direct = (title: string, agent: Agent): DirectMode => ({
  peer: "direct",
  title,
  agent,
  scenario: "plain",
  learns: false,
});

/** All modes by name, in the order of tables. */
export const MODES = {
  "pc": own("PC, with the 407 round trip", "pc", "auth"),
  "pc-preemptive": own("PC, pre-emptive", "pc", "auth", true),
  "digest": own("Digest, checked by DBclient", "digest", "auth"),
  "noauth": own("no authentication", "none", "plain"),
  "kamailio-authdb": kamailio("Digest, database per request", "auth", ["MODE_AUTHDB"]),
  "kamailio-authdb-bye": kamailio(
    "the same, BYE too",
    "auth-bye",
    ["MODE_AUTHDB", "WITH_BYE_AUTH"],
  ),
  "kamailio-htable": kamailio("Digest, HA1 cached", "auth", ["MODE_HTABLE"], true),
  "kamailio-htable-bye": kamailio("the same, BYE too", "auth-bye", ["MODE_HTABLE", "WITH_BYE_AUTH"], true),
  "kamailio-noauth": kamailio("no authentication, stateful", "plain", ["MODE_NOAUTH"]),
  "kamailio-forward": kamailio("no authentication, stateless", "plain", ["MODE_FORWARD"]),
  "direct-uac": direct("no proxy: uac at both ends", "uac"),
  "direct-sipp": direct("no proxy: SIPp at both ends", "sipp"),
} as const satisfies Record<string, Mode>;
/** Name of a mode. */
export type ModeName = keyof typeof MODES;
/** All names. */
export const MODE_NAMES = Object.keys(MODES) as ModeName[];

/** A mode by name. */
export const modeOf = (name: ModeName): Mode => MODES[name];

/** Who places the calls of a mode: PC is known to our generator alone. */
export function callerOf(mode: Mode, wanted: Agent): Agent {
  if (mode.peer === "direct") return mode.agent;
  if (mode.peer === "kamailio") return "sipp";
  return mode.auth === "pc" ? "uac" : wanted;
}

/** Who is called. */
export const calledOf = (mode: Mode, wanted: Agent): Agent => mode.peer === "direct" ? mode.agent : wanted;
