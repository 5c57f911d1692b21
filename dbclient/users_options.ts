/** The command line of `dbclient users`. */
import { type FlagTable, type FlagValues, parseFlags, UsageError } from "../mod.ts";
import { chooseServer, DATABASE_FLAGS, type DatabaseChoice, SERVER_FLAGS } from "./options.ts";

/** Flags of `users`. */
export const USERS_FLAGS = {
  db: {
    ...SERVER_FLAGS.db,
    help: "embedded database, made on first use; or mysql://USER@ADDRESS:PORT,…/NAME",
  },
  d: SERVER_FLAGS.d,
  u: SERVER_FLAGS.u,
  db_host: { ...SERVER_FLAGS.db_host, alias: ["h", "host"] },
  db_port: SERVER_FLAGS.db_port,
  db_password_file: {
    type: "text",
    value: "FILE",
    help: "file with the database password on its first line; or in environment PROXYCHAIN_DB_PASSWORD",
  },
  ...DATABASE_FLAGS,
  realm: { type: "text", value: "REALM", help: "list, export: this realm alone" },
  json: { type: "boolean", help: "list: one JSON object per line" },
  replace: { type: "boolean", help: "add, import: overwrite users that exist; export: a file that exists" },
  store_plain: {
    type: "boolean",
    help: "add, import: store the plain password too; export: write it too, where it is stored",
  },
  password_file: {
    type: "text",
    value: "FILE",
    help: "add, passwd: file with the user's password on its first line",
  },
  P: {
    type: "text",
    alias: ["password"],
    value: "PASSWORD",
    secret: true,
    env: "PROXYCHAIN_USER_PASSWORD",
    help:
      "add, passwd: the user's password; here it shows in ps, so better --password_file, the environment or the prompt",
  },
  hash: SERVER_FLAGS.hash,
} as const satisfies FlagTable;

/** The values of {@linkcode USERS_FLAGS}. */
export type UsersFlagValues = FlagValues<typeof USERS_FLAGS>;

/** Commands, and what stands after each. */
export const USERS_COMMANDS = {
  add: "USER@REALM",
  import: "FILE.csv",
  export: "FILE.csv",
  list: undefined,
  remove: "USER@REALM",
  passwd: "USER@REALM",
} as const;
/** One of {@linkcode USERS_COMMANDS}. */
export type UsersCommand = keyof typeof USERS_COMMANDS;

/** @throws {UsageError} for an unknown command, and for the wrong number of arguments after it */
export function usersCommand(
  positional: readonly string[],
): { readonly command: UsersCommand; readonly what: string } {
  const [command, ...rest] = positional;
  if (command === undefined || !Object.hasOwn(USERS_COMMANDS, command)) {
    const what = command === undefined ? "users needs a command" : `users ${command} is not known`;
    throw new UsageError(`${what}; it takes one of ${Object.keys(USERS_COMMANDS).join(", ")}`);
  }
  const takes = USERS_COMMANDS[command as UsersCommand];
  if (rest.length !== (takes === undefined ? 0 : 1)) {
    throw new UsageError(
      `users ${command} takes ${takes ?? "nothing"} after it, not ${rest.length} arguments`,
    );
  }
  return { command: command as UsersCommand, what: rest[0] ?? "" };
}

/** The database of the flags. */
export function usersDatabase(values: UsersFlagValues, given: ReadonlySet<string>): DatabaseChoice {
  const defaults = parseFlags(SERVER_FLAGS, []).values;
  return chooseServer({ ...defaults, ...values }, given).database;
}
