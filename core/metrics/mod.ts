/** Figures of the programs for a monitoring system. */
export * from "./exposition.ts";
export * from "./readiness.ts";
