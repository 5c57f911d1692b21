import { assertEquals, assertRejects } from "@std/assert";
import { Coalescer } from "./coalescer.ts";
import { type HashColumn, StoreError } from "./subscriber.ts";

/** A database that answers when it is told to. */
class Database {
  readonly batches: { readonly users: string[]; readonly column: HashColumn; readonly deadline: number }[] =
    [];
  readonly #answers: PromiseWithResolvers<string[]>[] = [];
  /** Questions and users of the batches that were answered. */
  readonly answered: [number, number][] = [];
  time = 0;
  readonly coalescer: Coalescer<string>;

  constructor(lanes = 1, maxUsers = 1000, maxWaiting = 5000) {
    this.coalescer = new Coalescer<string>({
      lanes,
      maxUsers,
      maxWaiting,
      timeout: 100,
      now: () => this.time,
      onBatch: ({ questions, users }) => this.answered.push([questions, users]),
      send: (users, column, deadline) => {
        this.batches.push({ users: users.map((user) => user.username), column, deadline });
        const answer = Promise.withResolvers<string[]>();
        this.#answers.push(answer);
        return answer.promise;
      },
    });
  }

  ask(names: string, column: HashColumn = "ha1"): Promise<string[]> {
    return this.coalescer.ask(names.split(" ").map((username) => ({ username, realm: "a.example" })), column);
  }

  async answer(): Promise<void> {
    const { users } = this.batches[this.batches.length - this.#answers.length];
    this.#answers.shift()!.resolve(users.map((name) => name.toUpperCase()));
    await turns();
  }

  async fail(error: Error): Promise<void> {
    this.#answers.shift()!.reject(error);
    await turns();
  }

  get sent(): string[] {
    return this.batches.map(({ users }) => users.join(" "));
  }
}

/** Lets everything happen that waits for promises. */
const turns = () => new Promise<void>((resolve) => setTimeout(resolve));

Deno.test("a question goes at once; those that come meanwhile go together, by column", async () => {
  const database = new Database();
  const first = database.ask("a b");
  await turns();
  assertEquals(database.sent, ["a b"]);
  const others = Promise.all([database.ask("c"), database.ask("d e"), database.ask("f", "ha1_sha256")]);
  await turns();
  assertEquals(database.sent.length, 1);
  await database.answer();
  assertEquals(await first, ["A", "B"]);
  assertEquals(database.sent, ["a b", "c d e"]);
  await database.answer();
  assertEquals(database.batches[2].column, "ha1_sha256");
  await database.answer();
  assertEquals(await others, [["C"], ["D", "E"], ["F"]]);
  assertEquals(database.answered, [[1, 2], [2, 3], [1, 1]]);
  assertEquals(database.coalescer.open, 0);
});

Deno.test("questions of one turn go together; several lanes; batches have a limit", async () => {
  const database = new Database(2, 4);
  const answers = Promise.all(["a b", "c", "d e f", "g h i j k l", "m"].map((names) => database.ask(names)));
  await turns();
  assertEquals(database.sent, ["a b c", "d e f"]);
  for (let i = 0; i < 4; i++) await database.answer();
  assertEquals(database.sent.slice(2), ["g h i j k l", "m"]);
  assertEquals((await answers).map((rows) => rows.length), [2, 1, 3, 6, 1]);
});

Deno.test("too many that wait are refused; an error is that of its batch alone", async () => {
  const database = new Database(1, 1000, 3);
  const first = database.ask("a");
  await turns();
  const second = database.ask("b c");
  await assertRejects(() => database.ask("d e"), StoreError, "2 users wait for the database already");
  const failed = assertRejects(() => first, Error, "gone");
  await database.fail(new Error("gone"));
  await failed;
  await database.answer();
  assertEquals(await second, ["B", "C"]);
});

Deno.test("time is counted from the question on, waiting included; a late answer is nobody's", async () => {
  const database = new Database();
  const first = database.ask("a");
  await turns();
  database.time = 60;
  const second = database.ask("b");
  const late = assertRejects(() => first, StoreError, "no answer in time");
  database.time = 101;
  database.coalescer.expire(database.time);
  await late;
  assertEquals(database.coalescer.open, 1);
  await database.answer();
  assertEquals(database.batches.map(({ deadline }) => deadline), [100, 160]);
  const waiting = assertRejects(() => database.ask("c"), StoreError, "no answer in time");
  const alsoLate = assertRejects(() => second, StoreError, "no answer in time");
  database.coalescer.expire(1000);
  await Promise.all([waiting, alsoLate]);
  await database.answer();
  assertEquals(database.sent, ["a", "b"]);
  const again = database.ask("d");
  await turns();
  await database.answer();
  assertEquals(await again, ["D"]);
});
