/** An error that ends the program with one line on standard error: its message. */
export class Fatal extends Error {
  override name = "Fatal";

  /** The same error with its first line alone. */
  static of(error: unknown): Fatal {
    return error instanceof Fatal ? error : new Fatal((error as Error).message.split("\n")[0]);
  }
}
