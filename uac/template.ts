/**
 * Message templates with [keywords] as in SIPp, compiled to byte slices: what is the same in every call is written
 * into the slices once, so that a message is a few copies and the values that differ.
 */
import { ByteWriter } from "../mod.ts";
import { findKeyword, type KeywordWriter, type MessageContext, type TemplateConstants } from "./keywords.ts";

export type { MessageContext, TemplateConstants } from "./keywords.ts";

/** Bytes, or a keyword. With `line` the keyword stands alone in its line, which vanishes when it is empty. */
type Part = Uint8Array | { readonly write: KeywordWriter; readonly line: boolean };

/** A compiled message. */
export interface Template {
  /** "" for a response. */
  readonly method: string;
  /** 0 for a request. */
  readonly status: number;
  /** The number in CSeq: fixed, or what is to be added to the call's own. */
  readonly cseq: { readonly fixed: number } | { readonly offset: number };
  /** Method named in CSeq; "" where that is copied from the message being answered. */
  readonly cseqMethod: string;
  /** It holds `[authentication]`. */
  readonly authenticates: boolean;
  /** It holds `[last_…]` keywords. */
  readonly usesLast: boolean;
  readonly head: readonly Part[];
  readonly body: readonly Part[];
  /** Length of the body in bytes, where it is the same in every call. */
  readonly bodyLength: number | undefined;
}

const encoder = new TextEncoder();
const bodyWriter = new ByteWriter();

/**
 * Compiles a template.
 *
 * @param text lines as in a SIPp scenario: leading white space and empty lines at both ends do not count
 * @throws {SyntaxError} on an unknown keyword or a start line that is none
 * @example
 * ```ts
 * import { compileTemplate } from "./template.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const template = compileTemplate(
 *   "OPTIONS sip:[service]@[remote_ip] SIP/2.0\n  CSeq: [cseq] OPTIONS\n  Content-Length: [len]",
 *   { service: "bob", remoteIp: "127.0.0.1", remotePort: 5060, localIp: "127.0.0.1", localPort: 5061,
 *     transport: "UDP", pid: 1, domain: "example.com", keys: {} },
 * );
 * assertEquals(template.method, "OPTIONS");
 * assertEquals(template.head.length, 3); // bytes, [cseq], bytes: the rest is the same in every call
 * ```
 */
export function compileTemplate(text: string, constants: TemplateConstants): Template {
  const lines = text.split(/\r?\n/).map((line) => line.replace(/^[ \t]+/, "").trimEnd());
  while (lines.length > 0 && lines[0] === "") lines.shift();
  while (lines.length > 0 && lines[lines.length - 1] === "") lines.pop();
  const blank = lines.indexOf("");
  const headLines = blank < 0 ? lines : lines.slice(0, blank);
  const bodyLines = blank < 0 ? [] : lines.slice(blank + 1);
  const [word, second = ""] = (headLines[0] ?? "").split(" ");
  if (word === "") throw new SyntaxError("the message is empty");
  const status = word.startsWith("SIP/") ? Number(second) : 0;
  if (!Number.isInteger(status) || (status !== 0 && (status < 100 || status > 699))) {
    throw new SyntaxError(`${second} is no status`);
  }
  if (status === 0 && !/ SIP\/2\.0$/.test(headLines[0])) {
    throw new SyntaxError(`"${headLines[0]}" is no request line: METHOD URI SIP/2.0`);
  }

  const body = compileLines(bodyLines, constants, undefined);
  const bodyLength = body.reduce<number | undefined>(
    (sum, part) => sum === undefined || !(part instanceof Uint8Array) ? undefined : sum + part.length,
    0,
  );
  const head = compileLines([...headLines, ""], constants, bodyLength);
  const cseqLine = headLines.find((line) => /^cseq\s*:/i.test(line)) ?? "";
  const cseq = /:\s*(?:\[cseq([+-]\d+)?\]|(\d+))\s+(\S+)$/i.exec(cseqLine);
  return {
    method: status === 0 ? word : "",
    status,
    cseq: cseq?.[2] === undefined ? { offset: Number(cseq?.[1] ?? 0) } : { fixed: Number(cseq[2]) },
    cseqMethod: cseq?.[3] ?? (status === 0 ? word : ""),
    authenticates: text.includes("[authentication"),
    usesLast: text.includes("[last_"),
    head,
    body,
    bodyLength,
  };
}

/** Writes the message of a call. */
export function renderTemplate(out: ByteWriter, template: Template, context: MessageContext): void {
  const { head, body, bodyLength } = template;
  if (bodyLength !== undefined) {
    context.bodyLength = bodyLength;
    renderParts(out, head, context);
    renderParts(out, body, context);
    return;
  }
  // [len] in the head needs the body first.
  bodyWriter.clear();
  renderParts(bodyWriter, body, context);
  context.bodyLength = bodyWriter.length;
  renderParts(out, head, context);
  out.bytes(bodyWriter.buffer, 0, bodyWriter.length);
}

function renderParts(out: ByteWriter, parts: readonly Part[], context: MessageContext): void {
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i];
    if (part instanceof Uint8Array) out.bytes(part);
    else {
      const before = out.length;
      part.write(out, context);
      if (part.line && out.length > before) out.crlf();
    }
  }
}

function compileLines(
  lines: readonly string[],
  constants: TemplateConstants,
  bodyLength: number | undefined,
): Part[] {
  const parts: Part[] = [];
  let text = "";
  const flush = () => {
    if (text !== "") parts.push(encoder.encode(text));
    text = "";
  };
  for (const line of lines) {
    // "\[" is a bracket and no keyword, as in SIPp.
    const pieces = line.split(/(\\\[|\[[^\]]*\])/);
    let vanishes = false;
    for (const piece of pieces) {
      if (piece === "\\[") text += "[";
      else if (!(piece.startsWith("[") && piece.endsWith("]"))) text += piece;
      else {
        const keyword = findKeyword(piece.slice(1, -1), constants, bodyLength);
        if (typeof keyword === "string") text += keyword;
        else {
          flush();
          vanishes = keyword.vanishes === true && line === piece;
          parts.push({ write: keyword.write, line: vanishes });
        }
      }
    }
    if (!vanishes) text += "\r\n";
  }
  flush();
  return parts;
}
