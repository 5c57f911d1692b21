/** For tests: the scan kernel and the code without it side by side. */
import { assertEquals } from "@std/assert";
import { SipMessage } from "./message.ts";
import { HeaderIndex, MAX_HEADERS } from "./scan.ts";

/** All that an index holds. */
export function indexed(index: HeaderIndex): unknown {
  const { count, headersEnd, bodyStart, repeats, faultAt, first } = index;
  const ids = index.ids.slice(0, count);
  return { count, headersEnd, bodyStart, repeats, faultAt, first, ids, offsets: offsets(index) };
}

function offsets(index: HeaderIndex): number[][] {
  return Array.from({ length: index.count }, (_, i) => [
    index.nameStart(i),
    index.nameEnd(i),
    index.valueStart(i),
    index.valueEnd(i),
    index.lineEnd(i),
  ]);
}

/** Everything of a message that others read: all fields of the message, of its index and of its views. */
export function read(message: SipMessage): unknown {
  const { index, from, to, buffer: _, ...rest } = message;
  const view = (fields: object | undefined) => ({ ...fields, buffer: 0 });
  return { rest, index: indexed(index), from: view(from), to: view(to), via: view(message.topVia()) };
}

/** Both ways of reading. */
export class Scanners {
  // Only an index of the usual size has a place in the kernel.
  readonly kernelIndex = new HeaderIndex();
  readonly plainIndex = new HeaderIndex();
  readonly kernelMessage = new SipMessage();
  readonly plainMessage = new SipMessage(MAX_HEADERS - 1);
  /** How many messages the kernel has taken. */
  taken = 0;

  /** Reads a message both ways. @throws AssertionError if they differ in anything */
  compare(buffer: Uint8Array, start: number, end: number): void {
    const { kernelIndex, plainIndex, kernelMessage, plainMessage } = this;
    assertEquals(kernelMessage.parse(buffer, start, end), plainMessage.parse(buffer, start, end));
    assertEquals(read(kernelMessage), read(plainMessage));
    if (kernelIndex.readMessage(buffer, kernelMessage.start, end)) this.taken++;
    const at = kernelMessage.headersStart;
    assertEquals(kernelIndex.scan(buffer, at, end), plainIndex.scanBytes(buffer, at, end));
    assertEquals(indexed(kernelIndex), indexed(plainIndex));
  }
}
