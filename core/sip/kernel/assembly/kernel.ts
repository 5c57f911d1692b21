// deno-lint-ignore-file
// @ts-nocheck AssemblyScript
/** What the host calls. Nothing is allocated here; addresses are those of layout.ts, or given out by the host. */
import { scan } from "./lines.ts";
import { readMessage } from "./message.ts";
import { setMultiplier } from "./names.ts";

export { readMessage, scan, setMultiplier };
