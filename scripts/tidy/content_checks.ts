/** What a file may say: runtime neutrality, the environment, names, default exports, and that tests run. */
import {
  BANNED_NAMES,
  DRIVER_OWNERS,
  ENVIRONMENT_READERS,
  FILE_LINES_MAX,
  FUNCTION_LINES_MAX,
  NEUTRAL_FOLDERS,
  OUTPUT_EXCEPTIONS,
  OUTPUT_OWNERS,
  RUNTIME_NAMES,
  startsWithAny,
} from "./rules.ts";
import type { Finding, SourceFile } from "./tree.ts";

const ENVIRONMENT =
  /\bprocess\s*\??\.\s*env\b|\bDeno\s*\??\.\s*env\b|\bprocess\s*\[|\{[^}]*\benv\b[^}]*\}\s*=\s*process\b/g;
const RUNTIME_USE = new RegExp(String.raw`(?<![\w$.])(?:${RUNTIME_NAMES.join("|")})\s*(?:\?\.|\.|\(|\[)`, "g");
const OUTPUT =
  /\bconsole\s*(?:\?\.|\.|\[)|\bprocess\s*\??\.\s*std(?:out|err)\b|\{[^{}]*\bstd(?:out|err)\b[^{}]*\}\s*=\s*process\b|\bwriteSync\s*\(\s*[12]\b/g;
const DRIVER = /\bloadDriver\s*\(/g;

export function checkContents(files: readonly SourceFile[]): Finding[] {
  return files.flatMap((file) => [
    ...bannedName(file),
    ...(startsWithAny(file.path, ENVIRONMENT_READERS)
      ? []
      : matches(
          file,
          file.code,
          ENVIRONMENT,
          "Cannot read the environment as supervisors/configuration/environment.ts alone does",
        )),
    ...(startsWithAny(file.path, NEUTRAL_FOLDERS)
      ? matches(file, file.code, RUNTIME_USE, "Cannot use a name of one runtime as this folder must run on every one")
      : []),
    ...(file.path.startsWith("scripts/") && !startsWithAny(file.path, [...OUTPUT_OWNERS, ...OUTPUT_EXCEPTIONS])
      ? matches(file, file.code, OUTPUT, "Cannot write to a terminal here as scripts/console/output.ts alone does")
      : []),
    ...(startsWithAny(file.path, NEUTRAL_FOLDERS)
      ? matches(file, file.code, DRIVER, "Cannot load a driver as this folder must run on every runtime")
      : []),
    ...ownedDrivers(file),
    ...matches(
      file,
      file.code,
      /\bexport\s+default\b|\bas\s+default\b/g,
      "Cannot export a default as names must be the same everywhere",
    ),
    ...testWithoutRun(file),
  ]);
}

function matches({ path }: SourceFile, text: string, pattern: RegExp, message: string): Finding[] {
  return [...text.matchAll(pattern)].map(({ index }) => ({
    path,
    line: text.slice(0, index).split("\n").length,
    message,
  }));
}

function ownedDrivers(file: SourceFile): Finding[] {
  return Object.entries(DRIVER_OWNERS).flatMap(([name, owners]) => {
    if (startsWithAny(file.path, owners)) return [];
    const load = new RegExp(String.raw`\bloadDriver\s*\(\s*["'\`]${name}["'\`]`, "g");
    return matches(file, file.text, load, `Cannot load ${name} as ${owners[1]} alone may know it`);
  });
}

function bannedName({ path }: SourceFile): Finding[] {
  const words = path.replace(/\.\w+$/, "").split(/[/_.]/);
  const banned = words.find((word) => BANNED_NAMES.includes(word));
  if (banned === undefined) return [];
  return [{ path, message: `Cannot name a file so as the name must say what it holds: current value is ${banned}` }];
}

function testWithoutRun({ path, code }: SourceFile): Finding[] {
  if (!path.endsWith(".test.ts") || /\b\w+\s*\.\s*run\s*\(\s*\)/.test(code)) return [];
  return [{ path, message: "Cannot pass as a test as it must call test.run(): without it uvu runs nothing" }];
}

const FUNCTION_START =
  /(?:\bfunction\b[^;{]*|=>\s*|^ {2}(?:static |async |override |\*|get |set |#)*#?(?!if\b|for\b|while\b|switch\b|catch\b)\w+(?:<[^{;]*>)?\([^;{]*\)[^;{]*)\{$/;

/** Long files and functions: worth a look, never a failure. */
export function reportSizes(files: readonly SourceFile[]): Finding[] {
  return files.flatMap((file) => {
    const lines = file.code.split("\n");
    const long = lines.length > FILE_LINES_MAX ? [{ path: file.path, message: `${lines.length} lines` }] : [];
    return [...long, ...longFunctions(file.path, lines)];
  });
}

function longFunctions(path: string, lines: readonly string[]): Finding[] {
  return lines.flatMap((line, index) => {
    if (!FUNCTION_START.test(line.trimEnd())) return [];
    const indent = /^ */.exec(line)?.[0] ?? "";
    const length = lines.slice(index + 1).findIndex((later) => later.startsWith(`${indent}}`)) + 2;
    return length > FUNCTION_LINES_MAX ? [{ path, line: index + 1, message: `a function of ${length} lines` }] : [];
  });
}
