/** Holds the pages for people to the tree: each relative link leads to a file, and its anchor to a heading. */
import { existsSync } from "node:fs";
import { join, posix } from "node:path";
import type { Finding, Page } from "./tree.ts";

const LINK = /\]\(([^)\s]+)\)/g;
const CODE = /^```.*?^```|`[^`\n]*`/gms;
const HEADING = /^#+ (.+)$/gm;

export function checkPages(root: string, pages: readonly Page[]): Finding[] {
  const texts = new Map(pages.map(({ path, text }) => [path, text]));
  return pages.flatMap(({ path, text }) =>
    [...text.replace(CODE, blank).matchAll(LINK)].flatMap(({ 1: target = "", index }) => {
      const reason = /^[a-z]+:/.test(target) ? undefined : deadBecause(root, path, target, texts);
      if (reason === undefined) return [];
      return [
        { path, line: text.slice(0, index).split("\n").length, message: `Cannot link to ${target} as ${reason}` },
      ];
    }),
  );
}

function deadBecause(
  root: string,
  path: string,
  target: string,
  texts: ReadonlyMap<string, string>,
): string | undefined {
  const [file = "", anchor] = target.split("#");
  const linked = file === "" ? path : posix.join(posix.dirname(path), file);
  if (!existsSync(join(root, linked))) return "it must exist";
  if (anchor === undefined || !linked.endsWith(".md")) return undefined;
  return anchorsOf(texts.get(linked) ?? "").has(anchor) ? undefined : `${linked} must have such a heading`;
}

/** As GitHub names them: lower case, spaces as hyphens, other signs left out. */
function anchorsOf(text: string): ReadonlySet<string> {
  const names = [...text.matchAll(HEADING)].map(({ 1: heading = "" }) => heading.toLowerCase());
  return new Set(
    names.map((name) =>
      name
        .replace(/[^\p{L}\p{N}\s_-]/gu, "")
        .trim()
        .replaceAll(" ", "-"),
    ),
  );
}

const blank = (text: string): string => text.replace(/[^\n]/g, " ");
