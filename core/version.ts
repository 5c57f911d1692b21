/** The version of this project, as in deno.json; a test compares the two. */
export const VERSION = "0.1.0";
