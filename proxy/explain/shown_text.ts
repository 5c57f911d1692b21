/** Messages as an operator may see and pass them on: control characters visible, secrets left out. */

/** Parameters of an answer that are no secret; the others could help to guess a password or be replayed. */
const SHOWN_PARAMETERS = ["username", "realm", "uri", "algorithm", "qop", "nc", "seq"];
/** Those that may be named; anything else might be a part of a value. */
const HIDDEN_PARAMETERS = ["nonce", "opaque", "token", "response", "cnonce", "auth"];
const SCHEMES = ["Digest", "PC"];
const ANSWER = /^((?:proxy-)?authorization)[ \t]*:/i;
const PARAMETER = /([A-Za-z0-9_-]+)[ \t]*=[ \t]*("(?:[^"\\]|\\.)*"|[^\s",]+)/g;

const decoder = new TextDecoder();

/** Control characters as \xNN. */
function visible(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replace(/[\x00-\x1f\x7f-\x9f]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`);
}

function redactedAnswer(name: string, value: string): string {
  const scheme = SCHEMES.find((known) => value.toLowerCase().startsWith(`${known.toLowerCase()} `));
  if (scheme === undefined) return `${name}: …`;
  const shown = [...value.slice(scheme.length).matchAll(PARAMETER)].map(([, parameter, content]) => {
    if (SHOWN_PARAMETERS.includes(parameter.toLowerCase())) return `${parameter}=${content}`;
    return HIDDEN_PARAMETERS.includes(parameter.toLowerCase()) ? `${parameter}=…` : "…";
  });
  return `${name}: ${scheme} ${shown.length === 0 ? "…" : shown.join(", ")}`;
}

/** A text without the passwords that URIs may hold (RFC 3261 §19.1.1). */
export function shownText(text: string): string {
  return visible(text).replace(/(sips?:[^:@\s;<>]+):[^@\s<>]*@/gi, "$1:…@");
}

/** The start line and the header lines of a message, folds undone; credentials without what is secret in them. */
export function shownLines(bytes: Uint8Array): string[] {
  const text = decoder.decode(bytes);
  const end = /\r?\n\r?\n/.exec(text)?.index ?? text.length;
  return text.slice(0, end).replace(/\r?\n[ \t]+/g, " ").split(/\r?\n/).map((line) => {
    const name = ANSWER.exec(line);
    return name === null
      ? shownText(line)
      : shownText(redactedAnswer(name[1], line.slice(name[0].length).trim()));
  });
}

/** What differs between two messages: lines with "-" that are gone, and with "+" that are new. */
export function changedLines(before: Uint8Array, after: Uint8Array): string[] {
  const old = shownLines(before);
  const made = shownLines(after);
  const rest = [...made];
  const gone: string[] = [];
  for (const line of old) {
    const at = rest.indexOf(line);
    if (at < 0) gone.push(`- ${line}`);
    else rest.splice(at, 1);
  }
  return [...gone, ...rest.map((line) => `+ ${line}`)];
}
