/**
 * Regular expressions of users, on RE2: linear in the text, whatever the pattern. Each says what a search costs in steps, so
 * that a budget can be held before the search begins.
 */
import { loadDriver } from "../../deps.ts";

/** Instructions of one compiled pattern: a search costs as many for each character at worst. */
export const PATTERN_INSTRUCTIONS_MAX = 10_000;
/** Characters of one pattern. */
export const PATTERN_CHARACTERS_MAX = 10_000;

/** Steps to begin a search. */
const SEARCH_STEPS = 30;

export interface LinearPattern {
  /** Steps that a search of one character takes at most. */
  readonly stepsOfOne: number;
  /** Steps that a search takes at most. */
  stepsFor(text: string): number;
  /** Whether the pattern is found anywhere in the text. */
  isIn(text: string): boolean;
}

export type CompilePattern = (pattern: string) => LinearPattern;

/** Loads the compiler. The function that it answers throws `Error` for a pattern that RE2 does not take or that is too large. */
export async function patternCompiler(): Promise<CompilePattern> {
  const { RE2JS } = await loadDriver("re2js");
  return (pattern) => {
    if (pattern.length > PATTERN_CHARACTERS_MAX) {
      throw new Error(
        `a pattern must have at most ${PATTERN_CHARACTERS_MAX} characters: current length is ${pattern.length}`,
      );
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
