/** Connections to MySQL and MariaDB that can be cut off at once. The driver is mariadb: docs/decisions/mysql_driver.md. */
import mariadb, { type Connection } from "mariadb";
import { connect, type Socket } from "node:net";
import { checkServerIdentity, type ConnectionOptions, getCACertificates } from "node:tls";
import { explain, type MysqlError, type MysqlPlace } from "./mysql_error.ts";
import type { Statement } from "./mysql_sql.ts";

/** How to log in. */
export interface MysqlLogin extends MysqlPlace {
  readonly password: string;
  /** Encrypt, and verify the certificate of the server. */
  readonly tls?: MysqlTls;
}

/** How the certificate of a server is verified. */
export interface MysqlTls {
  /** Certificates that are trusted, PEM; default: the system's. */
  readonly ca?: string;
}

/** The driver knows only the socket that it is given, not where that leads: so the name is verified here. */
function tlsOptions({ host }: MysqlPlace, { ca }: MysqlTls): Pick<ConnectionOptions, "ca"> {
  const options: ConnectionOptions = {
    // Never left out: the driver would then take any certificate of a server that says it is MariaDB 11.4.1 or newer, and
    // verify it by a hash made with the password, which whoever is in the middle has to guess from then on.
    ca: ca ?? getCACertificates("default"),
    checkServerIdentity: (_, certificate) => checkServerIdentity(host, certificate),
  };
  return options;
}

/** A connection and its socket. */
export class MysqlConnection {
  readonly driver: Connection;
  readonly #socket: Socket;
  readonly #place: MysqlPlace;

  private constructor(driver: Connection, socket: Socket, place: MysqlPlace) {
    this.driver = driver;
    this.#socket = socket;
    this.#place = place;
    // Without a listener, an error of a connection that nobody waits for would end the program.
    driver.on("error", () => {});
  }

  /**
   * Logs in.
   *
   * @param timeout ms
   * @throws {MysqlError} (rejects)
   */
  static async open(login: MysqlLogin, timeout: number): Promise<MysqlConnection> {
    let socket: Socket | undefined;
    try {
      const driver = await mariadb.createConnection({
        host: login.host,
        port: login.port,
        user: login.user,
        password: login.password,
        database: login.database,
        connectTimeout: timeout,
        charset: "utf8mb4",
        pipelining: true,
        ssl: login.tls && tlsOptions(login, login.tls),
        stream(use) {
          socket = connect(login.port, login.host);
          socket.setNoDelay(true);
          // With TLS the driver listens to the socket above this one alone.
          socket.on("error", () => {});
          use(undefined, socket);
        },
      });
      return new MysqlConnection(driver, socket!, login);
    } catch (error) {
      socket?.destroy();
      throw explain(error, login);
    }
  }

  get usable(): boolean {
    return this.driver.isValid();
  }

  /**
   * Runs prepared statements, the next sent before the answer to the last has come.
   *
   * @returns rows of each, as arrays
   * @throws {MysqlError} (rejects) with the first that failed, when all have ended
   */
  async execute(statements: readonly Statement[]): Promise<unknown[][][]> {
    const results = await Promise.allSettled(
      statements.map(({ sql, values }) => this.driver.execute({ sql, rowsAsArray: true }, [...values])),
    );
    return results.map((result) => {
      if (result.status === "rejected") throw this.explain(result.reason);
      return result.value as unknown[][];
    });
  }

  explain(error: unknown): MysqlError {
    return explain(error, this.#place);
  }

  /** Cuts it off: what waits for an answer fails. The driver's own destroy would wait for a server that hangs. */
  cut(reason: string): void {
    this.#socket.destroy(new Error(reason));
  }

  async end(): Promise<void> {
    await this.driver.end().catch(() => this.cut("closed"));
  }
}
