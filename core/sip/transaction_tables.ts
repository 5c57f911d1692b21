/**
 * The four state machines of SIP transactions as data, to be read beside figures 5 to 8 of RFC 3261 §17, as amended by
 * RFC 6026 (figures 5 and 7 there: the Accepted state, Timers L and M, transport errors of INVITE server transactions).
 * What a state does not list is ignored in that state. `compileMachine` turns them into the arrays that run.
 */
import type { TimerName } from "./timers.ts";

/** The kinds of transaction, RFC 3261 §17. */
export type MachineName = "INVITE client" | "non-INVITE client" | "INVITE server" | "non-INVITE server";

/** The states; every machine uses some of them. */
export type StateName =
  | "Calling"
  | "Trying"
  | "Proceeding"
  | "Completed"
  | "Confirmed"
  | "Accepted"
  | "Terminated";

/** All states, in the order of their numbers. */
export const STATE_NAMES: readonly StateName[] = [
  "Calling",
  "Trying",
  "Proceeding",
  "Completed",
  "Confirmed",
  "Accepted",
  "Terminated",
];

/** All that can happen. "user" is the transaction user (TU): a proxy core or a user agent core. */
export type EventName =
  | "1xx"
  | "2xx"
  | "300-699"
  | "1xx from user"
  | "2xx from user"
  | "300-699 from user"
  | "request"
  | "ACK"
  | "transport error"
  | `timer ${TimerName}`;

/** All events, in the order of their numbers. */
export const EVENT_NAMES: readonly EventName[] = [
  "1xx",
  "2xx",
  "300-699",
  "1xx from user",
  "2xx from user",
  "300-699 from user",
  "request",
  "ACK",
  "transport error",
  "timer A",
  "timer B",
  "timer D",
  "timer E",
  "timer F",
  "timer G",
  "timer H",
  "timer I",
  "timer J",
  "timer K",
  "timer L",
  "timer M",
  "timer trying",
];

/** All that a machine does. The message of "send response" is the new one if the user gives it, else the last one sent. */
export type ActionName =
  | "send request"
  | "send ACK"
  | "send response"
  | "send 100"
  | "restart timer A"
  | "restart timer E"
  | "restart timer G"
  | "response to user"
  | "ACK to user"
  | "timeout to user"
  | "transport error to user";

/** All actions; the number of one is its place here plus 1, since 0 means none. */
export const ACTION_NAMES: readonly ActionName[] = [
  "send request",
  "send ACK",
  "send response",
  "send 100",
  "restart timer A",
  "restart timer E",
  "restart timer G",
  "response to user",
  "ACK to user",
  "timeout to user",
  "transport error to user",
];

/** What one event does in one state. The actions run in this order, after the state has changed. */
export interface Transition {
  readonly next: StateName | "same";
  readonly actions: readonly ActionName[];
}

/** One state of a machine. */
export interface State {
  /** Timers that start when the state is entered. */
  readonly starts: readonly TimerName[];
  /** Timers of the state before that go on; all others stop. */
  readonly keeps?: readonly TimerName[];
  /**
   * The messages that may be needed again in this state, and are kept for it: the request (sent, or received), and
   * what answers it and is retransmitted (a response, or the ACK).
   */
  readonly holds: readonly ("request" | "answer")[];
  /** Events as the figures name them: "200-699" stands for both classes. */
  readonly on: Partial<Record<EventName | "200-699" | "200-699 from user", Transition>>;
}

/** A state machine. */
export interface Machine {
  readonly name: MachineName;
  readonly source: string;
  /** What creates the transaction, and what is done then. */
  readonly begins: { readonly event: string; readonly actions: readonly string[] };
  readonly initial: StateName;
  readonly states: Partial<Record<StateName, State>>;
}

function to(next: StateName, ...actions: ActionName[]): Transition {
  return { next, actions };
}
function stay(...actions: ActionName[]): Transition {
  return { next: "same", actions };
}

/** INVITE client transaction: RFC 3261 §17.1.1 and figure 5, RFC 6026 §7.2. */
export const INVITE_CLIENT: Machine = {
  name: "INVITE client",
  source: "RFC 3261 figure 5, RFC 6026 §7.2 and figure 5",
  begins: { event: "INVITE from user", actions: ["send request"] },
  initial: "Calling",
  states: {
    Calling: {
      starts: ["A", "B"],
      holds: ["request"],
      on: {
        "timer A": stay("send request", "restart timer A"),
        "timer B": to("Terminated", "timeout to user"),
        "transport error": to("Terminated", "transport error to user"),
        "1xx": to("Proceeding", "response to user"),
        "2xx": to("Accepted", "response to user"),
        "300-699": to("Completed", "send ACK", "response to user"),
      },
    },
    Proceeding: {
      starts: [],
      holds: ["request"],
      on: {
        "1xx": stay("response to user"),
        "2xx": to("Accepted", "response to user"),
        "300-699": to("Completed", "send ACK", "response to user"),
      },
    },
    Completed: {
      starts: ["D"],
      holds: ["answer"],
      on: {
        "300-699": stay("send ACK"),
        "transport error": to("Terminated", "transport error to user"),
        "timer D": to("Terminated"),
      },
    },
    Accepted: {
      starts: ["M"],
      holds: [],
      on: {
        "2xx": stay("response to user"),
        "timer M": to("Terminated"),
      },
    },
  },
};

