/** The variables of scenarios: of a call, of a user, or of the whole run. */

/** What a variable holds; undefined: it is not set. */
export type Value = string | number | boolean | undefined;

/** Where a variable is kept. */
export interface VariableRef {
  readonly name: string;
  readonly scope: "call" | "user" | "global";
  readonly slot: number;
}

/** What holds variables of the scope "call" and "user". */
export interface VariableHolder {
  readonly variables: Value[];
  /** Shared by the calls of one user. */
  userVariables: Value[];
}

/** All variables of a run, by name. */
export class Variables {
  readonly globals: Value[] = [];
  readonly #refs = new Map<string, VariableRef>();
  readonly #counts = { call: 0, user: 0, global: 0 };
  readonly #globalNames = new Set<string>();
  readonly #userNames = new Set<string>();

  /** Variables of the scope "call". */
  get callCount(): number {
    return this.#counts.call;
  }
  get userCount(): number {
    return this.#counts.user;
  }
  /** All that are used, in the order of their first use. */
  get all(): Iterable<VariableRef> {
    return this.#refs.values();
  }

  /** Names of further scopes; before the first {@linkcode ref}. */
  declare(globals: Iterable<string>, users: Iterable<string>): void {
    for (const name of globals) this.#globalNames.add(name);
    for (const name of users) this.#userNames.add(name);
  }

  /** The place of a variable, new at the first call. */
  ref(name: string): VariableRef {
    let ref = this.#refs.get(name);
    if (ref === undefined) {
      const scope = this.#globalNames.has(name) ? "global" : this.#userNames.has(name) ? "user" : "call";
      ref = { name, scope, slot: this.#counts[scope]++ };
      this.#refs.set(name, ref);
    }
    return ref;
  }

  get(holder: VariableHolder, { scope, slot }: VariableRef): Value {
    return scope === "call"
      ? holder.variables[slot]
      : scope === "user"
      ? holder.userVariables[slot]
      : this.globals[slot];
  }

  set(holder: VariableHolder, { scope, slot }: VariableRef, value: Value): void {
    if (scope === "call") holder.variables[slot] = value;
    else if (scope === "user") holder.userVariables[slot] = value;
    else this.globals[slot] = value;
  }

  /** Whether a test of it holds: it has a value, and this is not false. */
  isSet(holder: VariableHolder, ref: VariableRef): boolean {
    const value = this.get(holder, ref);
    return value !== undefined && value !== false;
  }
}

/** A value as SIPp writes it into messages. */
export function valueText(value: Value): string {
  if (value === undefined) return "";
  return typeof value === "number" ? value.toFixed(6) : String(value);
}

/** A value as a number, by C's strtod; NaN where it is none. */
export function valueNumber(value: Value): number {
  if (typeof value === "number") return value;
  if (typeof value === "boolean") return value ? 1 : 0;
  return value === undefined ? NaN : parseFloat(value);
}
