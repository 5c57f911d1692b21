/** `--modparams`: what is taken from an opensips.cfg, and what is said of mistakes in it. */
import { assertEquals, assertThrows } from "@std/assert";
import { mergeConfig, mergeEntries, parseFlags, UsageError } from "../mod.ts";
import { readModparams } from "./modparams.ts";
import { PROXY_FLAGS } from "./options.ts";

const CONFIG = `
# modparam("auth_db", "max_users", 1)
/* modparam("auth_db", "max_users", 2)
   modparam("auth_db", "max_users", 3) */
listen=udp:192.0.2.1:5060   # "an open quote
loadmodule "auth_db.so"
modparam("usrloc", "db_mode", 2)
modparam("auth_db", "calculate_ha1", 1)
modparam("auth_db", "password_column", "ha1")
modparam( 'auth_db' , "max_users",5000 )
modparam("auth|auth_db",
  "prefetch_delay",
  "0.5")
modparam("auth_db", "hc_enable", 1)
modparam("auth_db", "dbclient_addr", "127.0.0.1")
route {
  if (!proxy_authorize("", "subscriber")) { proxy_challenge("", "0"); exit; }
}
`;

Deno.test("modparams: the lines of auth_db set flags; comments, other modules and routes are passed over", () => {
  const { entries, database } = readModparams("opensips.cfg", CONFIG);
  assertEquals(entries.map(({ name, text }) => [name, text]), [
    ["max_users", "5000"],
    ["prefetch_delay", "0.5"],
    ["hc_enable", "1"],
    ["dbclient_addr", "127.0.0.1"],
  ]);
  assertEquals(database, ["opensips.cfg:8:1: calculate_ha1", "opensips.cfg:9:1: password_column"]);
  const { values } = mergeEntries(PROXY_FLAGS, parseFlags(PROXY_FLAGS, []), entries);
  assertEquals([values.max_users, values.prefetch_delay, values.pc_enable], [5000, 0.5, true]);
});

Deno.test("modparams: the command line goes before the TOML file, and that before the modparams", () => {
  const { entries } = readModparams("a.cfg", CONFIG);
  const line = parseFlags(PROXY_FLAGS, ["--dbclient_addr", "localhost"]);
  const file = mergeConfig(PROXY_FLAGS, line, "a.toml", 'max_users = 7000\ndbclient_addr = "::1"\n');
  const { values } = mergeEntries(PROXY_FLAGS, file, entries);
  assertEquals([values.dbclient_addr, values.max_users, values.prefetch_delay], ["localhost", 7000, 0.5]);
});

Deno.test("modparams: mistakes are told with file, line and column", () => {
  const cases: [string, string][] = [
    ['\n  modparam("auth_db", "max_user", 5)', "a.cfg:2:3: max_user is unknown; did you mean max_users?"],
    [
      'modparam("auth_db", "calculate_ha2", 5)',
      "a.cfg:1:1: calculate_ha2 is unknown; did you mean calculate_ha1?",
    ],
    ['modparam("auth_db", "xyzzyxyzzy", 5)', "a.cfg:1:1: xyzzyxyzzy is unknown"],
    ['modparam("auth_db", "config", "x")', "a.cfg:1:1: config is unknown"],
    ['modparam("auth_db", "max_users")', 'a.cfg:1:1: modparam needs ("auth_db", "name", value)'],
    ['modparam("auth_db", max_users, 5)', 'a.cfg:1:1: modparam needs ("auth_db", "name", value)'],
    ['modparam("auth_db", "max_users", 5', 'a.cfg:1:1: modparam needs ("auth_db", "name", value)'],
  ];
  for (const [text, message] of cases) {
    const error = assertThrows(() => readModparams("a.cfg", text), UsageError);
    assertEquals(error.message.slice(0, message.length), message);
  }
  const { entries } = readModparams("a.cfg", 'modparam("auth_db", "max_users", "many")');
  const error = assertThrows(
    () => mergeEntries(PROXY_FLAGS, parseFlags(PROXY_FLAGS, []), entries),
    UsageError,
  );
  assertEquals(error.message.startsWith('a.cfg:1:1: max_users: "many" is not allowed'), true, error.message);
});

Deno.test("modparams: cut anywhere a file is read or refused, and never anything else", () => {
  for (let end = 0; end <= CONFIG.length; end++) {
    try {
      readModparams("a.cfg", CONFIG.slice(0, end));
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
    }
  }
});
