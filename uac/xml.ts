/** XML with the place of everything: what the reader of scenarios works on. */
import { SaxesParser } from "saxes";

/** A place in a file: line and column count from 1. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

/** Something that is said about a file. An error keeps it from being run. */
export interface Finding extends Place {
  readonly severity: "error" | "warning";
  readonly text: string;
}

/** An attribute. */
export interface XmlAttribute {
  readonly name: string;
  readonly value: string;
  readonly at: Place;
}

/** An element with its text and its children in order. */
export interface XmlElement {
  readonly name: string;
  readonly at: Place;
  readonly attributes: Map<string, XmlAttribute>;
  readonly children: XmlElement[];
  /** Text and CDATA sections in it, joined, from the first that is not blank; `textAt` is where that begins. */
  text: string;
  textAt: Place;
}

/** Nesting that no scenario has: a bound against files that are none. */
const MAX_DEPTH = 16;

/**
 * Reads a document.
 *
 * @param text line ends of any kind
 * @returns the root, undefined where there is none; and what is wrong with the document
 */
export function readXml(text: string): { root: XmlElement | undefined; findings: Finding[] } {
  const source = text.replace(/\r\n?/g, "\n");
  const lineStarts = [0];
  for (let at = source.indexOf("\n"); at >= 0; at = source.indexOf("\n", at + 1)) lineStarts.push(at + 1);
  const placeOf = (offset: number): Place => {
    let low = 0;
    let high = lineStarts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (lineStarts[middle] <= offset) low = middle;
      else high = middle - 1;
    }
    return { line: low + 1, column: offset - lineStarts[low] + 1 };
  };

  const findings: Finding[] = [];
  const open: XmlElement[] = [];
  let root: XmlElement | undefined;
  let failed = false;
  const parser = new SaxesParser({ position: true });
  parser.on("error", (error) => {
    // "--" inside a comment is forbidden by XML and usual in scenarios.
    const text = error.message.replace(/^\d+:\d+: /, "").replace(/\.$/, "");
    const severity = text.startsWith("malformed comment") ? "warning" : "error";
    if (severity === "error" && failed) return;
    failed ||= severity === "error";
    findings.push({ severity, text, ...placeOf(Math.max(0, parser.position - 1)) });
  });
  parser.on("opentagstart", ({ name }) => {
    const at = placeOf(parser.position - name.length - 2);
    const element: XmlElement = { name, at, attributes: new Map(), children: [], text: "", textAt: at };
    if (open.length === 0) root ??= element;
    else if (open.length < MAX_DEPTH) open[open.length - 1].children.push(element);
    else if (!failed) {
      failed = true;
      findings.push({ severity: "error", text: "elements are nested too deeply", ...at });
    }
    open.push(element);
  });
  parser.on("attribute", ({ name, value }) => {
    const offset = Math.max(0, source.lastIndexOf(name, parser.position - 1 - value.length));
    open[open.length - 1]?.attributes.set(name, { name, value, at: placeOf(offset) });
  });
  const addText = (text: string, end: number) => {
    const element = open[open.length - 1];
    if (element === undefined) return;
    if (element.text.trim() === "") {
      // White space around a section is no part of it.
      element.text = text;
      element.textAt = placeOf(Math.max(0, end - text.length));
    } else element.text += text;
  };
  parser.on("text", (text) => addText(text, parser.position - 1));
  parser.on("cdata", (text) => addText(text, parser.position - 3));
  parser.on("closetag", () => void open.pop());
  try {
    parser.write(source).close();
  } catch (error) {
    if (!failed) {
      findings.push({ severity: "error", text: (error as Error).message, ...placeOf(parser.position) });
    }
  }
  if (root === undefined && !failed) {
    findings.push({ severity: "error", text: "there is no element", line: 1, column: 1 });
  }
  return { root, findings };
}
