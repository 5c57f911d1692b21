/** The actions of scenarios, compiled to functions. */
import {
  type Address,
  digestHa1,
  type DigestHasher,
  digestMatches,
  HeaderId,
  headerIdOf,
  isMalformed,
  nearest,
  parseAuthAt,
  parseDigestAnswer,
  type Random,
  type SipMessage,
} from "../mod.ts";
import { distributionProblem, sample } from "./distributions.ts";
import type { KeywordHost, MessageContext } from "./keywords.ts";
import { posixRegExp } from "./regexp.ts";
import type { Action, Distribution } from "./scenario.ts";
import { DISTRIBUTIONS } from "./schema.ts";
import { TemplateCompiler } from "./template.ts";
import { type Value, valueNumber, valueText, type VariableRef } from "./variables.ts";

/** What an action does with the call's course: nothing, or it has ended the call; 0 and above: the step to jump to. */
export const CONTINUE = -1;
export const ENDED = -2;

/** An action, ready to be done. Returns {@linkcode CONTINUE}, {@linkcode ENDED} or a step. */
export type CompiledAction<C extends MessageContext> = (call: C) => number;

/** What actions do outside of their call. */
export interface ActionHost<C extends MessageContext> extends KeywordHost {
  readonly random: Random;
  readonly hasher: DigestHasher | undefined;
  /** Whether `<exec command>` is allowed. */
  readonly mayExec: boolean;
  exec(command: string): void;
  log(text: string): void;
  warn(call: C, text: string): void;
  /** Ends the call as failed. */
  fail(call: C, reason: string): void;
  /** No new calls; or an end at once. */
  stop(now: boolean): void;
  /** @throws {Error} one line */
  setDestination(call: C, to: Address, protocol: string): void;
  closeConnection(call: C): void;
}

const decoder = new TextDecoder();
const TRUE = ["true", "1", "yes"];
const isTrue = (text: string | undefined) => TRUE.includes(text?.trim().toLowerCase() ?? "");

/**
 * Compiles an action.
 *
 * @param step the number of its step
 * @param steps how many steps there are
 * @throws {SyntaxError} one line without a place
 */
