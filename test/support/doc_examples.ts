/**
 * The examples of the pages: fenced blocks with their language, and commands, indented or in a sentence. A block that
 * cannot stand alone has `<!-- fragment: why -->` on the line above, which a rendered page does not show.
 */
import { readdir, readFile } from "node:fs/promises";

const ROOT = new URL("../../", import.meta.url);

export interface Block {
  /** `README.md:27`. */
  readonly at: string;
  readonly page: string;
  /** Empty for a drawing. */
  readonly language: string;
  readonly text: string;
  /** The reason why the block is not checked by itself; undefined for a whole example. */
  readonly fragment: string | undefined;
}

export interface CommandLine {
  readonly at: string;
  /** The words behind `headrace`. */
  readonly text: string;
  /** True in a sentence, which may name the command alone. */
  readonly isInline: boolean;
}

/** README.md and the like, and everything under docs/. */
export async function readPages(): Promise<ReadonlyMap<string, string>> {
  const top = (await readdir(ROOT)).filter((name) => name.endsWith(".md") && name !== "CHANGELOG.md");
  const docs = (await readdir(new URL("docs/", ROOT), { recursive: true })).filter((name) => name.endsWith(".md"));
  const names = [...top, ...docs.map((name) => `docs/${name}`)];
  return new Map(
    await Promise.all(names.map(async (name) => [name, await readFile(new URL(name, ROOT), "utf8")] as const)),
  );
}

export function blocksOf(page: string, text: string): Block[] {
  const lines = text.split("\n");
  const blocks: Block[] = [];
  for (let start = 0; start < lines.length; start++) {
    const opening = /^```(\w*)\s*$/.exec(lines[start] ?? "");
    if (opening === null) continue;
    const end = lines.indexOf("```", start + 1);
    if (end < 0) throw new Error(`${page}:${start + 1}: a block without an end`);
    const fragment = /^<!-- fragment: (.+) -->$/.exec(lines[start - 1] ?? "")?.[1];
    const [, language = ""] = opening;
    blocks.push({ at: `${page}:${start + 1}`, page, language, text: lines.slice(start + 1, end).join("\n"), fragment });
    start = end;
  }
  return blocks;
}

export function commandsOf(page: string, text: string): CommandLine[] {
  return text.split("\n").flatMap((line, index) => {
    const at = `${page}:${index + 1}`;
    const own = /^ {4}headrace (.*)$/.exec(line)?.[1];
    const inline = [...line.matchAll(/`headrace ([^`]+)`/g)].map(([, found = ""]) => found);
    return [
      ...(own === undefined ? [] : [{ at, text: own, isInline: false }]),
      ...inline.filter((found) => !found.startsWith("<")).map((found) => ({ at, text: found, isInline: true })),
    ];
  });
}

/** The words of a shell line, quotes removed, a remark at its end left out, `<placeholders>` as words. */
export function wordsOf(line: string): string[] {
  const words = line.replace(/\s#.*$/, "").match(/'[^']*'|"[^"]*"|[^\s'"]+/g) ?? [];
  return words.map((word) => word.replace(/^(['"])(.*)\1$/, "$2").replace(/^<(.+)>$/, "$1"));
}
