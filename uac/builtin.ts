/** The built-in scenarios (`-sn`, `-sd`), in SIPp's XML. */

const SDP = `
      v=0
      o=[user] 53655765 2353687637 IN IP[local_ip_type] [media_ip]
      s=-
      c=IN IP[media_ip_type] [media_ip]
      t=0 0
      m=audio [media_port] RTP/AVP 0
      a=rtpmap:0 PCMU/8000
`;
const CALLED = "sip:[service]@[remote_ip]:[remote_port]";
const BODY = `Content-Type: application/sdp
      Content-Length: [len]
${SDP}`;
const NO_BODY = "Content-Length: 0\n";

interface Request {
  readonly method: string;
  readonly uri?: string;
  /** Behind the address in To. */
  readonly to?: string;
  readonly cseq?: string;
  readonly branch?: string;
  readonly more: string;
}

const message = (text: string) => `
    <![CDATA[

      ${text}
    ]]>`;

const request = ({ method, uri = CALLED, to = "", cseq = "[cseq]", branch = "[branch]", more }: Request) =>
  message(`${method} ${uri} SIP/2.0
      Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=${branch}
      From: [user] <sip:[user]@[domain]>;tag=[local_tag]
      To: [service] <sip:[service]@[remote_ip]:[remote_port]>${to}
      Call-ID: [call_id]
      CSeq: ${cseq} ${method}
      Contact: <sip:[user]@[local_ip]:[local_port];transport=[transport]>
      Max-Forwards: 70
      Subject: Performance Test
      ${more}`);

const inDialog = (method: string, more: string, cseq?: string) =>
  request({ method, uri: "[next_url]", to: "[peer_tag_param]", cseq, more: `[routes]\n      ${more}` });

const response = (line: string, tag: string, more: string) =>
  message(`SIP/2.0 ${line}
      [last_Via:]
      [last_From:]
      [last_To:]${tag}
      [last_Call-ID:]
      [last_CSeq:]
      [last_Record-Route:]
      Contact: <sip:[local_ip]:[local_port];transport=[transport]>
      ${more}`);

const send = (text: string, attributes = "") => `  <send${attributes}>${text}\n  </send>\n`;
const RETRANS = ' retrans="500"';
const OPTIONAL = ' optional="true"';
const receive = (status: number, attributes = "") => `  <recv response="${status}"${attributes}/>\n`;
const scenario = (name: string, steps: readonly string[]) =>
  `<?xml version="1.0" encoding="UTF-8"?>
<scenario name="${name}">
${steps.join("")}
  <ResponseTimeRepartition value="10, 20, 30, 40, 50, 100, 150, 200"/>
  <CallLengthRepartition value="10, 50, 100, 500, 1000, 5000, 10000"/>
</scenario>
`;
const provisional = [100, 180, 183].map((status) => receive(status, OPTIONAL));

/** Calls: INVITE, ACK, pause, BYE; answers the challenges of a proxy or server to both requests. */
const UAC = scenario("Caller", [
  '  <label id="invite"/>\n',
  send(request({ method: "INVITE", more: `[authentication]\n      ${BODY}` }), RETRANS),
  ...provisional,
  receive(407, `${OPTIONAL} auth="true" next="challenged"`),
  receive(401, `${OPTIONAL} auth="true" next="challenged"`),
  receive(200, ' rrs="true" rtd="true"'),
  send(inDialog("ACK", NO_BODY)),
  "  <!-- As long as -d says -->\n  <pause/>\n",
  '  <label id="bye"/>\n',
  send(inDialog("BYE", `[authentication]\n      ${NO_BODY}`), RETRANS),
  receive(100, OPTIONAL),
  receive(407, `${OPTIONAL} auth="true" next="bye"`),
  receive(401, `${OPTIONAL} auth="true" next="bye"`),
  receive(200, ' crlf="true" next="end"'),
  '  <label id="challenged"/>\n',
  "  <!-- An ACK to a failure has the branch of its INVITE by itself -->\n",
  send(request({ method: "ACK", to: "[peer_tag_param]", more: NO_BODY }), ' next="invite"'),
  '  <label id="end"/>\n',
]);

/** Is called: 180, 200 until ACK, then 200 to BYE. */
const UAS = scenario("Called side", [
  '  <recv request="INVITE" crlf="true"/>\n',
  send(response("180 Ringing", ";tag=[local_tag]", NO_BODY)),
  "  <!-- As long as -d says -->\n  <pause/>\n",
  send(response("200 OK", ";tag=[local_tag]", BODY.replaceAll("[user]", "user1")), RETRANS),
  '  <recv request="ACK" optional="true" rtd="true" crlf="true"/>\n',
  '  <recv request="BYE"/>\n',
  send(response("200 OK", "", NO_BODY)),
]);

