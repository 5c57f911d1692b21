/** The edits by which a proxy forwards (RFC 3261 §16.6, §16.7, §18.2.1; RFC 3581 §4). All work on a {@link Patch}. */
import { type Address } from "./address.ts";
import { equalsText } from "./ascii.ts";
import { HeaderId } from "./header.ts";
import { firstValueStart, type Patch } from "./patch.ts";

/** RFC 3261 §16.6 step 3: the value of a request that came without Max-Forwards. */
export const DEFAULT_MAX_FORWARDS = 70;

/** Puts a Via line on top: value as text, or as value[start, end). RFC 3261 §16.6 step 8. */
export function pushVia(
  patch: Patch,
  value: Uint8Array | string,
  start = 0,
  end: number = value.length,
): void {
  const { message } = patch;
  const first = message.first(HeaderId.VIA);
  const at = first < 0 ? message.headersStart : message.lineStart(first);
  patch.insertLine(at, "Via", value, start, end);
}

/** Takes the topmost Via value away, and its line when it was the only one. RFC 3261 §16.7 step 3. */
export function popVia(patch: Patch): void {
  const { message } = patch;
  const via = message.topVia();
  // Mostly each Via has a line of its own: then no other value has to be looked for.
  const line = message.first(HeaderId.VIA);
  if (via !== undefined && via.end === message.valueEnd(line)) patch.removeLine(line);
  else popFirst(patch, HeaderId.VIA);
}

/** Takes the first Route value away. RFC 3261 §16.4. */
export function popRoute(patch: Patch): void {
  popFirst(patch, HeaderId.ROUTE);
}

function popFirst(patch: Patch, id: HeaderId): void {
  const i = patch.message.first(id);
  if (i >= 0) patch.removeValue(i, firstValueStart(patch.message, i));
}

/** Puts a Record-Route line before any other, else after the first Via line. RFC 3261 §16.6 step 4. */
export function pushRecordRoute(
  patch: Patch,
  value: Uint8Array | string,
  start = 0,
  end: number = value.length,
): void {
  patch.insertLine(routeOffset(patch, HeaderId.RECORD_ROUTE), "Record-Route", value, start, end);
}

/** Puts a Route line before any other. RFC 3261 §16.6 step 6. */
export function pushRoute(
  patch: Patch,
  value: Uint8Array | string,
  start = 0,
  end: number = value.length,
): void {
  patch.insertLine(routeOffset(patch, HeaderId.ROUTE), "Route", value, start, end);
}

function routeOffset(patch: Patch, id: HeaderId): number {
  const { message } = patch;
  const first = message.first(id);
  if (first >= 0) return message.lineStart(first);
  const via = message.first(HeaderId.VIA);
  return via < 0 ? message.headersStart : message.lineEnd(via);
}

/**
 * Max-Forwards minus one, or a new one of 70 (RFC 3261 §16.6 step 3).
 *
 * @returns the new value, or -1, with nothing changed, when it is 0 already (answer 483)
 */
export function decrementMaxForwards(patch: Patch): number {
  const { message } = patch;
  const i = message.first(HeaderId.MAX_FORWARDS);
  if (i < 0 || message.maxForwards < 0) {
    if (i >= 0) patch.removeLine(i);
    const via = message.first(HeaderId.VIA);
    patch.insertLine(via < 0 ? message.headersStart : message.lineEnd(via), "Max-Forwards", "70");
    return DEFAULT_MAX_FORWARDS;
  }
  if (message.maxForwards === 0) return -1;
  patch.replaceNumber(message.valueStart(i), message.valueEnd(i), message.maxForwards - 1);
  return message.maxForwards - 1;
}

/** Puts another URI into the start line of a request. */
export function setRequestUri(
  patch: Patch,
  uri: Uint8Array | string,
  start = 0,
  end: number = uri.length,
): void {
  const { message } = patch;
  patch.replace(message.requestUriStart, message.requestUriEnd, uri, start, end);
}

/**
 * Writes into the top Via where the request came from: `received` when it differs from sent-by or `rport` is there
 * (RFC 3261 §18.2.1, RFC 3581 §4), and the value of `rport`. What the sender wrote in their place is replaced: an
 * answer must go where the request came from.
 */
export function addReceivedRport(patch: Patch, from: Address): void {
  const via = patch.message.topVia();
  if (via === undefined) return;
  const wantsPort = via.rportNameEnd >= 0;
  if (wantsPort) {
    if (via.rportEnd > via.rportStart) patch.replaceNumber(via.rportStart, via.rportEnd, from.port);
    else {
      patch.replace(via.rportNameEnd, via.rportEnd, "=");
      patch.replaceNumber(via.rportEnd, via.rportEnd, from.port);
    }
  }
  if (via.receivedStart >= 0) patch.replace(via.receivedStart, via.receivedEnd, from.host);
  else if (wantsPort || !equalsText(via.buffer, via.hostStart, via.hostEnd, from.host)) {
    patch.insert(via.end, ";received=");
    patch.insert(via.end, from.host);
  }
}
