/**
 * Holds what is cited to what is defined. A rule is a capital letter and a number; it is defined
 *   - for the whole system in docs/exactly_once.md (`## E7 ...`) and docs/guarantees.md (`| G1 |`),
 *   - for one part in the comment of its file, on a line that begins with three spaces, the label and a full stop. The part is
 *     named after the file, without its role: `session_machine.ts` defines `session N3`.
 * Within a file's own room, and in tests of that room, the label is enough; elsewhere the part is named before it. Every rule of a
 * part is cited by a test.
 */
import { posix } from "node:path";
import { startsWithAny, TEST_FOLDERS } from "./rules.ts";
import { mask } from "./source_text.ts";
import type { Finding, Page, SourceFile } from "./tree.ts";

const SYSTEM_PAGES: readonly { readonly path: string; readonly letter: string; readonly definition: RegExp }[] = [
  { path: "docs/exactly_once.md", letter: "E", definition: /^#+ (E\d{1,2})\b/gm },
  { path: "docs/guarantees.md", letter: "G", definition: /^\| *\**(G\d{1,2})\b/gm },
];
const DEFINITION = /^ \* {3}([A-Z]\d{1,2})\. /gm;
const LABEL = /(?<![\w$./#+-])([A-Z][1-9]\d?)(?![\w(+])/g;
/** Between two labels that one name of a part stands before. */
const CONJUNCTION = /^(?:, | and |, and | to | or |; )$/;
const ROLE = /_(?:machine|actor|state|log|suite)$/;
const TEST_NAME = /\btest\(\s*(["'`])((?:\\.|(?!\1).)*)\1/g;
/** The engine of JavaScript. */
const NO_RULES: ReadonlySet<string> = new Set(["V8"]);

interface Rule {
  readonly label: string;
  readonly path: string;
  readonly line: number;
}
interface Citation {
  readonly label: string;
  /** The words that stand before it, the nearest last. */
  readonly words: readonly string[];
  readonly line: number;
}

export function checkCitations(files: readonly SourceFile[], pages: readonly Page[]): Finding[] {
  const defined = files.flatMap(rulesOf);
  const again = repeated(defined);
  const rules = defined.filter((rule) => !again.includes(rule));
  const system = new Set(pages.flatMap(systemRulesOf));
  const parts = groupBy(rules, ({ path }) => partOf(path));
  const rooms = groupBy(rules, ({ path }) => posix.dirname(path));
  const tested = new Set<Rule>();
  const findings: Finding[] = [];
  const judge = (path: string, citation: Citation): void => {
    const { label, words, line } = citation;
    if (NO_RULES.has(label)) return;
    const found = resolve(path, citation);
    if (found.length === 1 && isTest(path)) for (const rule of found) tested.add(rule as Rule);
    if (found.length === 1 || isSystemRule(label)) return;
    const reason = found.length === 0 ? "nothing defines it here" : `${found.length} files of this room define it`;
    const message = `Cannot cite ${label} as it must be a rule of this room, or follow the name of its part: ${reason}`;
    findings.push({ path, line, message: words.length === 0 ? message : `${message} (after "${words.join(" ")}")` });
  };
  const isSystemRule = (label: string) => system.has(label);
  const resolve = (path: string, { label, words }: Citation): readonly Rule[] => {
    for (let from = 0; from < words.length; from++) {
      const named = parts.get(words.slice(from).join(" "))?.filter((rule) => rule.label === label) ?? [];
      if (named.length > 0) return named;
    }
    const mirrored = path.replace(/^test\//, "").replace(/\.test\.ts$/, ".ts");
    const own = rules.filter((rule) => rule.label === label && (rule.path === path || rule.path === mirrored));
    if (own.length > 0) return own;
    return rooms.get(posix.dirname(mirrored))?.filter((rule) => rule.label === label) ?? [];
  };
  for (const { path, text } of files) for (const citation of citationsOf(readable(path, text))) judge(path, citation);
  for (const { path, text } of pages) for (const citation of citationsOf(text)) judge(path, citation);
  const repetitions = again.map(({ label, path, line }) => ({
    path,
    line,
    message: `Cannot define ${label} as a rule is defined once: this is the second time`,
  }));
  return [...findings, ...repetitions, ...untested(rules, tested)];
}

const isTest = (path: string): boolean => startsWithAny(path, TEST_FOLDERS);

function rulesOf({ path, text }: SourceFile): Rule[] {
  if (isTest(path)) return [];
  return [...text.matchAll(DEFINITION)].map(({ 1: label = "", index }) => ({ label, path, line: lineAt(text, index) }));
}

function systemRulesOf({ path, text }: Page): string[] {
  const page = SYSTEM_PAGES.find((one) => one.path === path);
  return page === undefined ? [] : [...text.matchAll(page.definition)].map(({ 1: label = "" }) => label);
}

/** `actors/sinks/delivery/delivery_machine.ts` defines rules of the part `delivery`. */
function partOf(path: string): string {
  return posix
    .basename(path)
    .replace(/\.tsx?$/, "")
    .replace(ROLE, "")
    .replaceAll("_", " ");
}

/** Comments, and the names of tests, with all lines where they are. */
function readable(path: string, text: string): string {
  const { withStrings } = mask(text);
  const comments = text.split("").map((char, at) => (withStrings[at] === char && char !== "\n" ? " " : char));
  if (isTest(path)) {
    for (const { 0: call, 2: name = "", index } of text.matchAll(TEST_NAME)) {
      const from = index + call.length - 1 - name.length;
      for (let at = 0; at < name.length; at++) comments[from + at] = name[at] as string;
    }
  }
  return comments.join("");
}

function citationsOf(text: string): Citation[] {
  const citations: Citation[] = [];
  let last: { readonly end: number; readonly words: readonly string[] } | undefined;
  for (const { 1: label = "", index } of text.matchAll(LABEL)) {
    const isJoined = last !== undefined && CONJUNCTION.test(text.slice(last.end, index));
    const before = text.slice(Math.max(0, index - 60), index).replace(/\n\s*\*?\s*/g, " ");
    const words = isJoined
      ? (last?.words ?? [])
      : (/((?:[a-z0-9]+ )+)[`"]?$/.exec(before)?.[1] ?? "").trim().split(" ");
    const named = words.filter((word) => word !== "").slice(-4);
    citations.push({ label, words: named, line: lineAt(text, index) });
    last = { end: index + label.length, words: named };
  }
  return citations;
}

/** Two files of one part's name would make `partition P1` two rules. */
function repeated(rules: readonly Rule[]): readonly Rule[] {
  const seen = new Set<string>();
  return rules.filter(({ label, path }) => seen.size === seen.add(`${partOf(path)} ${label}`).size);
}

function untested(rules: readonly Rule[], tested: ReadonlySet<Rule>): Finding[] {
  return rules
    .filter((rule) => !tested.has(rule))
    .map(({ label, path, line }) => ({
      path,
      line,
      message: `Cannot define ${partOf(path)} ${label} as a test must cite each rule: none does`,
    }));
}

function groupBy<Item>(items: readonly Item[], keyOf: (item: Item) => string): Map<string, Item[]> {
  const groups = new Map<string, Item[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group === undefined) groups.set(keyOf(item), [item]);
    else group.push(item);
  }
  return groups;
}

const lineAt = (text: string, index: number): number => text.slice(0, index).split("\n").length;
