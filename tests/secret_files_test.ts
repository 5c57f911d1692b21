import { assertEquals, assertMatch } from "@std/assert";
import { selfSigned } from "../core/io/test_certificate.ts";
import { readKeys, readTls } from "../dbclient/link_files_io.ts";
import { databasePassword } from "../dbclient/password_io.ts";

Deno.test("files with secrets that others may read are warned of, each by its flag", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const secret = `${dir}/secret`;
    const [certificate, privateKey] = [`${dir}/cert.pem`, `${dir}/key.pem`];
    const { cert, key } = await selfSigned("dbclient.example.com");
    await Deno.writeTextFile(secret, "000102030405060708090a0b0c0d0e0f\n", { mode: 0o600 });
    await Deno.writeTextFile(certificate, cert);
    await Deno.writeTextFile(privateKey, key, { mode: 0o600 });
    const warnings: string[] = [];
    const warn = (line: string) => void warnings.push(line);
    const readAll = () => {
      readKeys({ key_file: secret, keys_file: undefined }, warn);
      readTls({ tls_certificate: certificate, tls_private_key: privateKey }, warn);
      const database = { kind: "mysql", password: undefined } as Parameters<typeof databasePassword>[0];
      databasePassword(database, { P: undefined, password_file: secret }, new Set(), warn);
    };
    readAll();
    assertEquals(warnings, []);
    await Deno.chmod(secret, 0o604);
    await Deno.chmod(privateKey, 0o640);
    readAll();
    assertEquals(warnings.map((line) => line.split(" ")[1]), [
      "--key_file:",
      "--tls_private_key:",
      "--password_file:",
    ]);
    for (const line of warnings) assertMatch(line, /^warning: .* \(mode 6[04][04]\); it takes chmod 600$/);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
