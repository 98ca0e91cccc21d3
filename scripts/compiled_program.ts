/** Compiles the command `headrace` once for a run of the tests. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../", import.meta.url));

/** The variable that names the compiled program to tests. Without it they run the sources. */
export const COMPILED_VARIABLE = "TEST_HEADRACE_COMPILED";

/** Compiles the program as in the package. Answers its path, or why the build failed. */
export function compileProgram(): { readonly path: string } | { readonly failure: string } {
  const build = spawnSync(process.execPath, ["--import", "tsx", "scripts/build.ts"], { cwd: ROOT, encoding: "utf8" });
  if (build.status !== 0) return { failure: `${build.stdout}${build.stderr}` };
  return { path: join(ROOT, "dist", "scripts", "headrace.js") };
}
