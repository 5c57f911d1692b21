/** What the driver says of a fault, in one line for the operator, without a secret. */
import { firstLine } from "../mod.ts";
import { StoreError } from "./subscriber.ts";

/** Where and as whom. */
export interface MysqlPlace {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly database: string;
  readonly table: string;
}

/** A fault of one node. */
export class MysqlError extends StoreError {
  /**
   * @param lasting the operator has to do something about it: asking again does not help
   * @param code the server's name of it, such as ER_DUP_ENTRY
   */
  constructor(message: string, readonly lasting: boolean, readonly code?: string) {
    super(message);
  }
}

interface DriverError {
  readonly code?: string;
  readonly sqlMessage?: string;
}

/** `mysql://user@host:port/database`. */
export function mysqlUrl({ user, database }: MysqlPlace, hosts: string): string {
  return `mysql://${user}@${hosts}/${database}`;
}

/** A node's address, as in a URL. */
export function nodeName({ host, port }: { readonly host: string; readonly port: number }): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** One line that names what the operator has to look at. */
export function explain(error: unknown, place: MysqlPlace): MysqlError {
  if (error instanceof MysqlError) return error;
  const { code, sqlMessage } = error as DriverError;
  const said = (sqlMessage ?? firstLine(error)).split("\n", 1)[0];
  const lasting = (text: string) =>
    new MysqlError(`${mysqlUrl(place, nodeName(place))}: ${text}`, true, code);
  const { user, database, table } = place;
  switch (code) {
    case "ER_ACCESS_DENIED_ERROR":
    case "ER_DBACCESS_DENIED_ERROR":
      return lasting(`access denied for user ${user}: wrong password or missing rights`);
    case "ER_BAD_DB_ERROR":
      return lasting(`there is no database ${database}`);
    case "ER_NO_SUCH_TABLE":
      return lasting(`there is no table ${table}`);
    case "ER_TABLEACCESS_DENIED_ERROR":
    case "ER_COLUMNACCESS_DENIED_ERROR": {
      const right = /^\(?(?:conn[^)]*\) )?(\w+(?:, \w+)*) command denied/.exec(said)?.[1] ?? "SELECT";
      return lasting(`user ${user} has no right to ${right} on table ${table}`);
    }
    case "ER_BAD_FIELD_ERROR": {
      const column = /'([^']+)'/.exec(said)?.[1];
      return lasting(column === undefined ? said : `table ${table} has no column ${column}`);
    }
    default: {
      const text = `${code === undefined || said.includes(code) ? "" : `${code}: `}${said}`;
      return new MysqlError(`${mysqlUrl(place, nodeName(place))}: ${text}`, false, code);
    }
  }
}
