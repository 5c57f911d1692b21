import { assertEquals, assertThrows } from "@std/assert";
import { MAX_REQUEST_LENGTH, parseFlags, UsageError } from "../mod.ts";
import { DEFAULT_LIMITS } from "./limits.ts";
import { checkLink, limitsOf, LINK_FLAGS, workersOf } from "./link_options.ts";

const read = (...args: string[]) => parseFlags(LINK_FLAGS, args).values;

Deno.test("links: the defaults of the flags are those of the server", () => {
  assertEquals(limitsOf(read()), DEFAULT_LIMITS);
  assertEquals(limitsOf(read("--idle_timeout", "2", "--max_frame", "600000")), {
    ...DEFAULT_LIMITS,
    idleMs: 2000,
    frameBytes: 600_000,
  });
});

Deno.test("links: no limit of a frame is below what a proxy may send at once", () => {
  assertEquals(read("--max_frame", String(MAX_REQUEST_LENGTH)).max_frame, MAX_REQUEST_LENGTH);
  assertThrows(() => read("--max_frame", String(MAX_REQUEST_LENGTH - 1)), UsageError, "--max_frame");
});

Deno.test("links: one worker for each core on Linux, elsewhere one", () => {
  const linux = { os: "linux", cores: 8 };
  const other = { os: "darwin", cores: 8 };
  assertEquals([workersOf(read(), linux), workersOf(read("--workers", "3"), linux)], [8, 3]);
  assertEquals([workersOf(read(), other), workersOf(read("--workers", "1"), other)], [1, 1]);
  assertThrows(() => workersOf(read("--workers", "2"), other), UsageError, "needs Linux");
});

Deno.test("links: off loopback they take both TLS and a key; halves and doubles are refused", () => {
  const tls = ["--tls_certificate", "c", "--tls_private_key", "k"];
  for (const host of ["127.0.0.1", "::1", "localhost"]) checkLink(host, read(), false);
  checkLink("192.0.2.1", read(...tls), true);
  assertThrows(() => checkLink("192.0.2.1", read(...tls), false), UsageError, "that needs a key");
  assertThrows(() => checkLink("0.0.0.0", read(), true), UsageError, "that needs TLS (");
  assertThrows(
    () => checkLink("::", read(), false),
    UsageError,
    "that needs TLS (--tls_certificate FILE, --tls_private_key FILE) and a key",
  );
  assertThrows(() => checkLink("::1", read(...tls.slice(2)), true), UsageError, "needs both");
  assertThrows(
    () => checkLink("::1", read("--key_file", "a", "--keys_file", "b"), true),
    UsageError,
    "one of them",
  );
});
