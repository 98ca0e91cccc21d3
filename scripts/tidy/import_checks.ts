/** Who imports whom: direction between folders, contracts between stations, packages, nact, and cycles. */
import { posix } from "node:path";
import {
  DASHBOARD,
  FOLDER_ORDER,
  FREE_FOLDERS,
  KERNEL,
  NACT_OWNERS,
  NEUTRAL_FOLDERS,
  PACKAGE_OWNERS,
  startsWithAny,
} from "./rules.ts";
import type { Import } from "./source_text.ts";
import { type Finding, isRelative, resolveImport, type SourceFile } from "./tree.ts";

const topOf = (path: string): string => path.split("/")[0] ?? path;
const stationOf = (path: string): string => path.split("/").slice(0, 2).join("/");

export function checkImports(files: readonly SourceFile[]): Finding[] {
  return files.flatMap((file) =>
    file.imports.flatMap((one) =>
      (isRelative(one.specifier) ? relativeFaults(file.path, one) : packageFaults(file.path, one)).map((message) => ({
        path: file.path,
        line: one.line,
        message,
      })),
    ),
  );
}

function relativeFaults(path: string, { specifier }: Import): string[] {
  const target = resolveImport(path, specifier);
  if (target.startsWith("..")) return [`Cannot import ${specifier} as it must be inside the repository`];
  return [...directionFaults(path, target), ...stationFaults(path, target)];
}

function directionFaults(path: string, target: string): string[] {
  const from = topOf(path);
  const to = topOf(target);
  if (from === to || (FREE_FOLDERS as readonly string[]).includes(from)) return [];
  const order: readonly string[] = FOLDER_ORDER;
  const isAllowed =
    from === DASHBOARD ? to === "protocols" : order.includes(to) && order.indexOf(to) < order.indexOf(from);
  return isAllowed ? [] : [`Cannot import ${target} as imports point left only: ${FOLDER_ORDER.join(" <- ")}`];
}

function stationFaults(path: string, target: string): string[] {
  if (topOf(path) !== "actors" || topOf(target) !== "actors" || stationOf(path) === stationOf(target)) return [];
  if (target.startsWith(KERNEL) || posix.dirname(target) === stationOf(target)) return [];
  return [`Cannot import ${target} as a station imports ${KERNEL} and the top-level files of other stations only`];
}

function packageFaults(path: string, { specifier, isTypeOnly }: Import): string[] {
  if (specifier.startsWith("node:")) {
    if (!startsWithAny(path, NEUTRAL_FOLDERS)) return [];
    return [`Cannot import ${specifier} as ${topOf(path)}/ must run on every runtime`];
  }
  if (specifier === "nact" && !startsWithAny(path, NACT_OWNERS)) {
    return [`Cannot import nact as ${KERNEL} alone may know it`];
  }
  if (isTypeOnly || startsWithAny(path, PACKAGE_OWNERS)) return [];
  return [`Cannot import ${specifier} as packages are named in deps.ts alone`];
}

/** Each cycle once, by the files on it. Type-only imports count. */
export function checkCycles(files: readonly SourceFile[]): Finding[] {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const state = new Map<string, "open" | "done">();
  const trail: string[] = [];
  const findings: Finding[] = [];
  const visit = (path: string): void => {
    state.set(path, "open");
    trail.push(path);
    for (const { specifier } of byPath.get(path)?.imports ?? []) {
      const target = isRelative(specifier) ? resolveImport(path, specifier) : "";
      if (!byPath.has(target)) continue;
      if (state.get(target) === "open") {
        const cycle = [...trail.slice(trail.indexOf(target)), target];
        findings.push({ path: target, message: `Cannot import in a circle: ${cycle.join(" -> ")}` });
      } else if (!state.has(target)) visit(target);
    }
    trail.pop();
    state.set(path, "done");
  };
  for (const file of files) if (!state.has(file.path)) visit(file.path);
  return findings;
}