export function compileAction<C extends MessageContext>(
  { kind, values }: Action,
  host: ActionHost<C>,
  step: number,
  steps: number,
): CompiledAction<C> {
  const { variables, files } = host;
  const compiler = new TemplateCompiler(host, step);
  const text = (name: string) => compiler.compile(values[name] ?? "");
  const targets = () =>
    (values.assign_to ?? "").split(",").map((name) => name.trim()).filter((name) => name !== "");
  const target = () => variables.ref(targets()[0] ?? "");
  const operand = (): (call: C) => number => {
    if (values.variable === undefined) {
      const value = Number(values.value);
      return () => value;
    }
    const ref = variables.ref(values.variable);
    return (call) => valueNumber(variables.get(call, ref));
  };
  const assigning = (make: (call: C) => Value): CompiledAction<C> => {
    const ref = target();
    return (call) => {
      variables.set(call, ref, make(call));
      return CONTINUE;
    };
  };
  const file = () => {
    const place = files.find(values.file);
    if (place >= 0) return files.files[place];
    const like = nearest(values.file, files.names);
    throw new SyntaxError(
      `there is no injection file ${values.file}${like === undefined ? "" : `: did you mean ${like}?`}`,
    );
  };
  const arithmetic = (compute: (a: number, b: number) => number): CompiledAction<C> => {
    const ref = target();
    const second = operand();
    return assigning((call) => compute(valueNumber(variables.get(call, ref)) || 0, second(call)));
  };

  switch (kind) {
    case "ereg":
      return ereg(values, host, targets().map((name) => variables.ref(name)));
    case "log": {
      const message = text("message");
      return (call) => {
        host.log(message(call));
        return CONTINUE;
      };
    }
    case "warning": {
      const message = text("message");
      return (call) => {
        host.warn(call, message(call));
        return CONTINUE;
      };
    }
    case "error": {
      const message = text("message");
      return (call) => {
        host.warn(call, message(call));
        host.fail(call, "error action");
        host.stop(true);
        return ENDED;
      };
    }
    case "assign":
      return assigning(operand());
    case "assignstr":
      return assigning(text("value"));
    case "add":
      return arithmetic((a, b) => a + b);
    case "subtract":
      return arithmetic((a, b) => a - b);
    case "multiply":
      return arithmetic((a, b) => a * b);
    case "divide": {
      if (values.variable === undefined && Number(values.value) === 0) throw new SyntaxError("<divide> by 0");
      return arithmetic((a, b) => b === 0 ? a : a / b);
    }
    case "test": {
      const first = variables.ref(values.variable);
      const second = values.variable2 === undefined ? undefined : variables.ref(values.variable2);
      const constant = Number(values.value);
      const compare = COMPARISONS[values.compare];
      return assigning((call) =>
        compare(
          valueNumber(variables.get(call, first)),
          second === undefined ? constant : valueNumber(variables.get(call, second)),
        )
      );
    }
    case "strcmp": {
      const ref = variables.ref(values.variable);
      const value = text("value");
      return assigning((call) => {
        const [a, b] = [valueText(variables.get(call, ref)), value(call)];
        return a < b ? -1 : a > b ? 1 : 0;
      });
    }
    case "jump": {
      const to = operand();
      if (values.value !== undefined && !(Number(values.value) >= 0 && Number(values.value) < steps)) {
        throw new SyntaxError(`<jump> to ${values.value}: there are the steps 0 to ${steps - 1}`);
      }
      return (call) => {
        const at = Math.trunc(to(call));
        if (at >= 0 && at < steps) return at;
        host.fail(call, `jump to ${at}, which is no step`);
        return ENDED;
      };
    }
    case "lookup": {
      const chosen = file();
      const key = text("key");
      if (chosen.lookup("") === undefined) {
        throw new SyntaxError(`<lookup> needs an index of ${chosen.name}: -infindex ${chosen.name} FIELD`);
      }
      return assigning((call) => chosen.lookup(key(call)) ?? -1);
    }
    case "index":
      file().index(Number(values.field) || 0);
      return () => CONTINUE;
    case "insert": {
      const chosen = file();
      const value = text("value");
      return (call) => {
        chosen.insert(value(call));
        return CONTINUE;
      };
    }
    case "replace": {
      const chosen = file();
      const line = text("line");
      const value = text("value");
      return (call) => {
        const number = Math.trunc(Number(line(call)));
        if (number >= 0 && number < chosen.size) chosen.replace(number, value(call));
        else host.warn(call, `<replace>: ${chosen.name} has no line ${line(call)}`);
        return CONTINUE;
      };
    }
    case "gettimeofday": {
      const [seconds, microseconds] = targets().map((name) => variables.ref(name));
      if (seconds === undefined) throw new SyntaxError("<gettimeofday> needs assign_to");
      return (call) => {
        const ms = host.wallClock();
        variables.set(call, seconds, Math.floor(ms / 1000));
        if (microseconds !== undefined) variables.set(call, microseconds, Math.round(ms % 1000 * 1000));
        return CONTINUE;
      };
    }
    case "setdest": {
      const [name, port, protocol] = [text("host"), text("port"), text("protocol")];
      return (call) => {
        const to = { host: name(call).replace(/^\[|\]$/g, ""), port: Math.trunc(Number(port(call))) };
        try {
          if (!/^[0-9.]+$|:/.test(to.host)) throw new Error(`<setdest>: ${to.host} is no IP address`);
          if (!(to.port > 0 && to.port <= 65535)) throw new Error(`<setdest>: ${port(call)} is no port`);
          host.setDestination(call, to, protocol(call));
          return CONTINUE;
        } catch (error) {
          host.warn(call, (error as Error).message);
          host.fail(call, "setdest");
          return ENDED;
        }
      };
    }
    case "verifyauth": {
      const [username, password] = [text("username"), text("password")];
      const { hasher } = host;
      return assigning((call) =>
        call.received !== undefined && hasher !== undefined &&
        digestIsRight(call.received, hasher, username(call), password(call))
      );
    }
    case "sample": {
      const distribution: Distribution = {
        kind: values.distribution as Distribution["kind"],
        parameters: DISTRIBUTIONS[values.distribution as Distribution["kind"]].map((name) =>
          Number(values[name])
        ),
      };
      const problem = distributionProblem(distribution);
      if (problem !== undefined) throw new SyntaxError(problem);
      return assigning(() => sample(distribution, host.random));
    }
    case "todouble": {
      const ref = variables.ref(values.variable);
      return assigning((call) => {
        const number = valueNumber(variables.get(call, ref));
        return Number.isNaN(number) ? undefined : number;
      });
    }
    case "trim":
      return inPlace(target(), (value) => value.trim());
    case "urlencode":
      return inPlace(variables.ref(values.variable), encodeURIComponent);
    case "urldecode":
      return inPlace(variables.ref(values.variable), (value) => {
        try {
          return decodeURIComponent(value);
        } catch {
          return value;
        }
      });
    case "closecon":
      return (call) => {
        host.closeConnection(call);
        return CONTINUE;
      };
    case "exec":
      return exec(values, host, text);
    default:
      throw new SyntaxError(`unknown action <${kind}>`);
  }

  function inPlace(ref: VariableRef, change: (value: string) => string): CompiledAction<C> {
    return (call) => {
      const value = variables.get(call, ref);
      if (value !== undefined) variables.set(call, ref, change(valueText(value)));
      return CONTINUE;
    };
  }
}

