import { assertEquals, assertMatch } from "@std/assert";
import { parseFlags } from "../mod.ts";
import { linkKey } from "../dbclient/password_io.ts";
import { readKeys, warnOfAccess } from "../proxy/dbclient_files_io.ts";
import { PROXY_FLAGS } from "../proxy/options.ts";

Deno.test("a key is the first line of its file, at the proxy as at DBclient; others that may read it are warned of", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const key_file = `${dir}/key`;
    const hex = "000102030405060708090a0b0c0d0e0f";
    for (const rest of ["", "\n", "\n# of edge-1\n", "\r\nmore"]) {
      await Deno.writeTextFile(key_file, hex + rest, { mode: 0o600 });
      assertEquals(readKeys({ key_file }), [linkKey(key_file, () => {})!]);
      assertEquals(readKeys({ key_file })[0].length, 16);
    }
    const flags = [
      "--key_file",
      key_file,
      "--tls_private_key",
      key_file,
      "--location_password_file",
      key_file,
    ];
    const { values } = parseFlags(PROXY_FLAGS, flags);
    const warnings: string[] = [];
    warnOfAccess(values, (line) => warnings.push(line));
    assertEquals(warnings, []);
    await Deno.chmod(key_file, 0o640);
    warnOfAccess(values, (line) => warnings.push(line));
    assertEquals(warnings.map((line) => line.split(" ")[1]), [
      "--key_file:",
      "--tls_private_key:",
      "--location_password_file:",
    ]);
    assertMatch(warnings[0], /\/key may be read or changed by others \(mode 640\); it takes chmod 600$/);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
