/** The two families of authentication headers: a proxy's (RFC 3261 §22.3) and a registrar's (§22.2). */
import { HeaderId } from "../mod.ts";

/** Which headers and which status one family uses. */
export interface AuthKind {
  readonly status: 401 | 407;
  readonly reason: string;
  /** Where the answers are. */
  readonly answer: HeaderId;
  /** Name of the challenge header. */
  readonly challenge: string;
  /** Name of the confirmation header. */
  readonly info: string;
}

/** 407, Proxy-Authenticate, Proxy-Authorization, Proxy-Authentication-Info. */
export const PROXY_AUTH: AuthKind = {
  status: 407,
  reason: "Proxy Authentication Required",
  answer: HeaderId.PROXY_AUTHORIZATION,
  challenge: "Proxy-Authenticate",
  info: "Proxy-Authentication-Info",
};

/** 401, WWW-Authenticate, Authorization, Authentication-Info: for REGISTER. */
export const WWW_AUTH: AuthKind = {
  status: 401,
  reason: "Unauthorized",
  answer: HeaderId.AUTHORIZATION,
  challenge: "WWW-Authenticate",
  info: "Authentication-Info",
};
