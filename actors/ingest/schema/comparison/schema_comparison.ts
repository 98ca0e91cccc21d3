/**
 * Whether every value that one schema allows is allowed by another. Answers the reasons why that cannot be shown; none
 * where it is shown. References are followed. A pair of schemas that is met again within itself counts as shown, as in
 * a comparison of recursive types (Amadio and Cardelli, Subtyping recursive types, 1993).
 *
 *   K1. Schemas that all hold for one value are compared as one list, whether `allOf`, `$ref` or neither holds them
 *       together.
 *   K2. Each part of the new schema must follow from the old schemas together. Where it does not, each alternative of
 *       the old schema is held against the new one by itself.
 *   K3. A property on which no old schema has a say may be declared (`schema_compatibility.ts` has the reason).
 *   K4. The comparison of one alternative, or of one condition, knows every other schema that may have a say on the
 *       same value. Without these, names of other alternatives would seem open (K3).
 *   K5. Where the values that the old schema allows can be listed, each is tried on the new schema, without inference.
 *   K6. Schemas within `not` and `if` are held against each other the other way around, and without the exception of
 *       K3.
 */
import type { CompilePattern } from "../../../kernel/linear_pattern.ts";
import { isSchemaObject, type JsonSchema } from "../keywords.ts";
import { combiningNarrowings } from "./combining_narrowings.ts";
import type { Comparing, Old } from "./comparing.ts";
import { BudgetSpentError, ComparisonBudget } from "./comparison_budget.ts";
import { areDisjoint } from "./disjoint_schemas.ts";
import { listedValues } from "./listed_values.ts";
import { arrayNarrowings, hasSayOnMembers, isSilentOn, objectNarrowings } from "./member_narrowings.ts";
import { SameAtSight, seesSiblings } from "./same_at_sight.ts";
import { SchemaDocument } from "./schema_document.ts";
import { type Fields, fieldsOf, listOf, text } from "./schema_parts.ts";
import { unevaluatedNarrowings } from "./unevaluated_narrowings.ts";
import { rulesFor, typesOfAll, valueNarrowings, valuesOf } from "./value_narrowings.ts";

/** Steps to compare one pair of schemas, without the pairs within it. */
const PAIR_STEPS = 900;
/** Steps for each part that may have a say on a value, and for each schema in the name of a pair. */
const PART_STEPS = 20;
const NAME_STEPS = 15;
/** The most pairs within one another. */
const DEPTH_MAX = 300;
/** The most values that a reason names, of those that are not allowed any more. */
const TOLD_MAX = 10;

/** Reasons why `next` may refuse what `previous` allows, each with the JSON Pointer of the place. */
export function narrowingsOf(
  previous: JsonSchema,
  next: JsonSchema,
  compilePattern: CompilePattern,
): readonly string[] {
  const budget = new ComparisonBudget();
  let comparison: Comparison | undefined;
  try {
    const documentOf = (schema: JsonSchema) => new SchemaDocument(schema, compilePattern, budget);
    comparison = new Comparison(documentOf(previous), documentOf(next), budget);
    return comparison.narrowings(previous, next, "");
  } catch (error) {
    if (!(error instanceof BudgetSpentError)) throw error;
    const undecided = `/: undecided, as the schemas are too large to be held against each other: ${error.message}`;
    return [...(comparison?.told ?? []), undecided];
  }
}

class Comparison implements Comparing {
  readonly before: SchemaDocument;
  readonly after: SchemaDocument;
  readonly budget: ComparisonBudget;
  /** Reasons that were found before alternatives were compared one by one. */
  told: readonly string[] = [];
  readonly #sight: SameAtSight;
  readonly #isStrict: boolean;
  #reversed: Comparison | undefined;
  readonly #underWay = new Set<string>();
  readonly #numbers = new Map<unknown, number>();
  readonly #made = new Map<string, unknown>();
  /** K4: for each schema made here, the schemas that need not hold and may have a say on the same value. */
  readonly #besides = new Map<unknown, readonly JsonSchema[]>();

  /** @param isStrict true without the exception of K3 (K6) */
  constructor(before: SchemaDocument, after: SchemaDocument, budget: ComparisonBudget, isStrict = false) {
    this.before = before;
    this.after = after;
    this.budget = budget;
    this.#isStrict = isStrict;
    this.#sight = new SameAtSight(before, after, budget);
  }