/** Non-INVITE client transaction: RFC 3261 §17.1.2 and figure 6. */
export const NON_INVITE_CLIENT: Machine = {
  name: "non-INVITE client",
  source: "RFC 3261 figure 6",
  begins: { event: "request from user", actions: ["send request"] },
  initial: "Trying",
  states: {
    Trying: {
      starts: ["E", "F"],
      holds: ["request"],
      on: {
        "timer E": stay("send request", "restart timer E"),
        "timer F": to("Terminated", "timeout to user"),
        "transport error": to("Terminated", "transport error to user"),
        "1xx": to("Proceeding", "response to user"),
        "200-699": to("Completed", "response to user"),
      },
    },
    Proceeding: {
      starts: [],
      keeps: ["E", "F"],
      holds: ["request"],
      on: {
        "timer E": stay("send request", "restart timer E"),
        "timer F": to("Terminated", "timeout to user"),
        "transport error": to("Terminated", "transport error to user"),
        "1xx": stay("response to user"),
        "200-699": to("Completed", "response to user"),
      },
    },
    Completed: {
      starts: ["K"],
      holds: [],
      on: { "timer K": to("Terminated") },
    },
  },
};

/**
 * INVITE server transaction: RFC 3261 §17.2.1 and figure 7, RFC 6026 §7.1: a transport error no longer ends it. That
 * Timer H tells the user is the text of §17.2.1; RFC 6026's figure leaves it out.
 */
export const INVITE_SERVER: Machine = {
  name: "INVITE server",
  source: "RFC 3261 §17.2.1, RFC 6026 §7.1 and figure 7",
  begins: { event: "INVITE", actions: ["INVITE to user"] },
  initial: "Proceeding",
  states: {
    Proceeding: {
      starts: ["trying"],
      holds: ["request", "answer"],
      on: {
        request: stay("send response"),
        "timer trying": stay("send 100"),
        "1xx from user": stay("send response"),
        "2xx from user": to("Accepted", "send response"),
        "300-699 from user": to("Completed", "send response"),
        "transport error": stay("transport error to user"),
      },
    },
    Completed: {
      starts: ["G", "H"],
      holds: ["answer"],
      on: {
        request: stay("send response"),
        "timer G": stay("send response", "restart timer G"),
        "timer H": to("Terminated", "timeout to user"),
        ACK: to("Confirmed"),
        "transport error": stay("transport error to user"),
      },
    },
    Confirmed: {
      starts: ["I"],
      holds: [],
      on: { "timer I": to("Terminated") },
    },
    Accepted: {
      starts: ["L"],
      holds: [],
      on: {
        "2xx from user": stay("send response"),
        ACK: stay("ACK to user"),
        "transport error": stay("transport error to user"),
        "timer L": to("Terminated"),
      },
    },
  },
};

/** Non-INVITE server transaction: RFC 3261 §17.2.2 and figure 8. */
export const NON_INVITE_SERVER: Machine = {
  name: "non-INVITE server",
  source: "RFC 3261 figure 8",
  begins: { event: "request", actions: ["request to user"] },
  initial: "Trying",
  states: {
    Trying: {
      starts: [],
      holds: ["request"],
      on: {
        "1xx from user": to("Proceeding", "send response"),
        "200-699 from user": to("Completed", "send response"),
      },
    },
    Proceeding: {
      starts: [],
      holds: ["request", "answer"],
      on: {
        request: stay("send response"),
        "1xx from user": stay("send response"),
        "200-699 from user": to("Completed", "send response"),
        "transport error": to("Terminated", "transport error to user"),
      },
    },
    Completed: {
      starts: ["J"],
      holds: ["answer"],
      on: {
        request: stay("send response"),
        "transport error": to("Terminated", "transport error to user"),
        "timer J": to("Terminated"),
      },
    },
  },
};

/** All machines; a compiled one has the same place in `COMPILED_MACHINES`. */
export const MACHINES: readonly Machine[] = [
  INVITE_CLIENT,
  NON_INVITE_CLIENT,
  INVITE_SERVER,
  NON_INVITE_SERVER,
];
