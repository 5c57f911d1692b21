/**
 * What RFC 3261 §16.3–§16.12, §17 (with RFC 6026), §18, RFC 3581, RFC 4320, RFC 5393, RFC 4475 and RFC 5118 ask of a proxy, item by
 * item, each with the tests that show it.
 */
import { RFC_4475 } from "../../tests/torture/rfc4475_messages.ts";
import { RFC_5118 } from "../../tests/torture/rfc5118_messages.ts";

/** One thing that is asked for. */
export interface ConformanceItem {
  readonly section: string;
  /** In short words. */
  readonly text: string;
  /** How the names of the tests begin. */
  readonly tests: readonly string[];
}

/** The items of one chapter. */
export interface ConformanceChapter {
  readonly title: string;
  readonly items: readonly ConformanceItem[];
}

type Row = readonly [section: string, text: string, ...tests: string[]];

const chapter = (title: string, rows: readonly Row[]): ConformanceChapter => ({
  title,
  items: rows.map(([section, text, ...tests]) => ({ section, text, tests })),
});

/** The number of arrows in the state machines says that none is missing: one test for each machine. */
const MACHINE = ": every state and event is that of the RFC's figure, and no other";

/** All chapters, in the order of the document. */
export const CONFORMANCE: readonly ConformanceChapter[] = [
  chapter("RFC 3261 §16.3: request validation", [
    [
      "16.3.1",
      "What the proxy needs of a message is well-formed, else 400",
      "RFC 3261 16.3.1: what the proxy needs",
    ],
    [
      "16.3.1",
      "Unknown methods and header fields do not matter",
      "RFC 3261 16.3.1: header fields and methods",
    ],
    [
      "16.3.1",
      "An error is answered where there is somebody to answer: not an ACK, not a response",
      "RFC 3261 16.3.1: a message that cannot be used",
    ],
    ["16.3.2", "A scheme that is not understood: 416", "RFC 3261 16.3.2"],
    [
      "16.3.3",
      "Max-Forwards of 0: 483; OPTIONS may be answered here",
      "RFC 3261 16.3.3: Max-Forwards of 0",
      "RFC 3261 16.3.3: with Max-Forwards",
    ],
    [
      "16.3.3",
      "An ACK with Max-Forwards of 0 goes no further, unanswered",
      "RFC 3261 16.3.3: Max-Forwards: an ACK",
    ],
    ["16.3.3", "Without Max-Forwards the check passes", "RFC 3261 16.3.3: a request without"],
    ["16.3.4", "Loops are found: 482", "RFC 3261 16.3.4: a request that was here", "RFC 3261 16.3.4: an ACK"],
    [
      "16.3.5",
      "Proxy-Require with what is not known: 420 with Unsupported; not for ACK and CANCEL",
      "RFC 3261 16.3.5: Proxy-Require",
      "RFC 3261 16.3.5: 420 names",
    ],
    [
      "16.3.6",
      "Credentials are checked: 407, and what is accepted goes on",
      "PC: no_credentials is",
      "PC: ok is forwarded",
    ],
    ["16.3.6", "ACK and CANCEL are never challenged", "RFC 3261 16.3.6", "RFC 3261 22.1: CANCEL"],
    [
      "16.3",
      "The checks have their order: the first fault is what the answer says",
      "RFC 3261 16.3: the first thing",
    ],
  ]),
  chapter("RFC 3261 §16.4: route information preprocessing", [
    [
      "16.4",
      "A Request-URI that this proxy put into Record-Route gives way to the last Route value",
      "RFC 3261 16.4: a Request-URI that the proxy",
      "RFC 3261 16.4: with the target as the only",
      "RFC 3261 16.4: a Request-URI with the tag",
    ],
    ["16.4", "maddr of this proxy goes, with port and transport", "RFC 3261 16.4: maddr"],
    [
      "16.4",
      "The first Route value goes if it means this proxy",
      "RFC 3261 16.4: the proxy's own Route value",
      "RFC 3261 16.4: a Route value with a domain",
      "RFC 3261 16.4: loose routing: our Route",
    ],
  ]),
  chapter("RFC 3261 §16.5: request targets", [
    ["16.5", "A foreign maddr is the only target", "RFC 3261 16.5: a foreign maddr"],
    [
      "16.5",
      "The Request-URI of a domain that is not this proxy's is the only target",
      "RFC 3261 16.5: a Request-URI of another domain",
    ],
    [
      "16.5",
      "For its own domain: targets of a location service",
      "lookup and save: relay goes",
      "registrar: contacts of equal q",
    ],
    ["16.5", "A target is tried once", "RFC 3261 16.5: a target that stands twice"],
    [
      "16.5",
      "No target: 480; a user of another place or none: 404",
      "RFC 3261 16.5: without a target",
      "registrar: To of another domain",
    ],
    ["16.5", "All targets of a request may be tried side by side", "RFC 3261 16.5: targets of equal q"],
    ["16.5", "Contacts of a 3xx may be added to the targets", "RFC 3261 16.7.4"],
  ]),
  chapter("RFC 3261 §16.6: request forwarding", [
    [
      "16.6",
      "Targets in order of q, serially or in parallel",
      "RFC 3261 16.6: groups of lower q",
      "RFC 3261 16.6: a branch that nobody",
    ],
    [
      "16.6.1",
      "All header fields of the request go on, in their order, and the body as it is",
      "RFC 3261 16.6.1: what is not meant",
      "RFC 3261 16.6: forward: 100 to the caller",
    ],
    ["16.6.2", "The target takes the place of the Request-URI", "RFC 3261 16.6.2"],
    ["16.6.2", "without what may not stand in one (§19.1.1)", "registrar: headers and method of a contact"],
    [
      "16.6.3",
      "Max-Forwards is one less, or 70",
      "RFC 3261 16.6.3: Max-Forwards goes",
      "RFC 3261 16.6.3: Max-Forwards: 0",
    ],
    [
      "16.6.4",
      "Record-Route before those that are there, with lr, not made of the Contact",
      "RFC 3261 16.6.4: Record-Route goes before",
    ],
    [
      "16.6.4",
      "Record-Route leads to a listener of the transport",
      "RFC 3261 16.6.4: Record-Route towards a stream",
    ],
    [
      "16.6.4",
      "A request that is for a sips URI gets a sips Record-Route",
      "RFC 3261 16.6.4: a request to a sips",
    ],
    ["16.6.4", "Two values where transports differ (RFC 5658 §4)", "RFC 5658 4", "transports: whole calls"],
    ["16.6.5", "Header fields may be added", "headers: lines are added"],
    ["16.6.6", "A strict router gets its URI as the Request-URI", "RFC 3261 16.6.6"],
    [
      "16.6.6",
      "A next hop that the proxy chooses, without a change of Route",
      "RFC 3261 16.6.7: a target goes where",
      "RFC 3327 5.4",
    ],
    [
      "16.6.7",
      "The next hop: the next Route value, else the Request-URI",
      "RFC 3261 16.6.7: the next Route value",
      "RFC 3261 16.4: loose routing: with our Route alone",
      "RFC 3261 16.6.7: loose routing",
    ],
    [
      "16.6.7",
      "What cannot be followed is refused",
      "RFC 3261 16.6.7: a Route that cannot",
      "RFC 3261 16.6.7: Request-URI: sips",
    ],
    [
      "16.6.7",
      "Addresses by RFC 3263, one after the other",
      "RFC 3263 4.3",
      "RFC 3263 §4.1: NAPTR",
      "RFC 3263 §4.1: without NAPTR",
      "RFC 3263 §4.1: a numeric host",
      "RFC 2782",
      "DNS: from a SIP domain",
      "transports: next hops by SRV",
    ],
    [
      "16.6.8",
      "Via with this proxy's address, before those that are there",
      "RFC 3261 16.6.8: the Via names",
    ],
    [
      "16.6.8",
      "A branch with the magic cookie, unique for each branch",
      "RFC 3261 16.6.8: branches are unique",
      "forward: branches differ",
    ],
    ["16.6.9", "Content-Length over a stream", "RFC 3261 16.6.9"],
    ["16.6.10", "Sent by a client transaction", "RFC 3261 16.6.10"],
    ["16.6.11", "Timer C for each INVITE that goes on", "RFC 3261 16.6.11"],
  ]),
  chapter("RFC 3261 §16.7: response processing", [
    ["16.7.1", "A response of no transaction is dropped (RFC 6026 §7.3)", "RFC 6026 7.3"],
    ["16.7.2", "A provisional response but 100 starts Timer C again", "RFC 3261 16.6.11: Timer C"],
    [
      "16.7.3",
      "The top Via goes; a response without another one stays here",
      "RFC 3261 16.7.3: forward",
      "RFC 3261 16.7.3: a response without",
    ],
    ["16.7.4", "Contacts of a 3xx become targets, if the route asks for it", "RFC 3261 16.7.4"],
    [
      "16.7.5",
      "Provisional responses go back at once, 100 does not",
      "RFC 3261 16.7.5: provisional",
      "RFC 3261 16.7.5: forward: a 100",
    ],
    [
      "16.7.5",
      "A 2xx goes back at once, and every further one",
      "RFC 3261 16.7.5: a 2xx goes",
      "RFC 3261 16.7.5: every 2xx",
    ],
    ["16.7.5", "A 6xx waits, and ends all other branches", "RFC 3261 16.7.5: a 6xx"],
    ["16.7.5", "A 2xx after a 6xx goes back too", "RFC 3261 16.7.5: a 2xx after"],
    [
      "16.7.5",
      "One final response alone, but for 2xx",
      "RFC 3261 16.7: whatever branches",
      "RFC 3261 16.7: other requests fork",
    ],
    [
      "16.7.6",
      "No final response at all: 408",
      "RFC 3261 16.7.6: an INVITE that nobody",
      "RFC 3261 16.8: an INVITE that nobody",
    ],
    ["16.7.6", "6xx first, else the lowest class", "RFC 3261 16.7.6: of the final"],
    ["16.7.6", "Of 4xx, those that help: 401, 407, 415, 420, 484", "RFC 3261 16.7.6: within 4xx"],
    ["16.7.6", "503 goes back as 500", "RFC 3261 16.7.6: nothing but 503", "RFC 3261 16.7.6: a 503"],
    ["16.7.6", "The To tag of a response is not changed", "RFC 3261 16.7.6: the To tag"],
    [
      "16.7.7",
      "401 and 407 carry the challenges of all branches",
      "RFC 3261 16.7.7: a 401",
      "RFC 3261 16.7.7: PC challenges",
    ],
    [
      "16.7.8",
      "Record-Route values stay (rewriting is a choice; RFC 5658 took its place)",
      "RFC 3261 16.7.8",
    ],
    [
      "16.7.9",
      "What goes back has all header fields of the response, and its body",
      "RFC 3261 16.7.9: a response goes back",
    ],
    ["16.7.9", "Content-Length over a stream", "RFC 3261 16.7.9: over a stream"],
    [
      "16.7.10",
      "With a final response the other branches are cancelled, those that have answered provisionally",
      "RFC 3261 16.7.5: a 2xx goes",
      "RFC 3261 16.7.5: a branch that has not",
    ],
  ]),
  chapter("RFC 3261 §16.8–§16.10: Timer C, transport errors, CANCEL", [
    [
      "16.8",
      "Timer C: a branch that rings is cancelled",
      "RFC 3261 16.8: Timer C runs",
      "RFC 3261 16.6.11: Timer C",
    ],
    ["16.8", "Timer C: a branch that is gone counts as 408", "RFC 3261 16.8: Timer C: when"],
    [
      "16.9",
      "A request that cannot be sent counts as 503",
      "RFC 3261 16.9: a branch",
      "RFC 3261 16.9: a request",
    ],
    ["16.9", "A response that cannot be sent is dropped", "RFC 6026 7.1: server: a transport error"],
    [
      "16.10",
      "CANCEL: answered here, all branches with a provisional response are cancelled",
      "RFC 3261 16.10: a CANCEL goes",
      "RFC 3261 16.10: CANCEL after",
      "RFC 3261 16.10: a CANCEL is answered",
    ],
    [
      "16.10",
      "CANCEL that crosses a 200",
      "RFC 3261 16.10: a CANCEL that crosses",
      "RFC 3261 16.10: CANCEL crossing",
    ],
    [
      "16.10",
      "CANCEL without a context is sent on statelessly",
      "RFC 3261 16.10: a CANCEL of an INVITE that is not known",
    ],
    [
      "16.10",
      "CANCEL while the target is being looked up",
      "RFC 3261 16.10: a CANCEL while a target",
      "RFC 3261 16.10: a CANCEL while the name",
    ],
  ]),
  chapter("RFC 3261 §16.11: stateless proxy", [
    ["16.11", "No 100, no retransmission, no state", "RFC 3261 16.11: a stateless forward"],
    ["16.11", "The same checks as a stateful one", "RFC 3261 16.11: a loop", "RFC 3261 16.11: what is wrong"],
    ["16.11", "The same target for each copy of a request", "RFC 3261 16.11: a request that is sent again"],
    [
      "16.11",
      "A branch that is a function of the request, the same for its copies, CANCEL and ACK",
      "RFC 3261 16.11: a request that is sent again",
    ],
    ["16.11", "Different branches for different requests", "RFC 3261 16.11: different"],
    ["16.11", "CANCEL like any other request", "RFC 3261 16.11: a request that is sent again"],
    [
      "16.11",
      "Responses go back by Via, if the first one is this proxy's",
      "RFC 3261 16.11: a response goes",
      "RFC 3261 16.11: a response that nothing",
    ],
  ]),
  chapter("RFC 3261 §16.12: routes", [
    ["16.12.1.1", "Loose routers", "RFC 3261 16.12.1.1"],
    ["16.12.1.2", "A strict router between them", "RFC 3261 16.12.1.2"],
    ["16.12.1.3", "Record-Route that a response brings back rewritten is not relied upon", "RFC 3261 16.7.8"],
  ]),
  chapter("RFC 3261 §17.1: client transactions, with RFC 6026", [
    ["17.1.1", "All states and events of figure 5, with Accepted", `INVITE client${MACHINE}`],
    ["17.1.1.2", "Timers A and B over UDP", "RFC 3261 17.1.1.2: INVITE client: Timer A"],
    [
      "17.1.1.2",
      "Over a stream nothing is repeated, Timer B runs",
      "RFC 3261 17.1.1.2: INVITE client: over a reliable",
    ],
    [
      "17.1.1.2",
      "A provisional response stops the repetition",
      "RFC 3261 17.1.1.2: INVITE client: a provisional",
    ],
    [
      "17.1.1.2",
      "300–699: ACK, Completed, Timer D; repeats are acknowledged, not told",
      "RFC 3261 17.1.1.2: INVITE client: each final",
    ],
    ["17.1.1.2", "Timer D is 0 over a stream", "RFC 3261 17.1.1.2: INVITE client: Timer D"],
    [
      "17.1.1.3",
      "The ACK: Request-URI, Call-ID, From, Via, Route of the request, To of the response",
      "ack and cancel: RFC 3261",
      "RFC 3261 17.1.1.3",
    ],
    ["17.1.2", "All states and events of figure 6", `non-INVITE client${MACHINE}`],
    ["17.1.2.2", "Timer E doubles to T2; Timer F", "RFC 3261 17.1.2.2: non-INVITE client: Timer E"],
    ["17.1.2.2", "In Proceeding every T2", "RFC 3261 17.1.2.2: non-INVITE client: in Proceeding"],
    [
      "17.1.2.2",
      "Repeats of the final response are absorbed until Timer K",
      "RFC 3261 17.1.2.2: non-INVITE client: the final",
    ],
    ["17.1.3", "Responses are matched by branch and CSeq method", "RFC 3261 17.1.3"],
    ["17.1.4", "A transport error is told, and ends it", "RFC 3261 17.1.4"],
    [
      "9.1",
      "CANCEL: the same branch, a transaction of its own, after a provisional response",
      "RFC 3261 9.1: client: CANCEL has",
      "RFC 3261 9.1: client: CANCEL waits",
    ],
    ["6026 7.2", "Accepted: every 2xx is told until Timer M", "RFC 6026 7.2"],
  ]),
  chapter("RFC 3261 §17.2: server transactions, with RFC 6026", [
    ["17.2.1", "All states and events of figure 7, with Accepted", `INVITE server${MACHINE}`],
    ["17.2.1", "100 within 200 ms unless something else goes out", "RFC 3261 17.2.1: INVITE server: 100"],
    [
      "17.2.1",
      "A repeated INVITE gets the last response again",
      "RFC 3261 17.2.1: INVITE server: a repeated",
    ],
    ["17.2.1", "Timer G doubles up to T2, Timer H", "RFC 3261 17.2.1: INVITE server: Timer G"],
    ["17.2.1", "ACK: Confirmed, Timer I", "RFC 3261 17.2.1: INVITE server: the ACK"],
    [
      "6026 7.1",
      "Accepted: INVITEs are absorbed, further 2xx and ACKs pass, Timer L",
      "RFC 6026 7.1: INVITE server",
      "RFC 6026 7.1: a 2xx",
    ],
    ["6026 7.1", "A transport error is told; the transaction stays", "RFC 6026 7.1: server: a transport"],
    ["6026 7.3", "Responses of no transaction are dropped; so are late 2xx", "RFC 6026 7.3"],
    ["17.2.2", "All states and events of figure 8", `non-INVITE server${MACHINE}`],
    ["17.2.2", "Repeats are absorbed or answered again, until Timer J", "RFC 3261 17.2.2"],
    ["17.2.3", "Requests are matched by branch, sent-by and method", "RFC 3261 17.2.3: server: matching"],
    ["17.2.3", "Requests of RFC 2543 by their fields", "RFC 3261 17.2.3: server: requests of RFC 2543"],
    ["17.2.4", "A response that cannot be sent is told", "RFC 6026 7.1: server: a transport"],
    ["9.2", "CANCEL finds its INVITE, and is answered by itself", "RFC 3261 9.2: server"],
    ["17", "Loss, doubling and reordering: each request once, one outcome, nothing left", "simulation: "],
  ]),
  chapter("RFC 3261 §18: transport", [
    [
      "18.1.1",
      "A request near the MTU goes by TCP, by UDP where TCP is refused",
      "transports: a long request",
    ],
    ["18.1.1", "A request that is too large for any way: 513", "RFC 3261 18.1.1", "RFC 3261 21.5.7"],
    ["18.1.1", "Via has sent-by and the transport", "RFC 3261 16.6.8: the Via names"],
    ["18.1.1", "A connection to the next hop is used again", "streams: a connection is opened once"],
    [
      "18.1.2",
      "A response is for a transaction of this proxy, else dropped",
      "RFC 3261 18.1.2",
      "RFC 3261 16.11: a response that nothing",
    ],
    [
      "18.2.1",
      "received when sent-by is another address",
      "RFC 3261 18.2.1: received says",
      "RFC 3261 18.2.1: received and rport",
    ],
    [
      "18.2.2",
      "Over a stream: back on the connection, else to sent-by",
      "streams: answers go back",
      "transports: the response to a connection",
    ],
    [
      "18.2.2",
      "Over UDP: to the source address, port of sent-by. maddr is passed over on purpose: it would let a stranger choose who gets the answer",
      "RFC 3261 18.2.2: server",
    ],
    ["18.3", "Datagrams: what follows the body is discarded", "message: what follows the body"],
    [
      "18.3",
      "Datagrams: a body that is too short: 400, a response is discarded",
      "RFC 3261 18.3: a datagram",
    ],
    [
      "18.3",
      "Streams: Content-Length frames; what cannot be read on is answered 400, and the connection closed",
      "streams: messages cut anywhere",
      "streams: what cannot be read on",
      "transports: a stream that cannot",
    ],
    [
      "18.4",
      "Errors of the transport reach the transactions",
      "RFC 3261 17.1.4",
      "streams: who refuses is unreachable",
    ],
  ]),
  chapter("RFC 3581: rport", [
    ["4", "rport gets the source port, with received always", "RFC 3581 4: rport gets"],
    [
      "4",
      "The response goes to the source address and port",
      "RFC 3581 4: responses go",
      "RFC 3581 4: rport gets",
    ],
    ["4", "Without rport: the port of sent-by", "RFC 3581 4: responses go"],
    ["4", "From the address and port that the request came to", "RFC 3581 4: the response leaves"],
    ["3", "Values that the sender wrote are not believed", "RFC 3261 18.2.1: received and rport"],
  ]),
  chapter("RFC 4320: requests other than INVITE", [
    [
      "4.1",
      "No provisional response but 100; none is sent on",
      "RFC 4320 4.1: provisional responses",
      "RFC 4320 4.1: a route that answers",
    ],
    ["4.1", "No 100 over UDP before Timer E would be T2", "RFC 4320 4.1: no 100"],
    ["4.1", "100 when Timer E is T2 and nothing has gone out", "RFC 4320 4.1: another request that nobody"],
    [
      "4.2",
      "No 408",
      "RFC 4320 4.1: branches of another",
      "RFC 4320 4.1: another request that nobody",
      "RFC 4320 4.1: provisional responses",
    ],
    [
      "4.2",
      "No response without a server transaction that lives: late ones are dropped",
      "RFC 4320 4.2: a late response",
    ],
    ["4.2", "A transaction without an answer ends silently", "RFC 4320 4.2: non-INVITE server"],
  ]),
  chapter("RFC 5393: loops and breadth", [
    ["4.1", "A request is not in a loop before it forks", "RFC 3261 16.3.4: a request that was here"],
    [
      "4.2.1",
      "The branch has a hash of all that routing looks at",
      "RFC 5393 4.2.1: other fields",
      "RFC 5393 4.2: a request that the route",
    ],
    ["4.2.1", "A Via that others wrote under this address is none of this proxy's", "RFC 5393 4.2.1: a Via"],
    [
      "4.2.2",
      "Equal hash: a loop, 482; another one: a spiral, which passes",
      "RFC 5393 4.2.2: a request that comes back",
      "RFC 5393 4.2.2: two proxies",
    ],
    ["5.3.3", "Max-Breadth of 60 where there is none", "RFC 5393 5.3.3: a request without"],
    ["5.3.3", "Branches side by side share it", "RFC 5393 5.3.3: branches side by side"],
    [
      "5.3.3.1",
      "It may be used again when a branch has ended",
      "RFC 5393 5.3.3: what Max-Breadth has no room",
    ],
    ["5.3.3", "0: 440", "RFC 5393 5.3.3: Max-Breadth of 0"],
  ]),
  {
    title: "RFC 4475: torture tests",
    items: [
      ...RFC_4475.map(({ section, title, name }) => ({
        section,
        text: `${title} (${name})`,
        tests: [`RFC 4475 ${section}: ${title} (${name})`],
      })),
      {
        section: "3",
        text: "After each the next valid request is still served",
        tests: ["RFC 4475: all messages"],
      },
    ],
  },
  {
    title: "RFC 5118: torture tests for IPv6",
    items: RFC_5118.map(({ section, title, name }) => ({
      section,
      text: `${title} (${name})`,
      tests: [`RFC 5118 ${section}: ${title} (${name})`],
    })),
  },
];
