/** Messages that tests and benchmarks share. */
import { encodeText } from "./ascii.ts";

/** Lines as a message: CR LF after each, the empty line, the body. */
export function lines(head: readonly string[], body = ""): Uint8Array<ArrayBuffer> {
  return encodeText(head.join("\r\n") + "\r\n\r\n" + body);
}

const SDP = [
  "v=0",
  "o=user1 53655765 2353687637 IN IP4 192.0.2.10",
  "s=-",
  "c=IN IP4 192.0.2.10",
  "t=0 0",
  "m=audio 6000 RTP/AVP 0 8",
  "a=rtpmap:0 PCMU/8000",
  "a=rtpmap:8 PCMA/8000",
  "",
].join("\r\n");

/** An INVITE of about 900 bytes with credentials and SDP, as a load generator sends it. */
export const INVITE: Uint8Array<ArrayBuffer> = lines([
  "INVITE sip:service@example.com:5060 SIP/2.0",
  "Via: SIP/2.0/UDP 192.0.2.10:5061;rport;branch=z9hG4bK-18351-1-4",
  'From: "User 42" <sip:user42@example.com:5061>;tag=18351SIPpTag001',
  "To: service <sip:service@example.com:5060>",
  "Call-ID: 1-18351@192.0.2.10",
  "CSeq: 2 INVITE",
  "Contact: <sip:user42@192.0.2.10:5061>",
  'Proxy-Authorization: PC username="user42", realm="example.com", algorithm=SHA-1, ' +
  'nonce="00112233445566778899aabbccddeeff", opaque="0123456789abcdef", seq=9, ' +
  'token="a9993e364706816aba3e25717850c26c9cd0d89d", uri="sip:service@example.com:5060", ' +
  'response="84983e441c3bd26ebaae4aa1f95129e5e54670f1"',
  "Max-Forwards: 70",
  "Subject: Performance Test",
  "Content-Type: application/sdp",
  `Content-Length: ${SDP.length}`,
], SDP);

/** A response that went through two proxies. */
export const RESPONSE: Uint8Array<ArrayBuffer> = lines([
  "SIP/2.0 200 OK",
  "Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKproxy1, SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKproxy2",
  "Via: SIP/2.0/UDP 192.0.2.10:5061;rport=5061;received=192.0.2.10;branch=z9hG4bK-18351-1-4",
  'From: "User 42" <sip:user42@example.com:5061>;tag=18351SIPpTag001',
  "To: service <sip:service@example.com:5060>;tag=99",
  "Call-ID: 1-18351@192.0.2.10",
  "CSeq: 2 INVITE",
  "Record-Route: <sip:192.0.2.1;lr>",
  "Contact: <sip:192.0.2.20:5060>",
  "Content-Length: 0",
]);

/** One message with what RFC 3261 lets a receiver find, and what is to come of it. */
export interface TortureCase {
  readonly name: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The problem's code and field; undefined when the message is good. */
  readonly problem?: readonly [code: string, field: string];
}

function torture(
  name: string,
  head: readonly string[],
  problem?: readonly [code: string, field: string],
  body = "",
): TortureCase {
  return { name, bytes: lines(head, body), problem };
}

const VIA = "Via: SIP/2.0/UDP host5.example.com;branch=z9hG4bKkdju43";
const REST = ["From: <sip:a@example.com>;tag=341", "To: <sip:b@example.net>", "Call-ID: x.1@192.0.2.1"];
const usual = (method: string) => [VIA, ...REST, `CSeq: 8 ${method}`, "Max-Forwards: 70"];

