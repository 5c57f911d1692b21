/**
 * SIPp's scenarios: the calls that our own generator places, message for message. SIPp 3.6 ends at a challenge that is
 * not Digest, and its built-in called side leaves Record-Route out, so both ends are written here.
 */
import { REALM } from "../../programs_io.ts";

/** Length of the pauses: between 180 and 200, and between ACK and BYE, ms. */
export const PAUSE_MS = 30;

const SDP = `v=0
o=[field0] 53655765 2353687637 IN IP[local_ip_type] [media_ip]
s=-
c=IN IP[media_ip_type] [media_ip]
t=0 0
m=audio [media_port] RTP/AVP 0
a=rtpmap:0 PCMU/8000
`;
const CALLED = "sip:service@[remote_ip]:[remote_port]";
const BODY = `Content-Type: application/sdp\nContent-Length: [len]\n\n${SDP}`;
const NO_BODY = "Content-Length: 0\n\n";

interface Request {
  readonly method: string;
  readonly uri: string;
  readonly cseq: number;
  /** What stands after the To address. */
  readonly to?: string;
  /** The transaction whose branch is used again: an ACK to a failure has its INVITE's. */
  readonly branch?: string;
  readonly more?: string;
}

const request = ({ method, uri, cseq, to = "", branch = "[branch]", more = NO_BODY }: Request) =>
  `${method} ${uri} SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=${branch}
From: [field0] <sip:[field0]@${REALM}>;tag=[pid]a[call_number]
To: service <sip:service@[remote_ip]:[remote_port]>${to}
Call-ID: [call_id]
CSeq: ${cseq} ${method}
Contact: <sip:[field0]@[local_ip]:[local_port];transport=[transport]>
Max-Forwards: 70
Subject: Performance Test
${more}`;

const response = (line: string, tag: string, more: string) =>
  `SIP/2.0 ${line}
[last_Via:]
[last_Record-Route:]
[last_From:]
[last_To:]${tag}
[last_Call-ID:]
[last_CSeq:]
Contact: <sip:[local_ip]:[local_port];transport=[transport]>
${more}`;

const send = (message: string, retransmitted = false) =>
  `  <send${retransmitted ? ' retrans="500"' : ""}>\n<![CDATA[\n${message}]]>\n  </send>\n`;
const receive = (status: number, attributes = "") => `  <recv response="${status}"${attributes}/>\n`;
const receiveRequest = (method: string, attributes = "") => `  <recv request="${method}"${attributes}/>\n`;
const pause = `  <pause milliseconds="${PAUSE_MS}"/>\n`;
const scenario = (name: string, steps: readonly string[]) =>
  `<?xml version="1.0" encoding="UTF-8"?>\n<scenario name="${name}">\n${steps.join("")}</scenario>\n`;

const OPTIONAL = ' optional="true"';
/** The field of the injection file with SIPp's [authentication]. */
const CREDENTIALS = "[field2]\n";

/**
 * A caller's scenario.
 *
 * @param kind without authentication, with a 407 to INVITE, or with one to INVITE and BYE
 */
export function callerScenario(kind: "plain" | "auth" | "auth-bye"): string {
  const authenticated = kind !== "plain";
  const invite = (cseq: number, credentials: string) =>
    send(request({ method: "INVITE", uri: CALLED, cseq, more: credentials + BODY }), true);
  const last = authenticated ? 2 : 1;
  const dialog = (method: string, cseq: number, credentials = "") =>
    request({
      method,
      uri: "[next_url]",
      cseq,
      to: "[peer_tag_param]",
      more: `[routes]\n${credentials}${NO_BODY}`,
    });
  const challenged = [
    invite(1, ""),
    receive(100, OPTIONAL),
    receive(407, ' auth="true"'),
    // SIPp's branch of the message three steps before this one: the INVITE's.
    send(request({ method: "ACK", uri: CALLED, cseq: 1, to: "[peer_tag_param]", branch: "[branch-3]" })),
  ];
  const byeChallenged = [
    send(dialog("BYE", last + 1), true),
    receive(407, ' auth="true"'),
    send(dialog("BYE", last + 2, CREDENTIALS), true),
  ];
  return scenario(`calls, ${kind}`, [
    ...authenticated ? challenged : [],
    invite(last, authenticated ? CREDENTIALS : ""),
    receive(100, OPTIONAL),
    receive(180, OPTIONAL),
    receive(200, ' rrs="true"'),
    send(dialog("ACK", last)),
    pause,
    ...kind === "auth-bye" ? byeChallenged : [send(dialog("BYE", last + 1), true)],
    receive(200),
  ]);
}

/** The called side's scenario. */
export function calledScenario(): string {
  return scenario("is called, with Record-Route", [
    receiveRequest("INVITE"),
    send(response("180 Ringing", ";tag=[pid]b[call_number]", NO_BODY)),
    pause,
    send(
      response("200 OK", ";tag=[pid]b[call_number]", BODY.replaceAll("[field0]", "user1")),
      true,
    ),
    receiveRequest("ACK", OPTIONAL),
    receiveRequest("BYE"),
    send(response("200 OK", "", NO_BODY)),
    '  <timewait milliseconds="1000"/>\n',
  ]);
}
