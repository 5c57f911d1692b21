/** Types of the functions of deno-std/assert/mod.js that this project uses (same names and order as in @std/assert). */
// deno-lint-ignore no-explicit-any
type ErrorClass<E extends Error> = abstract new (...args: any[]) => E;

export declare function assert(expression: unknown, message?: string): asserts expression;
export declare function assertEquals<T>(actual: T, expected: T, message?: string): void;
export declare function assertNotEquals<T>(actual: T, expected: T, message?: string): void;
export declare function assertAlmostEquals(
  actual: number,
  expected: number,
  tolerance?: number,
  message?: string,
): void;
export declare function assertGreater<T>(actual: T, expected: T, message?: string): void;
export declare function assertLess<T>(actual: T, expected: T, message?: string): void;
export declare function assertMatch(actual: string, expected: RegExp, message?: string): void;
export declare function assertStringIncludes(actual: string, expected: string, message?: string): void;
export declare function assertInstanceOf<T extends Error>(
  actual: unknown,
  type: ErrorClass<T>,
  message?: string,
): asserts actual is T;
export declare function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  errorClass?: ErrorClass<E>,
  messageIncludes?: string,
  message?: string,
): E;
export declare function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  errorClass?: ErrorClass<E>,
  messageIncludes?: string,
  message?: string,
): Promise<E>;
export declare function fail(message?: string): never;