  readonly same = (wide: unknown, narrow: unknown): boolean => this.#sight.isSame(wide, narrow);

  narrowings(wide: unknown, narrow: unknown, path: string): readonly string[] {
    if (this.same(wide, narrow)) return [];
    const parts = this.after.conjuncts(narrow);
    if (parts.length === 0) return [];
    const wides = this.before.conjuncts(wide);
    if (wides.includes(false)) return [];
    const besides = this.#besides.get(wide) ?? [];
    const pair = `${this.#nameOf(wides)}/${this.#nameOf(besides)}/${this.#nameOf(parts)}`;
    if (this.#underWay.has(pair)) return [];
    this.budget.take(
      PAIR_STEPS + pair.length + wides.reduce<number>((sum, one) => sum + listOf(fieldsOf(one).enum ?? []).length, 0),
    );
    if (this.#underWay.size >= DEPTH_MAX)
      return [`${path || "/"}: the schemas nest too deep to be held against each other`];
    this.#underWay.add(pair);
    try {
      return this.#pairNarrowings(wide, wides, narrow, parts, path);
    } finally {
      this.#underWay.delete(pair);
    }
  }

  #pairNarrowings(
    wide: unknown,
    wides: readonly unknown[],
    narrow: unknown,
    parts: readonly unknown[],
    path: string,
  ): readonly string[] {
    const left = parts.filter((part) => !wides.some((one) => this.same(one, part)));
    if (left.length === 0) return [];
    const holding = wides.length === 0 ? [{}] : wides.map(fieldsOf);
    const lost = left.includes(false) ? undefined : this.#listedNarrowings(holding, narrow, path);
    if (lost !== undefined) return lost;
    const besides = this.#besides.get(wide) ?? [];
    let judging: readonly JsonSchema[] | undefined;
    const old: Old = {
      holding,
      judging: () => {
        judging ??= [...new Set([...this.before.inPlace([wide]), ...besides])];
        return judging;
      },
    };
    const reasons = left.flatMap((part) => this.#partNarrowings(old, part, path));
    if (reasons.length === 0) return [];
    const isOutermost = this.#underWay.size === 1;
    if (isOutermost) this.told = reasons;
    const isAllowed = this.#isAllowedByCase(wides, old, narrow, path);
    if (isOutermost) this.told = [];
    return isAllowed ? [] : reasons;
  }

  /** K5. Undefined where the values cannot be listed, or where inference may name a better reason for a lost value. */
  #listedNarrowings(holding: readonly Fields[], narrow: unknown, path: string): readonly string[] | undefined {
    const listed = listedValues(holding);
    if (listed === undefined) return undefined;
    const lost: unknown[] = [];
    for (const value of listed.values) {
      if (holding.some((one) => this.before.isMatch(this.before.wholeOf(one), value) === false)) continue;
      const isAllowed = this.after.isMatch(narrow, value);
      if (isAllowed === undefined) return undefined;
      if (!isAllowed) lost.push(value);
    }
    if (lost.length === 0) return [];
    if (!listed.isByName) return undefined;
    const more = lost.length > TOLD_MAX ? ` and ${lost.length - TOLD_MAX} more` : "";
    return [`${path || "/"}: ${lost.slice(0, TOLD_MAX).map(text).join(", ")}${more} is not allowed any more`];
  }

  join(wides: readonly unknown[], old: Old, partsOf: (schema: Fields) => readonly unknown[]): unknown {
    const saying = [...new Set(wides)].filter((one) => one !== true && one !== undefined);
    // An opaque schema may have a say on every value within.
    const parts = old.judging().flatMap((one) => (this.before.isOpaque(one) ? [one, ...partsOf(one)] : partsOf(one)));
    this.budget.take(PART_STEPS * (old.judging().length + parts.length));
    const others = new Set(parts.filter((one) => isSchemaObject(one) && !saying.includes(one)));
    if (others.size === 0 && saying.length <= 1) return saying[0] ?? true;
    return this.make(`all ${this.#nameOf(saying)} beside ${this.#nameOf([...others])}`, () => {
      const seen = new Set(this.before.inPlace(saying));
      const besides = this.before
        .inPlace([...others])
        .filter((one) => !seen.has(one) && (this.before.isOpaque(one) || hasSayOnMembers(one)));
      return this.#besideOne(saying, besides);
    });
  }

  #besideOne(saying: readonly unknown[], besides: readonly JsonSchema[]): unknown {
    if (besides.length === 0 && saying.length <= 1) return saying[0] ?? true;
    return this.make(`just ${this.#nameOf(saying)} beside ${this.#nameOf(besides)}`, () => {
      const made = { allOf: saying.length === 0 ? [true] : saying };
      this.#besides.set(made, besides);
      return made;
    });
  }

