/** The questions that the rules of single keywords ask about an old schema; `schema_comparison.ts` answers them. */
import type { JsonSchema } from "../keywords.ts";
import type { ComparisonBudget } from "./comparison_budget.ts";
import type { SchemaDocument } from "./schema_document.ts";
import type { Fields } from "./schema_parts.ts";

/** The old schema at one place of an event. */
export interface Old {
  /** The schemas that all hold at this place. */
  readonly holding: readonly Fields[];
  /** Every schema that may have a say at this place: those that hold, and alternatives and conditions that need not. */
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
  /** Whether `narrowings` finds no reason. */
  isFollowed(wide: unknown, narrow: unknown, path: string): boolean;
  /** Whether no value can match both. */
  isApart(wide: unknown, narrow: unknown): boolean;
  /** Whether a part of an old schema and one of a new schema judge alike at sight. */
  readonly same: (wide: unknown, narrow: unknown) => boolean;
  /** The old schema of a member for which all of `wides` hold. `partsOf` finds a schema's parts that judge members. */
  join(wides: readonly unknown[], old: Old, partsOf: (schema: Fields) => readonly unknown[]): unknown;
  /** The old schema where all of `wides` hold, at the place of `old`. */
  joinInPlace(wides: readonly unknown[], old: Old): unknown;
  /** An old schema without a keyword, and without `unevaluated...`, which would refuse what the keyword allowed. */
  without(schema: JsonSchema, keyword: string): JsonSchema;
  /** Makes a value once for each name, so that the same pair of schemas is recognised. */
  make<Made>(name: string, make: () => Made): Made;
  /** Whether nothing in the old schema has a say on a property of this name. */
  isOpenTo(old: Old, name: string): boolean;
}
