/** Why Deno could not open a socket, in the words that all sockets use. */
import { firstLine } from "../cli/first_line.ts";
import { OpenProblem } from "./datagram.ts";

/** One line without the address. */
export function openReason(error: unknown): string {
  if (error instanceof Deno.errors.AddrInUse) return OpenProblem.PORT_IN_USE;
  if (error instanceof Deno.errors.AddrNotAvailable) return OpenProblem.NO_SUCH_ADDRESS;
  if (error instanceof Deno.errors.NotCapable) return OpenProblem.NET_NOT_ALLOWED;
  if (error instanceof Deno.errors.PermissionDenied) return OpenProblem.PORT_NOT_ALLOWED;
  return firstLine(error);
}
