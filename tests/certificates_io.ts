/** Certificates for tests, made when they run: an authority, and certificates that it signs. Needs openssl. */

/** Files in PEM. */
export interface Certificate {
  readonly certificate: string;
  readonly key: string;
}

/** Why no certificates can be made here, or undefined. In continuous integration (`CI=true`) that is an error. */
export async function noOpenssl(): Promise<string | undefined> {
  try {
    await openssl("version");
    return undefined;
  } catch {
    if (Deno.env.get("CI") === "true") throw new Error("CI=true, but openssl is not installed");
    return "skipped: openssl is not installed";
  }
}

async function openssl(...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command("openssl", { args, stdout: "null", stderr: "piped" })
    .output();
  if (!success) throw new Error(`openssl ${args[0]}: ${new TextDecoder().decode(stderr)}`);
}

const NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

/** An authority of its own. @param base path of its files, without their endings */
export async function makeAuthority(base: string, name = "Test authority"): Promise<Certificate> {
  const files = { certificate: `${base}.pem`, key: `${base}.key` };
  await openssl(
    ...["req", "-x509", ...NEW_KEY, "-keyout", files.key, "-out", files.certificate, "-days", "2"],
    ...["-subj", `/CN=${name}`, "-addext", "basicConstraints=critical,CA:TRUE"],
  );
  return files;
}

/** A server's certificate. @param names such as DNS:dbclient.test and IP:127.0.0.1 */
export async function makeCertificate(
  authority: Certificate,
  base: string,
  names: readonly string[],
): Promise<Certificate> {
  const files = { certificate: `${base}.pem`, key: `${base}.key` };
  const [request, extensions] = [`${base}.csr`, `${base}.ext`];
  await openssl("req", ...NEW_KEY, "-keyout", files.key, "-out", request, "-subj", "/CN=server");
  await Deno.writeTextFile(extensions, `subjectAltName=${names.join()}\n`);
  await openssl(
    ...[
      "x509",
      "-req",
      "-in",
      request,
      "-CA",
      authority.certificate,
      "-CAkey",
      authority.key,
      "-CAcreateserial",
    ],
    ...["-out", files.certificate, "-days", "2", "-extfile", extensions],
  );
  return files;
}
