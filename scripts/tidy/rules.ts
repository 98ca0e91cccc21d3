/** What tidy holds the tree to. Only lists: the checks are beside it. */

/** A folder may import itself and those before it. */
export const FOLDER_ORDER = ["deps.ts", "protocols", "models", "actors", "supervisors", "scripts"] as const;
/** Import everything, and nothing imports them. */
export const FREE_FOLDERS = ["bench", "test"] as const;
/** Hold tests: the published suites are ones that others run as well. */
export const TEST_FOLDERS: readonly string[] = ["test/", "supervisors/conformance/"];
/** Imports `protocols/` only. */
export const DASHBOARD = "dashboard";

/** What every station may use. */
export const KERNEL = "actors/kernel/";

/** Who may name npm packages themselves. */
export const PACKAGE_OWNERS: readonly string[] = ["deps.ts", "test/", "bench/", "dashboard/"];
/** nact stays below the kernel, in types too. */
export const NACT_OWNERS: readonly string[] = ["deps.ts", KERNEL, "test/", "bench/"];

/** The drivers that one station alone may load. */
export const DRIVER_OWNERS: Readonly<Record<string, readonly string[]>> = {
  nact: NACT_OWNERS,
  onnxruntime: ["deps.ts", "actors/enrichment/", "test/", "bench/"],
};

/** A model is a folder below it: these files, and the definition `<name>_model.ts`. */
export const MODELS = "models";
export const MODEL_FILES: readonly string[] = ["card.ts", "model.onnx", "train.py"];

/** Run in browsers and on the edge as well: Web standards only. */
export const NEUTRAL_FOLDERS: readonly string[] = ["protocols/", "models/"];
export const RUNTIME_NAMES: readonly string[] = ["process", "Buffer", "Deno", "require", "__dirname", "setImmediate"];

/** Who may read the environment. */
export const ENVIRONMENT_READERS: readonly string[] = [
  "supervisors/configuration/environment.ts",
  "scripts/test.ts",
  "scripts/install_programs.ts",
  "test/",
  "bench/",
];

/** Where a command's output leaves for a terminal, with control characters written out. */
export const OUTPUT_OWNERS: readonly string[] = ["scripts/console/output.ts", "scripts/console/screen.ts"];
/** Programs for the repository's own developers, which print nothing that comes from a node; and a bar that counts. */
export const OUTPUT_EXCEPTIONS: readonly string[] = [
  ...["scripts/build.ts", "scripts/check_package.ts", "scripts/check_runtimes.ts", "scripts/install_programs.ts"],
  ...["scripts/test.ts", "scripts/tidy.ts", "scripts/console/progress.ts"],
];

export const BANNED_NAMES: readonly string[] = ["utils", "helpers", "common", "shared", "types", "manager"];

/** Reported, never failed. */
export const FILE_LINES_MAX = 300;
export const FUNCTION_LINES_MAX = 60;

export function startsWithAny(path: string, starts: readonly string[]): boolean {
  return starts.some((start) => path.startsWith(start));
}
