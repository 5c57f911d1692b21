/** For tests: certificates that openssl makes. */
import type { TlsIdentity } from "./stream_transport.ts";

/** A certificate for a name that signs itself, with its key. */
export async function selfSigned(name: string): Promise<TlsIdentity> {
  const folder = await Deno.makeTempDir();
  try {
    const [key, cert] = [`${folder}/key.pem`, `${folder}/cert.pem`];
    const { success, stderr } = await new Deno.Command("openssl", {
      // deno-fmt-ignore
      args: ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
        "-subj", `/CN=${name}`, "-addext", `subjectAltName=DNS:${name},IP:127.0.0.1`,
        "-addext", "basicConstraints=critical,CA:FALSE", "-keyout", key, "-out", cert],
      stderr: "piped",
    }).output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
    return { cert: await Deno.readTextFile(cert), key: await Deno.readTextFile(key) };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
