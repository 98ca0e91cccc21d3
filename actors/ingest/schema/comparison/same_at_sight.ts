/**
 * Whether parts of two schemas judge alike at sight: they are equal but for annotations, identities and the places of
 * definitions, and so are the schemas that their references lead to. `schema_comparison.ts` does the inference.
 */
import { isSame, sizeOf } from "../equality.ts";
import { isAnnotation, isSchemaObject, type JsonSchema, placeOf } from "../keywords.ts";
import type { ComparisonBudget } from "./comparison_budget.ts";
import type { SchemaDocument } from "./schema_document.ts";

const PAIR_STEPS = 60;
const KNOWN_STEPS = 10;

/** A part of the old schema and one of the new. */
type Pair = readonly [wide: unknown, narrow: unknown];

const NAMES: ReadonlySet<string> = new Set([
  ...["$ref", "$dynamicRef", "$defs", "definitions", "$id", "$anchor", "$dynamicAnchor"],
]);

export const seesSiblings = (keyword: string): boolean => keyword.startsWith("unevaluated");

export class SameAtSight {
  readonly #before: SchemaDocument;
  readonly #after: SchemaDocument;
  readonly #budget: ComparisonBudget;
  /** Verdicts of pairs that are settled: whether they judge alike. */
  readonly #verdicts = new Map<unknown, Map<unknown, boolean>>();

  constructor(before: SchemaDocument, after: SchemaDocument, budget: ComparisonBudget) {
    this.#before = before;
    this.#after = after;
    this.#budget = budget;
  }

  isSame(wide: unknown, narrow: unknown): boolean {
    this.#budget.take(KNOWN_STEPS);
    return this.#verdicts.get(wide)?.get(narrow) ?? this.#areSame(wide, narrow);
  }

  #areSame(first: unknown, other: unknown): boolean {
    const met: Pair[] = [];
    // A list instead of recursion: a chain of references may lead through all schemas of a document.
    const left: Pair[] = [[first, other]];
    for (let pair = left.pop(); pair !== undefined; pair = left.pop()) {
      const [wide, narrow] = [seeing(pair[0], this.#before), seeing(pair[1], this.#after)];
      this.#budget.take(PAIR_STEPS);
      if (Array.isArray(wide) && Array.isArray(narrow)) {
        if (wide.length !== narrow.length) return this.#forget(met);
        left.push(...wide.map((one, index): Pair => [one, narrow[index]]));
        continue;
      }
      if (!isSchemaObject(wide) || !isSchemaObject(narrow)) {
        if (isSame(wide, narrow)) continue;
        return this.#forget(met);
      }
      const verdict = this.#verdicts.get(wide)?.get(narrow);
      if (verdict === true) continue;
      const inner = verdict === false ? undefined : this.#pairsWithin(wide, narrow);
      if (inner === undefined) {
        this.#note([wide, narrow], false);
        return this.#forget(met);
      }
      met.push([wide, narrow]);
      this.#note([wide, narrow], true); // until another pair shows otherwise: a recursive schema meets itself again
      left.push(...inner);
    }
    return true;
  }

  #note([wide, narrow]: Pair, isAlike: boolean): void {
    const known = this.#verdicts.get(wide) ?? new Map<unknown, boolean>();
    this.#verdicts.set(wide, known.set(narrow, isAlike));
  }

  #forget(met: readonly Pair[]): false {
    for (const [wide, narrow] of met) this.#verdicts.get(wide)?.delete(narrow);
    return false;
  }

  /** The pairs that must judge alike for two schemas to do so; undefined where the schemas differ at sight. */
  #pairsWithin(wide: JsonSchema, narrow: JsonSchema): readonly Pair[] | undefined {
    if (this.#before.isOpaque(wide) || this.#after.isOpaque(narrow)) return undefined;
    const [from, to] = [judging(wide), judging(narrow)];
    if (from.length !== to.length) return undefined;
    const pairs: Pair[] = [[this.#before.targetsOf(wide), this.#after.targetsOf(narrow)]];
    for (const [keyword, value] of from) {
      const inner = Object.hasOwn(narrow, keyword) ? this.#pairsOfKeyword(keyword, value, narrow[keyword]) : undefined;
      if (inner === undefined) return undefined;
      pairs.push(...inner);
    }
    return pairs;
  }

  #pairsOfKeyword(keyword: string, wide: unknown, narrow: unknown): readonly Pair[] | undefined {
    const place = placeOf(keyword);
    if (place === "schema" || place === "list") return [[wide, narrow]];
    if (place !== "map" || !isSchemaObject(wide) || !isSchemaObject(narrow)) {
      this.#budget.take(sizeOf(wide));
      return isSame(wide, narrow) ? [] : undefined;
    }
    const names = Object.keys(wide);
    this.#budget.take(names.length);
    const hasAll = names.length === Object.keys(narrow).length && names.every((name) => Object.hasOwn(narrow, name));
    return hasAll ? names.map((name): Pair => [wide[name], narrow[name]]) : undefined;
  }
}

/** A schema with `unevaluated...` sees what its siblings evaluate: the targets of its `$ref` and `allOf` count too. */
const seeing = (schema: unknown, document: SchemaDocument): unknown =>
  isSchemaObject(schema) && (schema.unevaluatedProperties !== undefined || schema.unevaluatedItems !== undefined)
    ? document.wholeOf(schema)
    : schema;

/** The keywords that judge values: no annotations, no identities, and no definitions, which judge by reference alone. */
const judging = (schema: JsonSchema): readonly [string, unknown][] =>
  Object.entries(schema).filter(([keyword]) => !isAnnotation(keyword) && !NAMES.has(keyword));
