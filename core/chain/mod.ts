/** The PC scheme itself: docs/PROTOCOL.md §2 to §8. */
export * from "./agent.ts";
export * from "./agent_chain.ts";
export * from "./agent_types.ts";
export * from "./constants.ts";
export * from "./derive.ts";
export * from "./derive_many.ts";
export * from "./mac.ts";
export * from "./mac_text.ts";
export * from "./pc_answer_view.ts";
export * from "./pc_header.ts";
export * from "./policy.ts";
export * from "./vectors.ts";
export * from "./verdict.ts";
export * from "./verifier.ts";
export * from "./window.ts";
