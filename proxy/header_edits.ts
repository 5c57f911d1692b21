/** Header lines that a route adds to the request it sends on, or takes away from it. */
import { HeaderId, headerIdOf, headerName, type Patch } from "../mod.ts";

/** What the proxy itself writes, or what others find a message by: no route changes these. */
const KEPT: ReadonlySet<number> = new Set<number>([
  HeaderId.VIA,
  HeaderId.FROM,
  HeaderId.TO,
  HeaderId.CALL_ID,
  HeaderId.CSEQ,
  HeaderId.MAX_FORWARDS,
  HeaderId.MAX_BREADTH,
  HeaderId.ROUTE,
  HeaderId.RECORD_ROUTE,
  HeaderId.CONTENT_LENGTH,
  HeaderId.PROXY_AUTHORIZATION,
  HeaderId.AUTHORIZATION,
]);
const NAME = /^[A-Za-z0-9.!%*_+`'~-]+$/;
// deno-lint-ignore no-control-regex
const LINE = /^([A-Za-z0-9.!%*_+`'~-]+)[ \t]*:[^\x00-\x08\x0a-\x1f\x7f]*$/;

/** The edits of one request. */
export class HeaderEdits {
  readonly #added: string[] = [];
  readonly #removed: string[] = [];

  /**
   * Adds a line.
   *
   * @param line "Name: value"
   * @throws {TypeError} when it is no header line, or one that the proxy writes itself
   */
  add(line: string): void {
    const match = LINE.exec(line);
    if (match === null) throw new TypeError(`append_hf: ${JSON.stringify(line)} is not "Name: value"`);
    refuse("append_hf", match[1]);
    this.#added.push(`${line}\r\n`);
  }

  /**
   * Takes all lines of a name away; those that the route adds stay.
   *
   * @throws {TypeError} when it is no header name, or one that the proxy writes itself
   */
  remove(name: string): void {
    if (!NAME.test(name)) throw new TypeError(`remove_hf: ${JSON.stringify(name)} is not a header name`);
    refuse("remove_hf", name);
    if (!this.#removed.includes(name.toLowerCase())) this.#removed.push(name.toLowerCase());
  }

  /** Puts the edits into a patch. */
  apply(patch: Patch): void {
    const { message } = patch;
    for (const name of this.#removed) {
      const id = headerIdOf(name);
      if (id !== HeaderId.OTHER) {
        patch.removeHeader(id);
        continue;
      }
      for (let i = message.first(HeaderId.OTHER); i >= 0; i = message.next(i)) {
        if (message.text(message.nameStart(i), message.nameEnd(i)).toLowerCase() === name) {
          patch.removeLine(i);
        }
      }
    }
    for (const line of this.#added) patch.insert(message.headersEnd, line);
  }
}

function refuse(what: string, name: string): void {
  const id = headerIdOf(name);
  if (KEPT.has(id)) throw new TypeError(`${what}: ${headerName(id)} is the proxy's own business`);
}
