/** Writes docs/TRANSACTIONS.md from the tables of core/sip/transaction_tables.ts: `deno run --allow-read --allow-write docs/transactions.ts`. */
import { MACHINES, mermaid } from "../mod.ts";

/** Where each machine is defined. */
const SOURCE: Readonly<Record<string, string>> = {
  "INVITE client": "RFC 3261 §17.1.1, figure 5, with RFC 6026",
  "non-INVITE client": "RFC 3261 §17.1.2, figure 6",
  "INVITE server": "RFC 3261 §17.2.1, figure 7, with RFC 6026",
  "non-INVITE server": "RFC 3261 §17.2.2, figure 8",
};

/** The text of docs/TRANSACTIONS.md. */
export function transactionsDocument(): string {
  const sections = MACHINES.map((machine) =>
    `## ${machine.name} transaction\n\n${SOURCE[machine.name] ?? ""}\n\n\`\`\`mermaid\n${
      mermaid(machine).trim()
    }\n\`\`\`\n`
  );
  return `# Transaction state machines\n\nDrawn from core/sip/transaction_tables.ts by docs/transactions.ts; a test compares the two.\n\n${
    sections.join("\n")
  }`;
}

if (import.meta.main) {
  Deno.writeTextFileSync(new URL("TRANSACTIONS.md", import.meta.url), transactionsDocument());
}
