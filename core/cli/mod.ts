/** Command lines of the programs. */
export * from "./first_line.ts";
export * from "./flags.ts";
export * from "./log.ts";
export * from "./name_pattern.ts";
export * from "./nearest.ts";
export * from "./observation_flags.ts";
export * from "./config.ts";
