/** POSIX extended regular expressions (IEEE 1003.1 §9.4), as SIPp takes them, by those of JavaScript. */

const CLASSES: Readonly<Record<string, string>> = {
  alnum: "A-Za-z0-9",
  alpha: "A-Za-z",
  blank: " \\t",
  cntrl: "\\x00-\\x1f\\x7f",
  digit: "0-9",
  graph: "\\x21-\\x7e",
  lower: "a-z",
  print: "\\x20-\\x7e",
  punct: "!-\\/:-@\\[-`{-~",
  space: " \\t\\n\\r\\f\\v",
  upper: "A-Z",
  xdigit: "0-9A-Fa-f",
};

/**
 * Translates an expression. The one difference left is that of several alternatives the first counts, not the longest.
 *
 * @throws {SyntaxError} if it is none
 * @example
 * ```ts
 * import { posixRegExp } from "./regexp.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(posixRegExp("o=([[:alnum:]]*) ").exec("o=user1 1 1")?.[1], "user1");
 * assertEquals(posixRegExp("[\\]").test("\\"), true);
 * ```
 */
export function posixRegExp(source: string): RegExp {
  let out = "";
  for (let at = 0; at < source.length;) {
    const c = source[at];
    if (c === "[") {
      const [text, end] = bracket(source, at);
      out += text;
      at = end;
    } else if (c === "\\") {
      if (at + 1 === source.length) throw new SyntaxError("trailing backslash");
      out += c + source[at + 1];
      at += 2;
    } else if (c === "{" && !/^\{\d*(?:,\d*)?\}/.test(source.slice(at))) {
      out += "\\{";
      at++;
    } else if (c === "}" && !/\{\d*(?:,\d*)?$/.test(source.slice(0, at))) {
      out += "\\}";
      at++;
    } else if (c === "(" && source[at + 1] === "?") throw new SyntaxError("? repeats nothing");
    else {
      out += c;
      at++;
    }
  }
  // A point stands for any character, line ends too; ^ and $ for the ends of the whole text.
  return new RegExp(out, "s");
}

/** A bracket expression that starts at `at`: its translation and its end. */
function bracket(source: string, at: number): [string, number] {
  let end = at + 1;
  let out = "[";
  if (source[end] === "^") {
    out += "^";
    end++;
  }
  for (let first = true; source[end] !== "]" || first; first = false) {
    if (end >= source.length) throw new SyntaxError("[ without ]");
    const named = /^\[:(\w+):\]/.exec(source.slice(end));
    if (named !== null) {
      const set = CLASSES[named[1]];
      if (set === undefined) throw new SyntaxError(`unknown class [:${named[1]}:]`);
      out += set;
      end += named[0].length;
      continue;
    }
    const c = source[end++];
    out += c === "\\" || c === "[" || c === "]" || (c === "^" && !first) ? `\\${c}` : c;
  }
  return [out + "]", end + 1];
}
