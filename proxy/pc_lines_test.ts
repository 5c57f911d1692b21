import { assertEquals } from "@std/assert";
import { ByteWriter, CHAIN_ALGORITHMS, seededRandom, toHex, writePcChallenge, writePcInfo } from "../mod.ts";
import { AcceptedToken } from "./accepted_token.ts";
import { PROXY_AUTH, WWW_AUTH } from "./auth_kind.ts";
import { PcLines, PcRealm } from "./pc_lines.ts";

const OPAQUE = "0123456789abcdef";
const random = seededRandom(8);
const REALMS = ["example.com", 'a "quoted\\ realm', "bücher.example"].map((text, i) => new PcRealm(i, text));

function written(write: (out: ByteWriter) => void): string {
  const out = new ByteWriter(8);
  write(out);
  return new TextDecoder().decode(out.toBytes());
}

Deno.test("PC lines: challenges are what writePcChallenge writes", () => {
  for (const qop of [undefined, "auth-int"] as const) {
    const lines = new PcLines(OPAQUE, qop);
    for (const kind of [PROXY_AUTH, WWW_AUTH]) {
      for (const realm of REALMS) {
        for (const [algorithmNumber, algorithm] of CHAIN_ALGORITHMS.entries()) {
          for (const stale of [false, true]) {
            for (const auth of [undefined, random.bytes([16, 20, 32][algorithmNumber])]) {
              const state = {
                nonce: random.bytes(16),
                n: 1 + random.below(65_535),
                index: 1 + random.below(65_535),
              };
              const value = writePcChallenge({
                realm: realm.text,
                algorithm,
                nonce: toHex(state.nonce),
                chain: state.n,
                opaque: OPAQUE,
                qop,
                stale,
                guide: auth === undefined ? undefined : { seq: state.index - 1, auth },
              });
              assertEquals(
                written((out) =>
                  lines.writeChallenge(out, kind, realm, { algorithmNumber, state }, stale, auth)
                ),
                `${kind.challenge}: ${value}\r\n`,
              );
            }
          }
        }
      }
    }
  }
});

Deno.test("PC lines: confirmations are what writePcInfo writes", () => {
  const lines = new PcLines(OPAQUE, undefined);
  const token = new AcceptedToken();
  for (const kind of [PROXY_AUTH, WWW_AUTH]) {
    for (const realm of REALMS) {
      for (const algorithm of CHAIN_ALGORITHMS.keys()) {
        for (const chain of [0, 1, 65_535]) {
          Object.assign(token, {
            kind,
            realm: realm.number,
            algorithm,
            seq: random.below(65_535),
            nextChain: chain,
          });
          for (const bytes of [token.nonce, token.key, token.nextNonce]) {
            bytes.set(random.bytes(bytes.length));
          }
          const value = writePcInfo({
            realm: realm.text,
            nonce: toHex(token.nonce),
            seq: token.seq,
            rspauth: token.digest,
            next: chain === 0 ? undefined : { nonce: toHex(token.nextNonce), chain },
          });
          assertEquals(written((out) => lines.writeInfo(out, realm, token)), `${kind.info}: ${value}`);
        }
      }
    }
  }
});