const COMPARISONS: Readonly<Record<string, (a: number, b: number) => boolean>> = {
  equal: (a, b) => a === b,
  not_equal: (a, b) => a !== b,
  greater_than: (a, b) => a > b,
  less_than: (a, b) => a < b,
  greater_than_equal: (a, b) => a >= b,
  less_than_equal: (a, b) => a <= b,
};

function exec<C extends MessageContext>(
  values: Readonly<Record<string, string>>,
  host: ActionHost<C>,
  text: (name: string) => (context: MessageContext) => string,
): CompiledAction<C> {
  if (values.command !== undefined) {
    if (!host.mayExec) throw new SyntaxError("<exec command> is not allowed; --allow_exec allows it");
    const command = text("command");
    return (call) => {
      host.exec(command(call));
      return CONTINUE;
    };
  }
  const order = values.int_cmd;
  return (call) => {
    if (order === "stop_call") {
      host.fail(call, "stop_call");
      return ENDED;
    }
    host.stop(order === "stop_now");
    return CONTINUE;
  };
}

function ereg<C extends MessageContext>(
  values: Readonly<Record<string, string>>,
  host: ActionHost<C>,
  targets: readonly VariableRef[],
): CompiledAction<C> {
  const { variables } = host;
  let pattern: RegExp;
  try {
    pattern = posixRegExp(values.regexp);
  } catch (error) {
    throw new SyntaxError(`regexp: ${(error as Error).message.replace(/^Invalid regular expression: /, "")}`);
  }
  const where = values.search_in ?? "msg";
  const source = where === "var" ? variables.ref(values.variable) : undefined;
  const occurrence = Number(values.occurrence ?? values.occurence ?? 1);
  const header = (values.header ?? "").trim().replace(/:$/, "");
  const mustMatch = isTrue(values.check_it);
  const mustNot = isTrue(values.check_it_inverse);
  return (call) => {
    const { received } = call;
    let text = "";
    if (source !== undefined) text = valueText(variables.get(call, source));
    else if (received !== undefined) {
      if (where === "hdr") text = headerText(received, header, occurrence);
      else {
        const start = where === "body" ? received.bodyStart : received.start;
        text = decoder.decode(received.buffer.subarray(start, received.bodyEnd));
      }
    }
    const match = pattern.exec(text);
    for (let i = 0; i < targets.length; i++) variables.set(call, targets[i], match?.[i]);
    if (match === null ? mustMatch : mustNot) {
      const shown = values.regexp.length > 40 ? `${values.regexp.slice(0, 40)}…` : values.regexp;
      host.fail(call, `regexp ${shown} ${match === null ? "does not match" : "matches"}`);
      return ENDED;
    }
    return CONTINUE;
  };
}

/** The value of the nth line of a header; "" where there is none. A name that is no header is looked for in the text. */
function headerText(message: SipMessage, name: string, occurrence: number): string {
  const id = headerIdOf(name);
  const wanted = name.toLowerCase();
  let seen = 0;
  for (let i = message.first(id); i >= 0; i = message.next(i)) {
    if (
      id === HeaderId.OTHER && message.text(message.nameStart(i), message.nameEnd(i)).toLowerCase() !== wanted
    ) {
      continue;
    }
    if (++seen === occurrence) return message.text(message.valueStart(i), message.valueEnd(i));
  }
  if (/^[-\w]+$/.test(name)) return "";
  const text = decoder.decode(message.buffer.subarray(message.start, message.headersEnd));
  let at = -1;
  for (let i = 0; i < occurrence; i++) {
    at = text.indexOf(name, at + 1);
    if (at < 0) return "";
  }
  const end = text.indexOf("\r", at);
  return text.slice(at + name.length, end < 0 ? text.length : end);
}

/** Whether the request's Digest answer is right for this user: whatever challenge it answers. */
function digestIsRight(
  message: SipMessage,
  hasher: DigestHasher,
  username: string,
  password: string,
): boolean {
  for (const id of [HeaderId.AUTHORIZATION, HeaderId.PROXY_AUTHORIZATION]) {
    for (let i = message.first(id); i >= 0; i = message.next(i)) {
      const header = parseAuthAt(message.buffer, message.valueStart(i), message.valueEnd(i));
      if (header.scheme.toLowerCase() !== "digest") continue;
      const answer = parseDigestAnswer(header);
      if (isMalformed(answer) || answer.username !== username || answer.userhash) continue;
      const { algorithm, realm, nonce, uri, response, protection } = answer;
      const ha1 = digestHa1(hasher, algorithm, username, realm, password);
      const bodyHash = protection?.qop === "auth-int" ? hasher.bytes(algorithm, message.body()) : undefined;
      const input = {
        algorithm,
        nonce,
        method: message.method,
        uri,
        qop: protection?.qop,
        nc: protection?.nc,
        cnonce: protection?.cnonce,
        bodyHash,
      };
      if (digestMatches(hasher, ha1, input, response)) return true;
    }
  }
  return false;
}
