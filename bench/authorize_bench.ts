/**
 * What PC authentication costs the proxy per request, from the bytes of a parsed message (docs/PROTOCOL.md §11):
 *
 *     deno bench -A bench/authorize_bench.ts
 *
 * One iteration is 1000 requests, one of each of 1000 users: read µs as ns per request, ms as µs. Accepted are 1
 * response MAC and 1 link.
 */
import { loadHashBackend } from "../mod.ts";
import { AuthorizeScene } from "./authorize_scene.ts";

for (const name of ["lanes", "hash-wasm"] as const) {
  const { backend } = await loadHashBackend(name);
  for (const algorithm of ["SHA-1", "MD5", "SHA-256"] as const) {
    const scene = new AuthorizeScene(backend, 1000, 32, algorithm);
    const bench = (group: string, what: string, run: () => void, baseline = false) =>
      Deno.bench({
        name: `${what}${name} ${algorithm}`,
        group,
        baseline: baseline && name === "lanes" && algorithm === "SHA-1",
        fn(b) {
          scene.prepare();
          b.start();
          run();
          b.end();
        },
      });
    bench("authorize a good answer, 1000 users in turn", "", () => scene.authorize(), true);
    bench(
      "authorize a good answer, 1000 users in turn",
      "by objects and strings: ",
      () => scene.authorizeByObjects(),
    );
    bench("bare challenge", "", () => scene.challenge(), true);
    bench("guided challenge", "", () => scene.challengeGuided(), true);
    Deno.bench({
      name: `${name} ${algorithm}`,
      group: "confirmation",
      baseline: name === "lanes" && algorithm === "SHA-1",
      fn(b) {
        scene.prepare();
        scene.accept();
        b.start();
        scene.confirm();
        b.end();
      },
    });
  }
}
