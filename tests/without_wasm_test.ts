/** Programs go on where there is no WebAssembly: SIP messages are then scanned byte by byte, and noble does the hashing. */
import { assertEquals } from "@std/assert";

const PROGRAM = `
import { loadHashBackend, messageMemory, SipMessage, toHex } from "${new URL("../mod.ts", import.meta.url)}";
import { INVITE } from "${new URL("../core/sip/test_messages.ts", import.meta.url)}";
const message = new SipMessage();
const problem = message.parse(INVITE, 0, INVITE.length);
console.log(problem, messageMemory(1) !== undefined, message.headerCount, message.topVia().branch);
const { backend, warning } = await loadHashBackend();
const abc = toHex(backend.get("SHA-1").digest(new TextEncoder().encode("abc")));
console.log(backend.name, backend.many("SHA-1").backend, warning?.match(/\\S+ does not start/g)?.join(), abc);
`;

for (const [flags, kernel] of [[[], true], [["--v8-flags=--jitless"], false]] as const) {
  Deno.test(`messages are read and hashes made with and without WebAssembly: ${flags}`, async () => {
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["eval", "--quiet", "--no-check", ...flags, PROGRAM],
      cwd: new URL("../", import.meta.url),
    }).output();
    const [out, error] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
    const failed = "lanes does not start,lanes-scalar does not start,hash-wasm does not start";
    const hashes = kernel ? "lanes lanes undefined" : `noble noble ${failed}`;
    const abc = "a9993e364706816aba3e25717850c26c9cd0d89d";
    assertEquals(out, `undefined ${kernel} 11 z9hG4bK-18351-1-4\n${hashes} ${abc}\n`, error);
  });
}
