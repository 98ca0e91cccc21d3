/**
 * Users' regular expressions, on RE2: the time of a search grows linearly with the text, whatever the pattern. Each pattern
 * tells the steps of a search beforehand, so that a budget can refuse the search.
 */
import { loadDriver } from "../../deps.ts";

/** Instructions of one compiled pattern: a search takes at most this many steps for each character of the text. */
const PATTERN_INSTRUCTIONS_MAX = 10_000;
/** Characters of one pattern. */
const PATTERN_CHARACTERS_MAX = 10_000;

/** Steps that a search takes whatever its text. */
const SEARCH_STEPS = 30;

/** A compiled pattern, with the cost of its searches in steps. */
export interface LinearPattern {
  /** Steps that a search of one character takes at most. */
  readonly stepsOfOne: number;
  /** Steps that a search takes at most. */
  stepsFor(text: string): number;
  /** Whether the pattern is found anywhere in the text. */
  isIn(text: string): boolean;
}

/** Compiles a pattern. Throws `Error` for one that RE2 does not accept or that is too large. */
export type CompilePattern = (pattern: string) => LinearPattern;

export async function patternCompiler(): Promise<CompilePattern> {
  const { RE2JS } = await loadDriver("re2js");
  return (pattern) => {
    const { length } = pattern;
    if (length > PATTERN_CHARACTERS_MAX) {
      throw new Error(`a pattern must have at most ${PATTERN_CHARACTERS_MAX} characters: current length is ${length}`);
    }
    const compiled = RE2JS.compile(RE2JS.translateRegExp(pattern));
    const instructions = compiled.programSize();
    if (instructions > PATTERN_INSTRUCTIONS_MAX) {
      throw new Error(
        `a pattern must compile to at most ${PATTERN_INSTRUCTIONS_MAX} instructions: current value is ${instructions}`,
      );
    }
    return {
      stepsOfOne: SEARCH_STEPS + instructions,
      stepsFor: (text) => SEARCH_STEPS + text.length * instructions,
      isIn: (text) => compiled.test(text),
    };
  };
}
