/** The parameters of one challenge, answer or confirmation as fields that a scheme takes one by one, with named faults. */
import type { AuthHeader } from "./auth_params.ts";

/** A header that breaks its scheme: "`field` `problem`" reads as a reason. */
export interface MalformedAuth {
  /** The parameter at fault, "" when the list itself is broken before any name. */
  readonly field: string;
  readonly problem: string;
}

/** Leaves a parser at the first fault; {@linkcode parseFields} turns it into a {@linkcode MalformedAuth}. */
export class AuthFault extends Error {
  constructor(readonly field: string, readonly problem: string) {
    super(`${field}: ${problem}`);
  }
}

/** The known parameters of one header value, each at most once; unknown ones are ignored. */
export class AuthFields {
  readonly #values = new Map<string, string>();

  /**
   * @param names parameters that the scheme knows, in lower case
   * @throws {AuthFault} when a known one stands twice, or the list is broken
   */
  constructor(header: AuthHeader, names: ReadonlySet<string>) {
    for (const [name, value] of header.params) {
      if (!names.has(name)) continue;
      if (this.#values.has(name)) throw new AuthFault(name, "stands twice");
      this.#values.set(name, value);
    }
    if (header.error !== undefined) {
      const { field, text } = header.error;
      throw new AuthFault(field, field === "" ? text : text.slice(field.length + 1));
    }
  }

  /** Whether the parameter is there. */
  has(name: string): boolean {
    return this.#values.has(name);
  }

  /** The value, or undefined where there is none. */
  optional(name: string): string | undefined {
    return this.#values.get(name);
  }

  /** The value of a parameter that has to be there. */
  text(name: string): string {
    const value = this.#values.get(name);
    if (value === undefined) throw new AuthFault(name, "is missing");
    return value;
  }
}

/** Runs a parser; a fault in it becomes its result. */
export function parseFields<T>(parse: () => T): T | MalformedAuth {
  try {
    return parse();
  } catch (error) {
    if (error instanceof AuthFault) return { field: error.field, problem: error.problem };
    throw error;
  }
}

/** Whether a parser's result is a complaint. */
export function isMalformed<T extends object>(result: T | MalformedAuth): result is MalformedAuth {
  return "problem" in result;
}
