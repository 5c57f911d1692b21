/** The built-in scenarios (`-sn`). */
import { T1 } from "../mod.ts";
import type { Scenario } from "./scenario.ts";

const SDP = `
      v=0
      o=[user] 53655765 2353687637 IN IP[local_ip_type] [media_ip]
      s=-
      c=IN IP[media_ip_type] [media_ip]
      t=0 0
      m=audio [media_port] RTP/AVP 0
      a=rtpmap:0 PCMU/8000
`;

/** The headers of the caller's requests, in SIPp's order. */
const request = (method: string, uri: string, to: string, cseqMethod = method, extra = "") => `
      ${method} ${uri} SIP/2.0
      Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
      From: [user] <sip:[user]@[domain]>;tag=[local_tag]
      To: [service] <sip:[service]@[remote_ip]:[remote_port]>${to}
      Call-ID: [call_id]
      CSeq: [cseq] ${cseqMethod}
      Contact: <sip:[user]@[local_ip]:[local_port];transport=[transport]>
      Max-Forwards: 70
      Subject: Performance Test${extra}`;

const CALLED = "sip:[service]@[remote_ip]:[remote_port]";

/** Calls: INVITE, ACK, pause, BYE; answers the challenges of a proxy or server to both requests. */
export const UAC: Scenario = {
  name: "uac",
  role: "client",
  steps: [
    { kind: "label", id: "invite" },
    {
      kind: "send",
      retrans: T1,
      message: request(
        "INVITE",
        CALLED,
        "",
        "INVITE",
        `
      [authentication]
      Content-Type: application/sdp
      Content-Length: [len]
      ${SDP}`,
      ),
    },
    { kind: "recv", response: 100, optional: true },
    { kind: "recv", response: 180, optional: true },
    { kind: "recv", response: 183, optional: true },
    { kind: "recv", response: 407, optional: true, auth: true, next: "challenged" },
    { kind: "recv", response: 401, optional: true, auth: true, next: "challenged" },
    { kind: "recv", response: 200, rrs: true, rtd: true },
    {
      kind: "send",
      message: request(
        "ACK",
        "[next_url]",
        "[peer_tag_param]",
        "ACK",
        `
      [routes]
      Content-Length: 0`,
      ),
    },
    { kind: "pause" },
    { kind: "label", id: "bye" },
    {
      kind: "send",
      retrans: T1,
      message: request(
        "BYE",
        "[next_url]",
        "[peer_tag_param]",
        "BYE",
        `
      [routes]
      [authentication]
      Content-Length: 0`,
      ),
    },
    { kind: "recv", response: 100, optional: true },
    { kind: "recv", response: 407, optional: true, auth: true, next: "bye" },
    { kind: "recv", response: 401, optional: true, auth: true, next: "bye" },
    { kind: "recv", response: 200, next: "end" },
    { kind: "label", id: "challenged" },
    {
      kind: "send",
      message: request(
        "ACK",
        CALLED,
        "[peer_tag_param]",
        "ACK",
        `
      Content-Length: 0`,
      ),
      next: "invite",
    },
    { kind: "label", id: "end" },
  ],
};

/** The headers that a response takes from its request. */
const response = (line: string, to: string, extra: string) => `
      SIP/2.0 ${line}
      [last_Via:]
      [last_From:]
      [last_To:]${to}
      [last_Call-ID:]
      [last_CSeq:]${extra}`;

const CONTACT = `
      Contact: <sip:[local_ip]:[local_port];transport=[transport]>`;

/** Is called: 180, 200 until ACK, then 200 to BYE. */
export const UAS: Scenario = {
  name: "uas",
  role: "server",
  steps: [
    { kind: "recv", request: "INVITE" },
    {
      kind: "send",
      message: response(
        "180 Ringing",
        ";tag=[local_tag]",
        `
      [last_Record-Route:]${CONTACT}
      Content-Length: 0`,
      ),
    },
    { kind: "pause" },
    {
      kind: "send",
      retrans: T1,
      message: response(
        "200 OK",
        ";tag=[local_tag]",
        `
      [last_Record-Route:]${CONTACT}
      Content-Type: application/sdp
      Content-Length: [len]
      ${SDP.replaceAll("[user]", "user1")}`,
      ),
    },
    { kind: "recv", request: "ACK", optional: true },
    { kind: "recv", request: "BYE" },
    {
      kind: "send",
      message: response(
        "200 OK",
        "",
        `${CONTACT}
      Content-Length: 0`,
      ),
    },
  ],
};

/** All built-in scenarios by name. */
export const SCENARIOS: Readonly<Record<string, Scenario>> = { uac: UAC, uas: UAS };
