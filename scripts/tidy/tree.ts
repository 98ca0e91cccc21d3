/** Reads the sources below a root: every TypeScript file of the folders that tidy checks. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";
import { DASHBOARD, FOLDER_ORDER, FREE_FOLDERS } from "./rules.ts";
import { type Import, importsOf, mask } from "./source_text.ts";

export interface SourceFile {
  /** From the root, with `/`. */
  readonly path: string;
  readonly text: string;
  /** The text with comments and the insides of strings blanked. */
  readonly code: string;
  readonly imports: readonly Import[];
}

export interface Page {
  readonly path: string;
  readonly text: string;
}

export interface Finding {
  readonly path: string;
  readonly line?: number;
  readonly message: string;
}

export function readTree(root: string): readonly SourceFile[] {
  const tops = [...FOLDER_ORDER, ...FREE_FOLDERS, DASHBOARD].filter((top) => existsSync(join(root, top)));
  return tops
    .flatMap((top) => (top.endsWith(".ts") ? [top] : pathsBelow(root, top, SOURCE)))
    .map((path) => readSource(root, path));
}

/** The pages for people: Markdown, at any depth. */
export function readPages(root: string): readonly Page[] {
  return pathsBelow(root, "", /\.md$/).map((path) => ({ path, text: readFileSync(join(root, path), "utf8") }));
}

const SOURCE = /\.tsx?$/;
const NOT_OURS: readonly string[] = ["node_modules", "dist", ".git"];

function pathsBelow(root: string, folder: string, name: RegExp): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = posix.join(folder, entry.name);
    if (entry.isDirectory()) return NOT_OURS.includes(entry.name) ? [] : pathsBelow(root, path, name);
    return name.test(entry.name) ? [path] : [];
  });
}

function readSource(root: string, path: string): SourceFile {
  const text = readFileSync(join(root, path), "utf8");
  return { path, text, code: mask(text).code, imports: importsOf(text) };
}

/** The path from the root that a relative import of `file` means. */
export function resolveImport(file: string, specifier: string): string {
  return posix.join(posix.dirname(file), specifier);
}

export function isRelative(specifier: string): boolean {
  return specifier.startsWith(".");
}