/** Messages after RFC 4475, most with its names. */
export const TORTURE: readonly TortureCase[] = [
  torture(
    "wsinv",
    [
      "INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0",
      "TO :",
      " sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n",
      'from   : "J Rosenberg \\\\\\""       <sip:jdrosen@example.com>',
      "  ;",
      "  tag = 98asjd8",
      "MaX-fOrWaRdS: 0068",
      "Call-ID: wsinv.ndaksdj@192.0.2.1",
      "Content-Length   : 2",
      "cseq: 0009",
      "  INVITE",
      "Via  : SIP  /   2.0",
      " /UDP",
      "    192.0.2.2;branch=390skdjuw",
      "s :",
      "NewFangledHeader:   newfangled value",
      " continued newfangled value",
      "UnknownHeaderWithUnusualValue: ;;,,;;,;",
      "Content-Type: application/sdp",
      "Route:",
      " <sip:services.example.com;lr;unknownwith=value;unknown-no-value>",
      "v:  SIP  / 2.0  / TCP     spindle.example.com   ;",
      "  branch  =   z9hG4bK9ikj8  ,",
      " SIP  /    2.0   / UDP  192.168.255.111   ; branch=",
      " z9hG4bK30239",
      'm:"Quoted string \\"\\"" <sip:jdrosen@example.com> ; newparam =',
      "      newvalue ;",
      "  secondparam ; q = 0.33",
    ],
    undefined,
    "hi",
  ),
  torture("intmeth", [
    "!interesting-Method0123456789_*+`.%indeed'~ sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com SIP/2.0",
    "Via: SIP/2.0/TCP host1.example.com;branch=z9hG4bK-.!%66*_+`'~",
    'To: "BEL:\\\x07 NUL:\\\x00 DEL:\\\x7f" <sip:1_unusual.URI~(to-be!sure)&isn\'t+it$/crazy?,/;;*@example.com>',
    "From: token1~` token2'+_ token3*%!.- <sip:mundane@example.com>;fromParam''~+*_!.-%=\"\u0440\u0430\u0431\";tag=_token~1'+`*%!-.",
    "Call-ID: intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{",
    "CSeq: 139122385 !interesting-Method0123456789_*+`.%indeed'~",
    "Max-Forwards: 255",
  ]),
  torture("escnull", ["REGISTER sip:example.com SIP/2.0", ...usual("REGISTER"), "L:0"]),
  torture("lwsdisp", [
    "OPTIONS sip:user@example.com SIP/2.0",
    VIA,
    "From: caller<sip:caller@example.com>;tag=323",
    "To: sip:user@example.com",
    "Call-ID: lwsdisp.1234abcd@funky.example.com",
    "CSeq: 60 OPTIONS",
  ]),
  torture(
    "dblreq",
    ["REGISTER sip:example.com SIP/2.0", ...usual("REGISTER"), "Content-Length: 0"],
    undefined,
    "INVITE sip:joe@example.com SIP/2.0\r\n",
  ),
  torture("semiuri", ["OPTIONS sip:user;par=u%40example.net@example.com SIP/2.0", ...usual("OPTIONS")]),
  torture("transports", [
    "OPTIONS sip:user@example.com SIP/2.0",
    "Via: SIP/2.0/UNKNOWN t5.example.com;branch=z9hG4bK0",
    "Via: SIP/2.0/SCTP t2.example.com;branch=z9hG4bK1",
    ...REST,
    "CSeq: 1 OPTIONS",
  ]),
  torture("unreason", [
    "SIP/2.0 200 = 2**3 * 5**2 \u043d\u043e \u0441\u0442\u043e",
    ...usual("INVITE"),
  ]),
  torture("noreason", ["SIP/2.0 100 ", ...usual("INVITE")]),
  torture("noreason without the space", ["SIP/2.0 100", ...usual("INVITE")]),
  torture("lower case version", ["OPTIONS sip:a@b sip/2.0", ...usual("OPTIONS")]),
  torture("inv2543", [
    "INVITE sip:UserB@example.com SIP/2.0",
    "Via: SIP/2.0/UDP iftgw.example.com",
    "From: <sip:+13035551111@ift.client.example.net;user=phone>",
    "Record-Route: <sip:UserB@example.com;maddr=ss1.example.com>",
    "To: sip:+16505552222@ss1.example.net;user=phone",
    "Call-ID: inv2543.1717@ift.client.example.com",
    "CSeq: 56 INVITE",
  ]),
  torture("unkscm", ["OPTIONS nobodyKnowsThisScheme:totallyopaquecontent SIP/2.0", ...usual("OPTIONS")]),
  torture("zeromf", ["OPTIONS sip:a@b SIP/2.0", VIA, ...REST, "CSeq: 1 OPTIONS", "Max-Forwards: 0"]),
  torture("UTF-8", [
    "OPTIONS sip:a@b SIP/2.0",
    ...usual("OPTIONS"),
    "Subject: \u043f\u0440\u0438\u0432\u0435\u0442",
  ]),

  torture("badinv01", ["INVITE sip:user@example.com SIP/2.0", "Via: SIP/2.0/UDP 192.0.2.15;;,;,,", ...REST], [
    "bad_request",
    "Via",
  ]),
  torture("no Via", ["INVITE sip:user@example.com SIP/2.0", ...REST, "CSeq: 1 INVITE"], ["drop", "Via"]),
  torture(
    "clerr",
    ["INVITE sip:u@example.com SIP/2.0", ...usual("INVITE"), "Content-Length: 9999"],
    ["bad_request", "Content-Length"],
    "v=0",
  ),
  torture("clerr response", ["SIP/2.0 200 OK", ...usual("INVITE"), "Content-Length: 9999"], [
    "drop",
    "Content-Length",
  ]),
  torture("ncl", ["INVITE sip:u@example.com SIP/2.0", ...usual("INVITE"), "Content-Length: -999"], [
    "bad_request",
    "Content-Length",
  ]),
  torture("mcl01", ["OPTIONS sip:u@b SIP/2.0", ...usual("OPTIONS"), "l: 0", "Content-Length: 0"], [
    "bad_request",
    "Content-Length",
  ]),
  torture("scalar02", [
    "REGISTER sip:example.com SIP/2.0",
    VIA,
    ...REST,
    "CSeq: 36893488147419103232 REGISTER",
  ], [
    "bad_request",
    "CSeq",
  ]),
  torture("scalar02 Max-Forwards", [
    "REGISTER sip:a SIP/2.0",
    VIA,
    ...REST,
    "CSeq: 1 REGISTER",
    "Max-Forwards: 300",
  ], ["bad_request", "Max-Forwards"]),
  torture("scalarlg", [
    "SIP/2.0 503 Service Unavailable",
    VIA,
    ...REST,
    "CSeq: 9292394834772304023312 OPTIONS",
  ], [
    "drop",
    "CSeq",
  ]),
  torture("CSeq 2^31", ["OPTIONS sip:a@b SIP/2.0", VIA, ...REST, "CSeq: 2147483648 OPTIONS"], [
    "bad_request",
    "CSeq",
  ]),
  torture("quotbal", [
    "INVITE sip:user@example.com SIP/2.0",
    VIA,
    'To: "Mr. J. User <sip:j.user@example.com>',
    "From: sip:caller@example.net;tag=93334",
    "Call-ID: quotbal.aksdj",
    "CSeq: 8 INVITE",
  ], ["bad_request", "To"]),
  torture("ltgtruri", ["INVITE <sip:user@example.com> SIP/2.0", ...usual("INVITE")], [
    "bad_request",
    "Request-URI",
  ]),
  torture("lwsruri", ["INVITE sip:user@example.com; lr SIP/2.0", ...usual("INVITE")], [
    "bad_request",
    "Request-URI",
  ]),
  torture("lwsstart", ["INVITE  sip:user@example.com  SIP/2.0", ...usual("INVITE")], [
    "bad_request",
    "Request-URI",
  ]),
  torture("trws", ["OPTIONS sip:a@example.com SIP/2.0  ", ...usual("OPTIONS")], [
    "bad_request",
    "Request-Line",
  ]),
  torture("badaspec", [
    "OPTIONS sip:user@example.org SIP/2.0",
    VIA,
    'From: "Bell, Alexander" <sip:a.g.bell@example.com>;tag=433423',
    'To: "Watson, Thomas" < sip:t.watson@example.org >',
    "Call-ID: badaspec.sdf0234n2nds0a099u23h3hnnw009cdkne3",
    "CSeq: 3923239 OPTIONS",
  ], ["bad_request", "To"]),
  torture("baddn", [
    "OPTIONS sip:t.watson@example.org SIP/2.0",
    VIA,
    "From: Bell, Alexander <sip:a.g.bell@example.com>;tag=43",
    "To: <sip:t.watson@example.org>",
    "Call-ID: baddn.31415@c.example.com",
    "CSeq: 3923239 OPTIONS",
  ], ["bad_request", "From"]),
  torture("badvers", ["OPTIONS sip:t.watson@example.org SIP/7.0", ...usual("OPTIONS")], [
    "version",
    "SIP-Version",
  ]),
  torture("mismatch01", ["OPTIONS sip:user@example.com SIP/2.0", ...usual("INVITE")], [
    "bad_request",
    "CSeq",
  ]),
  torture("mismatch02", ["NEWMETHOD sip:user@example.com SIP/2.0", ...usual("INVITE")], [
    "bad_request",
    "CSeq",
  ]),
  torture("bigcode", ["SIP/2.0 4294967301 better not break the receiver", ...usual("INVITE")], [
    "drop",
    "start line",
  ]),
  torture("insuf", ["INVITE sip:user@example.com SIP/2.0", "CSeq: 193942 INVITE", VIA], [
    "bad_request",
    "Call-ID",
  ]),
  torture("multi01", ["INVITE sip:u@b SIP/2.0", ...usual("INVITE"), "CSeq: 59 INVITE"], [
    "bad_request",
    "CSeq",
  ]),
  torture("bad ACK", ["ACK sip:u@b SIP/2.0", VIA, ...REST, "CSeq: 59 INVITE"], ["drop", "CSeq"]),
  torture("no colon", ["OPTIONS sip:u@b SIP/2.0", ...usual("OPTIONS"), "no colon here"], [
    "bad_request",
    "header line",
  ]),
  torture("fold before the first header", ["OPTIONS sip:u@b SIP/2.0", " folded", ...usual("OPTIONS")], [
    "bad_request",
    "header line",
  ]),
  torture("method is no token", ["OPT@IONS sip:u@b SIP/2.0", ...usual("OPTIONS")], ["bad_request", "method"]),
  torture("HTTP", ["GET / HTTP/1.1", "Host: a"], ["drop", "start line"]),
];
