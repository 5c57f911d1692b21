/** Figures of the programs for a monitoring system. */
export * from "./exposition.ts";
export * from "./families.ts";
export * from "./process_families.ts";
export * from "./readiness.ts";
