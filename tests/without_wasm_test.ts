/** Programs go on where there is no WebAssembly: SIP messages are then scanned byte by byte. */
import { assertEquals } from "@std/assert";

const PROGRAM = `
import { messageMemory, SipMessage } from "${new URL("../mod.ts", import.meta.url)}";
import { INVITE } from "${new URL("../core/sip/test_messages.ts", import.meta.url)}";
const message = new SipMessage();
const problem = message.parse(INVITE, 0, INVITE.length);
console.log(problem, messageMemory(1) !== undefined, message.headerCount, message.topVia().branch);
`;

for (const [flags, kernel] of [[[], true], [["--v8-flags=--jitless"], false]] as const) {
  Deno.test(`a message is read with and without the kernel: ${flags}`, async () => {
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["eval", "--quiet", "--no-check", ...flags, PROGRAM],
      cwd: new URL("../", import.meta.url),
    }).output();
    const [out, error] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
    assertEquals(out, `undefined ${kernel} 11 z9hG4bK-18351-1-4\n`, error);
  });
}
