/** Where in a message a problem is. */
import { headerName, type Problem, type SipMessage } from "../../mod.ts";

const LF = 0x0a;

/** The byte that a problem is about: the value of the header that it names, or where that should have stood. */
function faultOffset(message: SipMessage, { field, text }: Problem): number {
  switch (field) {
    case "Request-URI":
      return Math.max(message.start, message.requestUriStart);
    case "start line":
    case "method":
    case "SIP-Version":
    case "Request-Line":
    case "message":
      return message.start;
    case "body":
      return message.bodyStart;
    case "header line": {
      // The reader passes over it: the first gap between the lines that it has read.
      let at = message.headersStart;
      for (let i = 0; i < message.headerCount && message.lineStart(i) === at; i++) at = message.lineEnd(i);
      return at;
    }
    case "header section":
      return message.headersEnd;
  }
  const lines = [];
  for (let i = 0; i < message.headerCount; i++) {
    if (headerName(message.headerId(i)) === field) lines.push(i);
  }
  const line = text.includes("more than once") ? lines[1] : lines[0];
  return line === undefined ? message.headersEnd : message.valueStart(line);
}

/** "line:column" of a problem, both from 1; columns count bytes. */
export function faultPosition(message: SipMessage, problem: Problem, begin: number): string {
  const { buffer } = message;
  const at = Math.max(begin, faultOffset(message, problem));
  let line = 1;
  let lineStart = begin;
  for (let i = begin; i < at; i++) {
    if (buffer[i] !== LF) continue;
    line++;
    lineStart = i + 1;
  }
  return `${line}:${at - lineStart + 1}`;
}
