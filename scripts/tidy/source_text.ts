/**
 * Reads TypeScript just well enough to check it: what it imports, and what its code says once comments and the insides
 * of strings are blanked. Leaves real parsing to the compiler; positions and lines are kept.
 */

export interface Import {
  readonly specifier: string;
  readonly isTypeOnly: boolean;
  readonly line: number;
}

type Masks = {
  /** Comments blanked. */ readonly withStrings: string /** Comments and strings blanked. */;
  readonly code: string;
};

/** A `/` begins a regular expression where no value has ended before it. */
const BEFORE_PATTERN = /(?:^|[(,=:[!&|?{};+\-*%<>~^]|=>|\b(?:return|typeof|case|in|of|do|else|void|await|yield))\s*$/;

/** The text with comments blanked, and with strings, templates and patterns blanked too. */
export function mask(text: string): Masks {
  const withStrings = text.split("");
  const code = text.split("");
  const blank = (into: string[], from: number, to: number) => {
    for (let at = from; at < to; at += 1) if (text[at] !== "\n") into[at] = " ";
  };
  const templates: number[] = []; // depth of braces inside each open `${`
  let at = 0;
  const skipTemplate = () => {
    const from = at;
    while (at < text.length && text[at] !== "`" && !text.startsWith("${", at)) at += text[at] === "\\" ? 2 : 1;
    blank(code, from, at);
    if (text[at] === "`") at += 1;
    else {
      at += 2;
      templates.push(0);
    }
  };
  while (at < text.length) {
    const char = text[at];
    const from = at;
    if (text.startsWith("//", at) || text.startsWith("/*", at)) {
      const end = text[at + 1] === "/" ? text.indexOf("\n", at) : text.indexOf("*/", at + 2) + 2;
      at = end < from + 2 ? text.length : end;
      blank(withStrings, from, at);
      blank(code, from, at);
    } else if (char === '"' || char === "'") {
      at += 1;
      while (at < text.length && text[at] !== char && text[at] !== "\n") at += text[at] === "\\" ? 2 : 1;
      blank(code, from + 1, at);
      at += 1;
    } else if (char === "`") {
      at += 1;
      skipTemplate();
    } else if (char === "/" && BEFORE_PATTERN.test(code.slice(Math.max(0, at - 40), at).join(""))) {
      at = endOfPattern(text, at);
      blank(code, from, at);
      blank(withStrings, from, at);
    } else {
      const depth = templates.at(-1);
      if (depth !== undefined && char === "{") templates[templates.length - 1] = depth + 1;
      if (depth !== undefined && char === "}") {
        if (depth === 0) {
          templates.pop();
          at += 1;
          skipTemplate();
          continue;
        }
        templates[templates.length - 1] = depth - 1;
      }
      at += 1;
    }
  }
  return { withStrings: withStrings.join(""), code: code.join("") };
}

function endOfPattern(text: string, start: number): number {
  let isInClass = false;
  for (let at = start + 1; at < text.length; at += 1) {
    const char = text[at];
    if (char === "\n") return start + 1; // a division after all
    if (char === "\\") at += 1;
    else if (char === "[") isInClass = true;
    else if (char === "]") isInClass = false;
    else if (char === "/" && !isInClass) return at + 1;
  }
  return text.length;
}

const STATIC_IMPORT =
  /(?<![\w.$])(import|export)\s+(type\s+)?(?:[\w$*\s{},]*?\sfrom\s*|\*\s*from\s*|\{[^}]*\}\s*from\s*)?"([^"\n]*)"/g;
const DYNAMIC_IMPORT = /(?<![\w.$])(typeof\s+)?import\(\s*"([^"\n]*)"/g;

/** Every import of a source, type-only and dynamic ones with a literal specifier included. */
export function importsOf(text: string): readonly Import[] {
  const source = mask(text);
  const readable = source.withStrings.replaceAll("'", '"');
  const found: Import[] = [];
  const isCode = (index: number) => source.code[index] === source.withStrings[index] && source.code[index] !== " ";
  const lineAt = (index: number) => readable.slice(0, index).split("\n").length;
  for (const match of readable.matchAll(STATIC_IMPORT)) {
    const { index } = match;
    if (!isCode(index)) continue;
    found.push({ specifier: match[3] ?? "", isTypeOnly: match[2] !== undefined, line: lineAt(index) });
  }
  for (const match of readable.matchAll(DYNAMIC_IMPORT)) {
    if (!isCode(match.index)) continue;
    found.push({ specifier: match[2] ?? "", isTypeOnly: match[1] !== undefined, line: lineAt(match.index) });
  }
  return found;
}
