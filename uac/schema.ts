/**
 * The elements of SIPp's scenarios and their attributes: one table from which files are read and checked. `unsupported`
 * is what SIPp has and this program has not, with the reason.
 */

/** What an attribute takes. */
export type AttributeType = "text" | "boolean" | "number" | "integer" | readonly string[];

/** An element. */
export interface ElementSpec {
  readonly attributes: Readonly<Record<string, AttributeType>>;
  /** Attributes without which it makes no sense. */
  readonly required?: readonly string[];
  readonly children?: readonly string[];
  readonly unsupported?: string;
}

const COMMON = {
  start_rtd: "text",
  rtd: "text",
  repeat_rtd: "boolean",
  crlf: "boolean",
  next: "text",
  test: "text",
  chance: "number",
  condexec: "text",
  condexec_inverse: "boolean",
  counter: "text",
  hide: "boolean",
  display: "text",
} as const;

/** Distributions of a pause or sample, with their parameters. */
export const DISTRIBUTIONS = {
  fixed: ["value"],
  uniform: ["min", "max"],
  normal: ["mean", "stdev"],
  lognormal: ["mean", "stdev"],
  exponential: ["mean"],
  weibull: ["lambda", "k"],
  pareto: ["k", "x_m"],
  gamma: ["k", "theta"],
  negbin: ["p", "n"],
} as const satisfies Readonly<Record<string, readonly string[]>>;

const DISTRIBUTION = {
  distribution: Object.keys(DISTRIBUTIONS),
  value: "number",
  min: "number",
  max: "number",
  mean: "number",
  stdev: "number",
  lambda: "number",
  k: "number",
  x_m: "number",
  theta: "number",
  p: "number",
  n: "number",
} as const;

/** The elements that are steps of a call. */
export const STEPS: Readonly<Record<string, ElementSpec>> = {
  send: {
    attributes: { ...COMMON, retrans: "integer", lost: "number", start_txn: "text", ack_txn: "text" },
    children: ["action"],
  },
  recv: {
    attributes: {
      ...COMMON,
      response: "integer",
      request: "text",
      optional: ["true", "false", "global"],
      ignoresdp: "boolean",
      rrs: "boolean",
      auth: "boolean",
      lost: "number",
      timeout: "integer",
      timeout_variable: "text",
      ontimeout: "text",
      regexp_match: "boolean",
      response_txn: "text",
    },
    children: ["action"],
  },
  pause: {
    attributes: {
      ...COMMON,
      milliseconds: "number",
      variable: "text",
      sanity_check: "boolean",
      ...DISTRIBUTION,
    },
    children: ["action"],
  },
  nop: { attributes: COMMON, children: ["action"] },
  label: { attributes: { id: "text" }, required: ["id"] },
  timewait: {
    attributes: {
      ...COMMON,
      milliseconds: "number",
      variable: "text",
      sanity_check: "boolean",
      ...DISTRIBUTION,
    },
  },
  sendCmd: { attributes: { ...COMMON, dest: "text" }, unsupported: "3PCC is not supported" },
  recvCmd: {
    attributes: { ...COMMON, src: "text" },
    children: ["action"],
    unsupported: "3PCC is not supported",
  },
};

/** What stands in `<scenario>` besides the steps. */
export const SECTIONS: Readonly<Record<string, ElementSpec>> = {
  Reference: { attributes: { variables: "text" }, required: ["variables"] },
  Global: { attributes: { variables: "text" }, required: ["variables"] },
  User: { attributes: { variables: "text" }, required: ["variables"] },
  ResponseTimeRepartition: { attributes: { value: "text" }, required: ["value"] },
  CallLengthRepartition: { attributes: { value: "text" }, required: ["value"] },
  init: { attributes: {}, children: ["nop", "label", "pause"] },
};

const OPERATION: ElementSpec = {
  attributes: { assign_to: "text", value: "number", variable: "text" },
  required: ["assign_to"],
};

/** The actions in `<action>`. */
export const ACTIONS: Readonly<Record<string, ElementSpec>> = {
  ereg: {
    attributes: {
      regexp: "text",
      search_in: ["msg", "hdr", "body", "var"],
      header: "text",
      variable: "text",
      case_indep: "boolean",
      occurrence: "integer",
      occurence: "integer",
      start_line: "boolean",
      check_it: "boolean",
      check_it_inverse: "boolean",
      assign_to: "text",
    },
    required: ["regexp"],
  },
  log: { attributes: { message: "text" }, required: ["message"] },
  warning: { attributes: { message: "text" }, required: ["message"] },
  error: { attributes: { message: "text" }, required: ["message"] },
  assign: OPERATION,
  add: OPERATION,
  subtract: OPERATION,
  multiply: OPERATION,
  divide: OPERATION,
  assignstr: { attributes: { assign_to: "text", value: "text" }, required: ["assign_to", "value"] },
  test: {
    attributes: {
      assign_to: "text",
      variable: "text",
      compare: ["equal", "not_equal", "greater_than", "less_than", "greater_than_equal", "less_than_equal"],
      value: "number",
      variable2: "text",
    },
    required: ["assign_to", "variable", "compare"],
  },
  strcmp: {
    attributes: { assign_to: "text", variable: "text", value: "text" },
    required: ["assign_to", "variable", "value"],
  },
  jump: { attributes: { value: "integer", variable: "text" } },
  lookup: {
    attributes: { assign_to: "text", file: "text", key: "text" },
    required: ["assign_to", "file", "key"],
  },
  insert: { attributes: { file: "text", value: "text" }, required: ["file", "value"] },
  replace: { attributes: { file: "text", line: "text", value: "text" }, required: ["file", "line", "value"] },
  gettimeofday: { attributes: { assign_to: "text" }, required: ["assign_to"] },
  setdest: {
    attributes: { host: "text", port: "text", protocol: "text" },
    required: ["host", "port", "protocol"],
  },
  verifyauth: {
    attributes: { assign_to: "text", username: "text", password: "text" },
    required: ["assign_to", "username", "password"],
  },
  sample: { attributes: { assign_to: "text", ...DISTRIBUTION }, required: ["assign_to", "distribution"] },
  todouble: { attributes: { assign_to: "text", variable: "text" }, required: ["assign_to", "variable"] },
  trim: { attributes: { assign_to: "text" }, required: ["assign_to"] },
  urlencode: { attributes: { variable: "text" }, required: ["variable"] },
  urldecode: { attributes: { variable: "text" }, required: ["variable"] },
  index: { attributes: { file: "text", field: "text", name: "text" }, required: ["file", "field"] },
  closecon: { attributes: {} },
  exec: {
    attributes: {
      command: "text",
      int_cmd: ["stop_call", "stop_gracefully", "stop_now"],
      play_pcap_audio: "text",
      play_pcap_video: "text",
      play_pcap_image: "text",
      play_dtmf: "text",
      rtp_stream: "text",
      rtp_echo: "text",
    },
  },
};

/** Attributes of exec that need media, which this program has not. */
export const MEDIA: readonly string[] = [
  "play_pcap_audio",
  "play_pcap_video",
  "play_pcap_image",
  "play_dtmf",
  "rtp_stream",
  "rtp_echo",
];