/** A caller that takes values out of the answer and sends them back in ACK. */
const REGEXP = scenario("Caller with regular expressions", [
  send(request({ method: "INVITE", more: BODY }), RETRANS),
  ...provisional,
  `  <recv response="200" rrs="true" rtd="true">
    <action>
      <ereg regexp="[0-9]{1,3}(\\.[0-9]{1,3}){3}:[0-9]{1,5}" search_in="msg" check_it="true" assign_to="address,junk"/>
      <ereg regexp=".*" search_in="hdr" header="Contact:" check_it="true" assign_to="contact"/>
      <ereg regexp="o=([[:alnum:]]*) ([[:alnum:]]*) ([[:alnum:]]*)" search_in="body" check_it="true"
            assign_to="origin,name,session,version"/>
    </action>
  </recv>
  <Reference variables="junk"/>
`,
  send(inDialog(
    "ACK",
    `X-Address: [$address]
      X-Contact: [$contact]
      X-Origin: [$origin]; [$name]; [$session]; [$version]
      ${NO_BODY}`,
  )),
  '  <pause milliseconds="1000"/>\n',
  send(inDialog("BYE", NO_BODY), RETRANS),
  receive(200, ' crlf="true"'),
]);

/** Registers, then calls; 403 and every 25th call skip the pause. */
const BRANCHC = scenario("Branching caller", [
  send(request({ method: "REGISTER", uri: "sip:[domain]", more: `Expires: 300\n      ${NO_BODY}` }), RETRANS),
  receive(200, ' rtd="true"'),
  send(
    request({ method: "INVITE", more: BODY }).replace(
      "From: [user] <sip:[user]",
      "From: ua[call_number] <sip:ua2",
    ),
    RETRANS,
  ),
  ...provisional,
  receive(403, `${OPTIONAL} next="bye"`),
  `  <recv response="200" rrs="true">
    <action>
      <ereg regexp="ua25" search_in="hdr" header="From:" assign_to="short"/>
    </action>
  </recv>
`,
  send(inDialog("ACK", NO_BODY), ' next="bye" test="short"'),
  '  <pause milliseconds="5000"/>\n',
  '  <label id="bye"/>\n',
  send(
    request({ method: "BYE", to: "[peer_tag_param]", more: `[routes]\n      ${NO_BODY}` }),
    RETRANS,
  ),
  receive(200, ' crlf="true"'),
  '  <pause milliseconds="4000"/>\n',
]);

/** Takes a registration and then a call: 200 for those whose From holds ua2, 403 for others. */
const BRANCHS = scenario("Branching called side", [
  '  <recv request="REGISTER"/>\n',
  send(response("200 OK", ";tag=[local_tag]", `Expires: 300\n      ${NO_BODY}`)),
  `  <recv request="INVITE" crlf="true">
    <action>
      <ereg regexp="ua2" search_in="hdr" header="From:" assign_to="known"/>
    </action>
  </recv>
`,
  send(response("180 Ringing", ";tag=[local_tag]", NO_BODY), ' next="answer" test="known"'),
  send(response("403 Forbidden", ";tag=[local_tag]", NO_BODY), ' next="bye"'),
  '  <label id="answer"/>\n',
  send(response("100 Trying", "", NO_BODY)),
  send(response("200 OK", ";tag=[local_tag]", BODY.replaceAll("[user]", "user1")), RETRANS),
  '  <recv request="ACK" optional="true" rtd="true" crlf="true"/>\n',
  '  <label id="bye"/>\n',
  '  <recv request="BYE"/>\n',
  send(response("200 OK", "", NO_BODY)),
  '  <timewait milliseconds="4000"/>\n',
]);

/** 200 to every request that belongs to no call. */
const OOC_DEFAULT = scenario("Out-of-call", [
  '  <recv request=".*" regexp_match="true"/>\n',
  send(response("200 OK", ";tag=[local_tag]", NO_BODY)),
  '  <timewait milliseconds="4000"/>\n',
]);

/** The experiment of Dacosta and Traynor: a caller that is challenged, for INVITE alone or for BYE too. */
const authenticated = (name: string, bye: boolean) =>
  scenario(name, [
    send(request({ method: "INVITE", more: BODY }), RETRANS + ' start_rtd="1"'),
    receive(100, OPTIONAL),
    receive(407, ' auth="true"'),
    send(request({ method: "ACK", to: "[peer_tag_param]", branch: "[branch-3]", more: NO_BODY })),
    send(request({ method: "INVITE", more: `[authentication]\n      ${BODY}` }), RETRANS),
    ...provisional,
    receive(200, ' rrs="true" rtd="1"'),
    send(inDialog("ACK", NO_BODY)),
    "  <pause/>\n",
    ...bye
      ? [
        send(inDialog("BYE", NO_BODY), RETRANS),
        receive(100, OPTIONAL),
        receive(407, ' auth="true"'),
      ]
      : [],
    send(inDialog("BYE", bye ? `[authentication]\n      ${NO_BODY}` : NO_BODY), RETRANS),
    receive(100, OPTIONAL),
    receive(200, ' crlf="true"'),
  ]);

/** All built-in scenarios by name. */
export const BUILTIN: Readonly<Record<string, string>> = {
  uac: UAC,
  uas: UAS,
  regexp: REGEXP,
  branchc: BRANCHC,
  branchs: BRANCHS,
  ooc_default: OOC_DEFAULT,
  uac_INVITE_auth: authenticated("Caller, INVITE authenticated", false),
  uac_INVITE_BYE_auth: authenticated("Caller, INVITE and BYE authenticated", true),
};
