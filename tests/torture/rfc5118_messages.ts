/** The messages of RFC 5118 (IPv6), by section. */
import type { TortureMessage } from "./rfc4475_messages.ts";

const encoder = new TextEncoder();

function message(section: string, name: string, title: string, head: string, body = ""): TortureMessage {
  const text = `${head.trim()}\n\n`.replaceAll("\n", "\r\n") + body.replaceAll("\n", "\r\n");
  return { section, name, title, bytes: encoder.encode(text) };
}

/** REGISTER for a Request-URI. */
function register(uri: string): string {
  return `
REGISTER ${uri} SIP/2.0
To: sip:user@example.com
From: sip:user@example.com;tag=81x2
Via: SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3-111
Call-ID: SSG9559905523997077@hlau_4100
Max-Forwards: 70
Contact: "Caller" <sip:caller@[2001:db8::1]>
CSeq: 98176 REGISTER
Content-Length: 0`;
}

/** OPTIONS for a user at an address. */
function options(address: string): string {
  return `
OPTIONS sip:user@[${address}] SIP/2.0
To: sip:user@[${address}]
From: sip:user@example.com;tag=810x2
Via: SIP/2.0/UDP lab1.east.example.com;branch=z9hG4bKas3-111
Call-ID: G9559905523997077@hlau_4100
CSeq: 689 OPTIONS
Max-Forwards: 70
Content-Length: 0`;
}

const VIDEO = `m=audio 6000 RTP/AVP 2
a=rtpmap:2 G726-32/8000
m=video 6024 RTP/AVP 107
a=rtpmap:107 H263-1998/90000
`;

/**
 * All of them, in order. Content-Length of §4.6 is that of the body as the RFC prints it; the RFC's own number is larger, which
 * makes the message a case of RFC 4475 §3.1.2.2 when it comes in a datagram.
 */
export const RFC_5118: readonly TortureMessage[] = [
  message("4.1", "ipv6-good", "Valid SIP Message with an IPv6 Reference", register("sip:[2001:db8::10]")),
  message("4.2", "ipv6-bad", "Invalid SIP Message with an IPv6 Reference", register("sip:2001:db8::10")),
  message("4.3", "port-ambiguous", "Port Ambiguous in a SIP URI", register("sip:[2001:db8::10:5070]")),
  message("4.4", "port-unambiguous", "Port Unambiguous in a SIP URI", register("sip:[2001:db8::10]:5070")),
  message(
    "4.5",
    "via-received-param-with-delim",
    "IPv6 Reference Delimiters in Via Header",
    `
BYE sip:[2001:db8::10] SIP/2.0
To: sip:user@example.com;tag=bd76ya
From: sip:user@example.com;tag=81x2
Via: SIP/2.0/UDP [2001:db8::9:1];received=[2001:db8::9:255];branch=z9hG4bKas3-111
Call-ID: SSG9559905523997077@hlau_4100
Max-Forwards: 70
CSeq: 321 BYE
Content-Length: 0`,
  ),
  message(
    "4.5",
    "via-received-param-no-delim",
    "IPv6 Reference Delimiters in Via Header",
    `
OPTIONS sip:[2001:db8::10] SIP/2.0
To: sip:user@example.com
From: sip:user@example.com;tag=81x2
Via: SIP/2.0/UDP [2001:db8::9:1];received=2001:db8::9:255;branch=z9hG4bKas3
Call-ID: SSG95523997077@hlau_4100
Max-Forwards: 70
Contact: "Caller" <sip:caller@[2001:db8::9:1]>
CSeq: 921 OPTIONS
Content-Length: 0`,
  ),
  message(
    "4.6",
    "ipv6-in-sdp",
    "SIP Request with IPv6 Addresses in Session Description Protocol (SDP) Body",
    `
INVITE sip:user@[2001:db8::10] SIP/2.0
To: sip:user@[2001:db8::10]
From: sip:user@example.com;tag=81x2
Via: SIP/2.0/UDP [2001:db8::20];branch=z9hG4bKas3-111
Call-ID: SSG9559905523997077@hlau_4100
Contact: "Caller" <sip:caller@[2001:db8::20]>
CSeq: 8612 INVITE
Max-Forwards: 70
Content-Type: application/sdp
Content-Length: 251`,
    `v=0
o=assistant 971731711378798081 0 IN IP6 2001:db8::20
s=Live video feed for today's meeting
c=IN IP6 2001:db8::20
t=3338481189 3370017201
${VIDEO}`,
  ),
  message(
    "4.7",
    "mult-ip-in-header",
    "Multiple IP Addresses in SIP Headers",
    `
BYE sip:user@host.example.net SIP/2.0
Via: SIP/2.0/UDP [2001:db8::9:1]:6050;branch=z9hG4bKas3-111
Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKjhja8781hjuaij65144
Via: SIP/2.0/TCP [2001:db8::9:255];branch=z9hG4bK451jj;received=192.0.2.200
Call-ID: 997077@lau_4100
Max-Forwards: 70
CSeq: 89187 BYE
To: sip:user@example.net;tag=9817--94
From: sip:user@example.com;tag=81x2
Content-Length: 0`,
  ),
  message(
    "4.8",
    "mult-ip-in-sdp",
    "Multiple IP Addresses in SDP",
    `
INVITE sip:user@[2001:db8::10] SIP/2.0
To: sip:user@[2001:db8::10]
From: sip:user@example.com;tag=81x2
Via: SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3-111
Call-ID: SSG9559905523997077@hlau_4100
Contact: "Caller" <sip:caller@[2001:db8::9:1]>
Max-Forwards: 70
CSeq: 8912 INVITE
Content-Type: application/sdp
Content-Length: 181`,
    `v=0
o=bob 280744730 28977631 IN IP4 host.example.com
s=
t=0 0
m=audio 22334 RTP/AVP 0
c=IN IP4 192.0.2.1
m=video 6024 RTP/AVP 107
c=IN IP6 2001:db8::1
a=rtpmap:107 H263-1998/90000
`,
  ),
  message(
    "4.9",
    "ipv4-mapped-ipv6",
    "IPv4-Mapped IPv6 Addresses",
    `
INVITE sip:user@example.com SIP/2.0
To: sip:user@example.com
From: sip:user@east.example.com;tag=81x2
Via: SIP/2.0/UDP [::ffff:192.0.2.10]:19823;branch=z9hG4bKbh19
Via: SIP/2.0/UDP [::ffff:192.0.2.2];branch=z9hG4bKas3-111
Call-ID: SSG9559905523997077@hlau_4100
Contact: "T. desk phone" <sip:ted@[::ffff:192.0.2.2]>
CSeq: 612 INVITE
Max-Forwards: 70
Content-Type: application/sdp
Content-Length: 236`,
    `v=0
o=assistant 971731711378798081 0 IN IP6 ::ffff:192.0.2.2
s=Call me soon, please!
c=IN IP6 ::ffff:192.0.2.2
t=3338481189 3370017201
${VIDEO}`,
  ),
  message(
    "4.10",
    "ipv6-bug-abnf-3-colons",
    "IPv6 Reference Bug in RFC 3261 ABNF",
    options("2001:db8:::192.0.2.1"),
  ),
  message(
    "4.10",
    "ipv6-correct-abnf-2-colons",
    "IPv6 Reference Bug in RFC 3261 ABNF",
    options("2001:db8::192.0.2.1"),
  ),
];
