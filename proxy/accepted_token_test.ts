import { assertEquals } from "@std/assert";
import { seededRandom } from "../mod.ts";
import { AcceptedToken } from "./accepted_token.ts";
import { PROXY_AUTH, WWW_AUTH } from "./auth_kind.ts";

const fields = (token: AcceptedToken) => {
  const { kind, realm, algorithm, seq, place, tag, nonce, key, confirmed, nextNonce, nextChain } = token;
  return { kind, realm, algorithm, seq, place, tag, nonce, key, confirmed, nextNonce, nextChain };
};

Deno.test("accepted token: what is saved is loaded again, at the edges too", () => {
  const random = seededRandom(4);
  const words = new Int32Array(3 * AcceptedToken.WORDS).fill(-1);
  const token = new AcceptedToken();
  const copy = new AcceptedToken();
  for (const kind of [PROXY_AUTH, WWW_AUTH]) {
    for (const [algorithm, size] of [16, 20, 32].entries()) {
      for (
        const [realm, seq, place, tag, nextChain] of [[0, 0, -1, -(2 ** 31), 0], [
          255,
          65_534,
          2 ** 30,
          -1,
          65_535,
        ]]
      ) {
        for (const confirmed of [false, true]) {
          Object.assign(token, { kind, algorithm, realm, seq, place, tag, nextChain, confirmed });
          token.nonce.set(random.bytes(16));
          token.key.set(random.bytes(32));
          token.nextNonce.set(random.bytes(16));
          token.save(words, AcceptedToken.WORDS);
          copy.load(words, AcceptedToken.WORDS);
          assertEquals(fields(copy), fields(token));
          assertEquals(fields(token.clone()), fields(token));
          assertEquals([copy.digest.length, copy.digest], [size, token.key.slice(0, size)]);
        }
      }
    }
  }
  assertEquals(words.slice(0, AcceptedToken.WORDS), new Int32Array(AcceptedToken.WORDS).fill(-1));
  assertEquals(words.slice(2 * AcceptedToken.WORDS), new Int32Array(AcceptedToken.WORDS).fill(-1));
});