  joinInPlace(wides: readonly unknown[], old: Old): unknown {
    return this.join(wides, old, (schema) => [schema]);
  }

  isOpenTo(old: Old, name: string): boolean {
    return (
      !this.#isStrict &&
      old.judging().every((schema) => {
        this.budget.take(PART_STEPS);
        return (
          isSilentOn(schema, name, this) &&
          !this.before.isOpaque(schema) &&
          this.before.inPlace([schema.propertyNames]).every((names) => !valuesOf(names)?.includes(name))
        );
      })
    );
  }

  #partNarrowings(old: Old, part: unknown, path: string): readonly string[] {
    if (part === false) return [`${path || "/"}: nothing is allowed any more`];
    const types = typesOfAll(old.holding);
    if (types?.size === 0) return [];
    const to = rulesFor(types, fieldsOf(part));
    const reason = `${path || "/"}: $dynamicRef changed: it cannot be shown to allow what was allowed`;
    return [
      ...valueNarrowings(old.holding, types, to, path),
      ...objectNarrowings(old, to, path, this),
      ...arrayNarrowings(old, to, path, this),
      ...unevaluatedNarrowings(old, to, fieldsOf(part), path, this),
      ...combiningNarrowings(old, to, path, this),
      ...(to.$dynamicRef === undefined ? [] : [reason]),
    ];
  }

  isFollowed(wide: unknown, narrow: unknown, path: string): boolean {
    return this.narrowings(wide, narrow, path).length === 0;
  }

  isApart(wide: unknown, narrow: unknown): boolean {
    return areDisjoint({ document: this.before, schemas: [wide] }, { document: this.after, schemas: [narrow] });
  }

  get reversed(): Comparison {
    if (this.#reversed !== undefined) return this.#reversed;
    this.#reversed = new Comparison(this.after, this.before, this.budget, true);
    if (this.#isStrict) this.#reversed.#reversed = this;
    return this.#reversed;
  }

  /** K2: whether each alternative of an old schema is allowed by itself. A value of that schema matches one of them. */
  #isAllowedByCase(wides: readonly unknown[], old: Old, narrow: unknown, path: string): boolean {
    return wides.some((wide) => {
      if (!isSchemaObject(wide)) return false;
      return (["anyOf", "oneOf", "type"] as const).some((keyword) => {
        const cases = listOf(wide[keyword] ?? []);
        if (cases.length === 0 || (cases.length === 1 && keyword === "type")) return false;
        const rest = this.without(wide, keyword);
        const others = wides.map((one) => (one === wide ? rest : one));
        return cases.every((one) => {
          const alternative = keyword === "type" ? this.make(`type ${String(one)}`, () => ({ type: one })) : one;
          return this.isFollowed(this.joinInPlace([alternative, ...others], old), narrow, path);
        });
      });
    });
  }

  without(schema: JsonSchema, keyword: string): JsonSchema {
    return this.make(`${this.#nameOf([schema])} without ${keyword}`, () => {
      const left = Object.fromEntries(Object.entries(schema).filter(([one]) => one !== keyword && !seesSiblings(one)));
      this.before.keepWhole(left, schema);
      return left;
    });
  }

  make<Made>(name: string, make: () => Made): Made {
    const known = this.#made.get(name);
    if (known !== undefined) return known as Made;
    const made = make();
    this.#made.set(name, made);
    return made;
  }

  #nameOf(schemas: readonly unknown[]): string {
    this.budget.take(NAME_STEPS * schemas.length);
    if (schemas.length === 1) return String(this.#numberOf(schemas[0]));
    const numbers = new Set(schemas.map((schema) => this.#numberOf(schema)));
    return [...numbers].sort((left, right) => left - right).join(",");
  }

  #numberOf(schema: unknown): number {
    const known = this.#numbers.get(schema);
    if (known !== undefined) return known;
    this.#numbers.set(schema, this.#numbers.size);
    return this.#numbers.size - 1;
  }
}
