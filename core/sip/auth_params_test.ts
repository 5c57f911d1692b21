import { assertEquals, assertThrows } from "@std/assert";
import { encodeText } from "./ascii.ts";
import { authParam, parseAuth, parseAuthAt, parseAuthInfo, quote } from "./auth_params.ts";
import { HeaderId } from "./header.ts";
import { SipMessage } from "./message.ts";
import { INVITE } from "./test_messages.ts";

Deno.test("auth: order, repeats, either form, white space and folds between parameters", () => {
  const header = parseAuth('Digest  a=1 ,B = "x, \\"y\\\\" ,\r\n\ta="2",\r\n c =\r\n "\u00fc"');
  assertEquals(header, {
    scheme: "Digest",
    params: [["a", "1", false], ["b", 'x, "y\\', true], ["a", "2", true], ["c", "\u00fc", true]],
  });
  assertEquals(authParam(header, "a"), "1");
  assertEquals(parseAuth("PC"), { scheme: "PC", params: [] });
  assertEquals(parseAuth('PC a=""').params, [["a", "", true]]);
  assertEquals(parseAuthInfo('rspauth="1", cnonce="2"').params.length, 2);
});

Deno.test("auth: each error names its field", () => {
  const cases: [string, string, string][] = [
    ["", "scheme", ""],
    ['"x"', "scheme", ""],
    ["Digest=1", "scheme", ""],
    ["PC =1", "empty_name", ""],
    ["PC a=1,,b=2", "empty_name", ""],
    ["PC a=1,", "empty_name", ""],
    ["PC a", "missing_equals", "a"],
    ["PC a=1, Nonce, b=2", "missing_equals", "nonce"],
    ["PC a=", "empty_value", "a"],
    ["PC a=,b=1", "empty_value", "a"],
    ['PC a="x', "unterminated_quote", "a"],
    ['PC a="x\\"', "unterminated_quote", "a"],
    ['PC a="x"y', "garbage", "a"],
    ["PC a=1 b=2", "garbage", "a"],
    ['PC a=x"y', "garbage", "a"],
    ["PC a=<x>", "garbage", "a"],
    ['PC a="x\r\n y"', "fold", "a"],
    ['PC a="x\n\ty"', "fold", "a"],
    ["PC a=x\r\n y", "fold", "a"],
    ['PC a="x\ty"', "control", "a"],
    ['PC a="x\x00"', "control", "a"],
    ['PC a="\\\x7f"', "control", "a"],
    ['PC a="x\ny"', "control", "a"],
    ["PC a=\x01", "control", "a"],
    ["PC a=x\x7f", "control", "a"],
    ["PC " + new Array(65).fill("a=1").join(","), "too_many", "a"],
  ];
  for (const [text, code, field] of cases) {
    const { error } = parseAuth(text);
    assertEquals([error?.code, error?.field], [code, field], text);
  }
  const bytes = encodeText('PC a="?"');
  bytes[6] = 0xc3;
  assertEquals(parseAuthAt(bytes, 0, bytes.length).error?.code, "utf8");
});

Deno.test("auth: cut at every byte is an error or fewer parameters, never an exception", () => {
  const text = 'PC username="us\\"er", realm="example.com", algorithm=SHA-1, seq=9';
  const whole = parseAuth(text).params;
  for (let end = 0; end < text.length; end++) {
    const { params, error } = parseAuth(text.slice(0, end));
    if (error === undefined && params.length === whole.length) {
      assertEquals(text.slice(end - 5, end), "seq=9");
    }
    for (let i = 0; i < params.length - 1; i++) assertEquals(params[i], whole[i]);
  }
});

Deno.test("auth: read from a message, where folds are still to be seen", () => {
  const message = new SipMessage();
  message.parse(INVITE, 0, INVITE.length);
  const i = message.first(HeaderId.PROXY_AUTHORIZATION);
  const header = parseAuthAt(message.buffer, message.valueStart(i), message.valueEnd(i));
  assertEquals(header.error, undefined);
  assertEquals(
    header.params.map(([name]) => name).join(),
    "username,realm,algorithm,nonce,opaque,seq,token,uri,response",
  );
});

Deno.test("auth: quote is the opposite of reading", () => {
  for (const text of ["", "a", 'a"b', "\\", '\\"', "\u00fc\ufeff", "\ufeffx"]) {
    assertEquals(parseAuth(`PC a=${quote(text)}`).params, [["a", text, true]]);
  }
  assertThrows(() => quote("a\nb"), TypeError);
});
