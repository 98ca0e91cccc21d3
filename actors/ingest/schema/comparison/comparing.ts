/** How the rules of single keywords ask for what follows from an old schema; schema_comparison.ts answers. */

import type { JsonSchema } from "../keywords.ts";
import type { ComparisonBudget } from "./comparison_budget.ts";
import type { SchemaDocument } from "./schema_document.ts";
import type { Fields } from "./schema_parts.ts";

/** The old schema at one place of an event. */
export interface Old {
  /** Schemas that all hold. */
  readonly holding: readonly Fields[];
  /** Every schema that may have a say there: those that hold, and alternatives and conditions that need not. */
  judging(): readonly Fields[];
}

export interface Comparing {
  readonly before: SchemaDocument;
  readonly after: SchemaDocument;
  readonly budget: ComparisonBudget;
  /** The new schema held against the old one (K6). */
  readonly reversed: Comparing;
  /** Reasons why `narrow` may refuse what `wide` allows. */
  narrowings(wide: unknown, narrow: unknown, path: string): readonly string[];
  /** Whether there are none. */
  isFollowed(wide: unknown, narrow: unknown, path: string): boolean;
  /** Whether no value can match both. */
  isApart(wide: unknown, narrow: unknown): boolean;
  /** Whether a part of an old schema and one of a new schema judge alike at sight. */
  readonly same: (wide: unknown, narrow: unknown) => boolean;
  /** The old schema of members where all of `wides` hold; `partsOf` finds what may have a say on them in a schema. */
  join(wides: readonly unknown[], old: Old, partsOf: (schema: Fields) => readonly unknown[]): unknown;
  /** The old schema where all of `wides` hold, at the place of `old`. */
  joinInPlace(wides: readonly unknown[], old: Old): unknown;
  /** An old schema less a keyword, and less what sees its siblings: that would close it to what the keyword let in. */
  without(schema: JsonSchema, keyword: string): JsonSchema;
  /** What is made here, once for each name, so that the same pair is known again. */
  make<Made>(name: string, make: () => Made): Made;
  /** Whether nothing in the old schema has a say on a property of this name. */
  isOpenTo(old: Old, name: string): boolean;
}
