/**
 * Messages with [keywords] as in SIPp, compiled to byte slices: what is the same in every call is written into the
 * slices once, so that a message is a few copies and the values that differ.
 */
import { ByteWriter } from "../mod.ts";
import {
  findKeyword,
  type KeywordHost,
  type KeywordScope,
  type KeywordWriter,
  type MessageContext,
} from "./keywords.ts";

/** A part of a message: bytes, or a keyword. */
class Part {
  constructor(
    /** undefined for a keyword. */
    readonly bytes: Uint8Array | undefined,
    readonly write: KeywordWriter | undefined,
    /** The keyword stands alone in its line: a line end follows it unless it is empty. */
    readonly line: boolean,
    /** Parts to pass over when it is empty: the rest of its line. */
    readonly skip: number,
  ) {}
}

/** A compiled message. */
export interface Template {
  /** "" for a response. */
  readonly method: string;
  /** 0 for a request. */
  readonly status: number;
  /** The number in CSeq, where it is fixed; else -1 and it is the call's own plus `cseqOffset`. */
  readonly fixedCseq: number;
  readonly cseqOffset: number;
  /** It holds `[last_…]` keywords. */
  readonly usesLast: boolean;
  /** Its Via has `[branch]`, with this step's or an earlier one's. */
  readonly ownBranch: boolean;
  readonly head: readonly Part[];
  readonly body: readonly Part[];
  /** Length of the body in bytes, where it is the same in every call. */
  readonly bodyLength: number | undefined;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const bodyWriter = new ByteWriter();
/** Compiled fields of injection files that are kept. */
const MAX_EXPANSIONS = 4096;

/** A keyword in a text: where it stands, brackets included. */
interface Piece {
  readonly text: string;
  readonly keyword: boolean;
  readonly at: number;
}

/** A mistake in a message: `at` is its place in the text. */
export class TemplateError extends SyntaxError {
  override name = "TemplateError";
  constructor(message: string, readonly at: number) {
    super(message);
  }
}

/** Cuts a text into literals and keywords; `\[` and `\x5b` are a bracket and no keyword, as in SIPp. */
function pieces(text: string, at: number): Piece[] {
  const found: Piece[] = [];
  let literal = "";
  let start = 0;
  for (let i = 0; i < text.length;) {
    const c = text[i];
    const escape = c === "\\" ? /^\\(?:(\[)|x([0-9A-Fa-f]{2}))/.exec(text.slice(i, i + 4)) : null;
    if (escape !== null) {
      literal += escape[1] ?? String.fromCharCode(parseInt(escape[2], 16));
      i += escape[0].length;
    } else if (c === "[") {
      let depth = 0;
      let end = i;
      for (; end < text.length; end++) {
        if (text[end] === "[") depth++;
        else if (text[end] === "]" && --depth === 0) break;
      }
      if (end === text.length) throw new TemplateError("[ without ]", at + i);
      if (literal !== "") found.push({ text: literal, keyword: false, at: at + start });
      found.push({ text: text.slice(i + 1, end), keyword: true, at: at + i });
      literal = "";
      start = i = end + 1;
    } else {
      literal += c;
      i++;
    }
  }
  if (literal !== "") found.push({ text: literal, keyword: false, at: at + start });
  return found;
}

/** Compiles the texts of one step. */
export class TemplateCompiler implements KeywordScope {
  bodyLength: number | undefined;
  readonly #expansions = new Map<string, readonly Part[]>();
  readonly #text = new ByteWriter();

  constructor(readonly host: KeywordHost, readonly step: number) {}

  /**
   * A text with keywords, as in an action.
   *
   * @throws {TemplateError} on an unknown keyword
   */
  compile(text: string): (context: MessageContext) => string {
    const parts = this.#parts([[text, 0]], false);
    if (parts.length === 0) return () => "";
    if (parts.length === 1 && parts[0].bytes !== undefined) {
      const constant = decoder.decode(parts[0].bytes);
      return () => constant;
    }
    const out = this.#text;
    return (context) => {
      // What is nested begins behind what was written before.
      const start = out.length;
      if (start === 0) {
        renderParts(out, parts, context);
        const made = decoder.decode(out.buffer.subarray(0, out.length));
        out.clear();
        return made;
      }
      const own = new ByteWriter(256);
      renderParts(own, parts, context);
      return decoder.decode(own.buffer.subarray(0, own.length));
    };
  }

  expand(out: ByteWriter, text: string, context: MessageContext): void {
    let parts = this.#expansions.get(text);
    if (parts === undefined) {
      try {
        parts = this.#parts([[text, 0]], false);
      } catch {
        // No keyword after all: as it stands.
        parts = [new Part(encoder.encode(text), undefined, false, 0)];
      }
      if (this.#expansions.size >= MAX_EXPANSIONS) this.#expansions.clear();
      this.#expansions.set(text, parts);
    }
    renderParts(out, parts, context);
  }

  /**
   * Compiles a message.
   *
   * @param text lines as in a SIPp scenario: white space around a line and empty lines at both ends do not count
   * @throws {TemplateError} on an unknown keyword or a start line that is none
   */
  message(text: string): Template {
    let at = 0;
    const lines = text.split("\n").map((line): [string, number] => {
      const start = at;
      at += line.length + 1;
      const trimmed = line.replace(/^[ \t]+/, "");
      return [trimmed.trimEnd(), start + line.length - trimmed.length];
    });
    while (lines.length > 0 && lines[0][0] === "") lines.shift();
    while (lines.length > 0 && lines[lines.length - 1][0] === "") lines.pop();
    const blank = lines.findIndex(([line]) => line === "");
    const headLines = blank < 0 ? lines : lines.slice(0, blank);
    const bodyLines = blank < 0 ? [] : lines.slice(blank + 1);
    const [startLine, startAt] = headLines[0] ?? ["", 0];
    const [word, second = ""] = startLine.split(/[ \t]+/);
    if (word === "") throw new TemplateError("the message is empty", startAt);
    const isResponse = word.startsWith("SIP/");
    const status = isResponse && /^\d+$/.test(second) ? Number(second) : 0;
    if (isResponse && !second.startsWith("[") && (status < 100 || status > 699)) {
      throw new TemplateError(`${JSON.stringify(second)} is no status`, startAt);
    }
    if (!isResponse && !/ SIP\/2\.0$/.test(startLine)) {
      throw new TemplateError(`"${startLine}" is no request line: METHOD URI SIP/2.0`, startAt);
    }

    this.bodyLength = undefined;
    const body = this.#parts(bodyLines, true);
    let bodyLength: number | undefined = 0;
    for (const { bytes } of body) {
      bodyLength = bytes === undefined || bodyLength === undefined ? undefined : bodyLength + bytes.length;
    }
    this.bodyLength = bodyLength;
    const head = this.#parts([...headLines, ["", at]], true);
    this.bodyLength = undefined;
    const cseqLine = headLines.find(([line]) => /^cseq\s*:/i.test(line))?.[0] ?? "";
    const cseq = /:\s*(?:\[cseq([+-]\d+)?\]|(\d+))\s+(\S+)$/i.exec(cseqLine);
    const via = headLines.find(([line]) => /^(?:via|v)\s*:/i.test(line))?.[0] ?? "";
    return {
      method: isResponse ? "" : word,
      status: isResponse ? status || 200 : 0,
      fixedCseq: cseq?.[2] === undefined ? -1 : Number(cseq[2]),
      cseqOffset: Number(cseq?.[1] ?? 0),
      usesLast: text.includes("[last_"),
      ownBranch: via.includes("[branch"),
      head,
      body,
      bodyLength,
    };
  }

  #parts(lines: readonly (readonly [string, number])[], lineEnds: boolean): Part[] {
    const parts: { bytes?: Uint8Array; write?: KeywordWriter; line: boolean; skip: number }[] = [];
    let text = "";
    const flush = () => {
      if (text !== "") parts.push({ bytes: encoder.encode(text), line: false, skip: 0 });
      text = "";
    };
    for (const [line, at] of lines) {
      const found = pieces(line, at);
      let vanishes = false;
      /** A keyword whose rest of line may vanish: its place among the parts. */
      let taker = -1;
      let startsLine = false;
      for (const [i, piece] of found.entries()) {
        if (!piece.keyword) {
          text += piece.text;
          continue;
        }
        let keyword: ReturnType<typeof findKeyword>;
        try {
          keyword = findKeyword(piece.text, this);
        } catch (error) {
          if (error instanceof TemplateError || !(error instanceof SyntaxError)) throw error;
          throw new TemplateError(error.message, piece.at);
        }
        if (typeof keyword === "string") {
          text += keyword;
          continue;
        }
        flush();
        vanishes = lineEnds && keyword.vanishes === true && found.length === 1;
        if (keyword.takesLine === true && found.length > 1 && lineEnds && taker < 0) {
          taker = parts.length;
          startsLine = i === 0;
        }
        parts.push({ write: keyword.write, line: vanishes, skip: 0 });
      }
      if (taker >= 0) {
        // The line end goes with the rest only where nothing stands before.
        if (startsLine) text += "\r\n";
        flush();
        parts[taker].skip = parts.length - taker - 1;
        if (!startsLine) text += "\r\n";
      } else if (lineEnds && !vanishes) text += "\r\n";
    }
    flush();
    return parts.map(({ bytes, write, line, skip }) => new Part(bytes, write, line, skip));
  }
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

/** The body of a message alone, for what protects it (auth-int). */
export function renderBody(template: Template, context: MessageContext): Uint8Array {
  const out = new ByteWriter();
  renderParts(out, template.body, context);
  return out.toBytes();
}

function renderParts(out: ByteWriter, parts: readonly Part[], context: MessageContext): void {
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i];
    if (part.bytes !== undefined) {
      out.bytes(part.bytes);
      continue;
    }
    const before = out.length;
    part.write!(out, context);
    if (out.length === before) i += part.skip;
    else if (part.line) out.crlf();
  }
}
