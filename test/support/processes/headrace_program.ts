/**
 * The command line's program, for tests that start it as a process of its own. `npm test` compiles it once, as the
 * package ships it: a start from the sources takes three times as much of the processor.
 */
import { fileURLToPath } from "node:url";
import { COMPILED_VARIABLE } from "../../../scripts/compiled_program.ts";

const SOURCES = fileURLToPath(new URL("../../../scripts/headrace.ts", import.meta.url));

/** Arguments with which Node runs the program. */
export function headraceArguments(args: readonly string[]): string[] {
  const compiled = process.env[COMPILED_VARIABLE];
  const program = compiled === undefined ? ["--import", import.meta.resolve("tsx"), SOURCES] : [compiled];
  return [...program, ...args];
}
