import { assertEquals } from "@std/assert";
import { type DbclientConnection, DbclientUnavailable } from "../mod.ts";
import { DbclientService } from "./dbclient_service_io.ts";

/** A connection that is made, or given up, when the test says so. */
class SlowConnection {
  connected = false;
  asked = 0;
  begin!: (made: boolean) => void;
  readonly #begun = new Promise<boolean>((resolve) => this.begin = resolve);

  async whenConnected(): Promise<boolean> {
    return this.connected = await this.#begun;
  }

  issue(): Promise<[]> {
    this.asked++;
    return this.connected ? Promise.resolve([]) : Promise.reject(new DbclientUnavailable("not connected"));
  }
}

const ask = (service: DbclientService) => new Promise((resolve) => service.issue("SHA-1", [], resolve));

Deno.test("a question before the first connection waits for it; later ones are refused at once when there is none", async () => {
  for (const made of [true, false]) {
    const connection = new SlowConnection();
    const logs: string[] = [];
    const service = new DbclientService(
      connection as unknown as DbclientConnection,
      (event) => void logs.push(event),
    );
    const early = ask(service);
    await Promise.resolve();
    assertEquals(connection.asked, 0);
    connection.begin(made);
    assertEquals(await early, made ? [] : undefined);
    connection.connected = false;
    assertEquals(await ask(service), undefined);
    assertEquals([connection.asked, logs], [2, []]);
  }
});
