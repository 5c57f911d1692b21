/** For tests: SIPp as callers that know Digest. */
import { freePort } from "../../proxy/test_process.ts";
import { sipp as startSipp } from "../../uac/test_sipp.ts";

/** The folder of the scenarios. */
export const SCENARIOS: string = new URL("./", import.meta.url).pathname;
/** 20 users with their passwords. */
export const CALLERS: Readonly<Record<string, string>> = Object.fromEntries(
  Array.from({ length: 20 }, (_, i) => [`user${i}`, `password-${i}`]),
);

/** Its media port is its own: several of them run at once. */
export function sipp(dir: string, ...args: readonly string[]): Deno.ChildProcess {
  return startSipp([...args, "-mp", String(freePort())], dir);
}

/** What SIPp counted, from its statistics file. */
export async function counts(dir: string): Promise<{ readonly successful: number; readonly failed: number }> {
  const rows = (await Deno.readTextFile(`${dir}/stat.csv`)).trim().split("\n").map((line) => line.split(";"));
  const value = (name: string) => Number(rows.at(-1)![rows[0].indexOf(name)]);
  return { successful: value("SuccessfulCall(C)"), failed: value("FailedCall(C)") };
}

/**
 * Places calls of {@linkcode CALLERS} with SIPp and Digest.
 *
 * @param proxy host:port where they are sent
 * @param patience how long each response is waited for, ms
 * @param transport of SIPp's option -t
 * @param more options of SIPp
 */
export async function digestCalls(
  { dir, proxy }: { readonly dir: string; readonly proxy: string },
  calls: number,
  password: (user: number) => string,
  patience = 10_000,
  transport = "u1",
  more: readonly string[] = [],
): Promise<{ readonly code: number; readonly successful: number; readonly failed: number }> {
  const users = Array.from(
    { length: 20 },
    (_, i) => `user${i};[authentication username=user${i} password=${password(i)}]`,
  );
  await Deno.writeTextFile(`${dir}/callers.csv`, ["SEQUENTIAL", ...users, ""].join("\n"));
  const caller = sipp(
    dir,
    ...["-sf", `${SCENARIOS}digest_caller.xml`, "-inf", `${dir}/callers.csv`, "-p", String(freePort())],
    ...[
      "-r",
      "100",
      "-m",
      String(calls),
      "-recv_timeout",
      String(patience),
      "-timeout",
      "40",
      "-timeout_error",
    ],
    ...["-t", transport, "-max_socket", "1000", "-trace_stat", "-stf", `${dir}/stat.csv`, ...more, proxy],
  );
  const { code } = await caller.status;
  return { code, ...await counts(dir) };
}
