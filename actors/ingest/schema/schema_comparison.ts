/**
 * Whether every value that one schema allows is allowed by another. Answers reasons why it may not be, none where it can be
 * shown. References are followed; a pair of schemas that is met again within itself counts as shown, as in a comparison of
 * recursive types (Amadio and Cardelli, Subtyping recursive types, 1993).
 *
 *   K1. What is allowed by all of several schemas is held as their list: `allOf` and `$ref` say no more than that.
 *   K2. A part of the new schema follows from any one of the old ones, or from all together; alternatives of the old schema
 *       are each held against the new one where that does not do.
 *   K3. A property that nothing in the old schema has a say on may be declared (schema_compatibility.ts has the reason).
 *   K4. An alternative or a condition that is looked at alone would seem to leave the names of the others open. So each
 *       comparison knows, beside the schemas that hold, all that may have a say on the same value.
 */

import { areDisjoint, type Side } from "./disjoint_schemas.ts";
import { isSame } from "./equality.ts";
import { isKnownFormat } from "./formats.ts";
import { isAnnotation, isSchemaObject, type JsonSchema, placeOf } from "./keywords.ts";
import {
  arrayNarrowings,
  type Comparing,
  containsNarrowings,
  isSilentOn,
  type Old,
  objectNarrowings,
  unevaluatedNarrowings,
} from "./member_narrowings.ts";
import { SchemaDocument } from "./schema_document.ts";
import { type Fields, fieldsOf, isMap, listOf } from "./schema_parts.ts";
import { BOUNDS, boundNarrowings, enumNarrowings, typeNarrowings, valuesOf } from "./value_narrowings.ts";

/** Pairs of schemas that are looked at, at sight or closely. */
const STEPS_MAX = 200_000;
/** Of a pair that is looked at closely. */
const STEPS_OF_CLOSE_LOOK = 20;
/** Pairs within one another. */
const DEPTH_MAX = 300;
/** Schemas that are looked at case by case; alternatives within alternatives multiply. */
const CASES_MAX = 200;

/** Reasons why `next` may refuse what `previous` allows, each with the JSON Pointer of the place. */
export const narrowingsOf = (previous: JsonSchema, next: JsonSchema): readonly string[] =>
  new Comparison(previous, next).narrowings(previous, next, "");

/** Keywords that are compared one by one here and in member_narrowings.ts; of any other, the old schema must have the same. */
const COMPARED: ReadonlySet<string> = new Set([
  ...["type", "enum", "const", "properties", "patternProperties", "required", "additionalProperties", "propertyNames"],
  ...["items", "prefixItems", "contains", "minContains", "maxContains", "anyOf", "oneOf", "if", "then", "else"],
  ...["unevaluatedProperties", "unevaluatedItems", "$ref", "allOf", "$defs", "definitions"],
  ...["$id", "$anchor", "$dynamicAnchor"],
  ...BOUNDS,
]);

const seesSiblings = (keyword: string): boolean => keyword.startsWith("unevaluated");

/** Keywords that have a say on properties and items, or name them. */
const ON_MEMBERS: ReadonlySet<string> = new Set([
  ...["properties", "patternProperties", "additionalProperties", "unevaluatedProperties", "propertyNames"],
  ...["required", "dependentRequired", "dependentSchemas"],
  ...["items", "prefixItems", "contains", "unevaluatedItems"],
]);

/** A part of the old schema and one of the new. */
type Pair = readonly [wide: unknown, narrow: unknown];

class Comparison implements Comparing {
  readonly #before: SchemaDocument;
  readonly #after: SchemaDocument;
  readonly #underWay = new Set<string>();
  readonly #numbers = new Map<unknown, number>();
  readonly #made = new Map<string, unknown>();
  /** K4: of made schemas, those beside what holds. */
  readonly #besides = new Map<unknown, readonly JsonSchema[]>();
  /** Pairs that judge alike at sight, and pairs that do not. */
  readonly #alike = new Set<string>();
  readonly #unlike = new Set<string>();
  #steps = 0;
  #cases = 0;

  constructor(previous: JsonSchema, next: JsonSchema) {
    this.#before = new SchemaDocument(previous);
    this.#after = new SchemaDocument(next);
  }

  narrowings(wide: unknown, narrow: unknown, path: string): readonly string[] {
    const parts = this.#after.conjuncts(narrow);
    if (parts.length === 0) return [];
    const wides = this.#before.conjuncts(wide);
    if (wides.includes(false)) return [];
    const besides = this.#besides.get(wide) ?? [];
    const pair = `${this.#nameOf(wides)}/${this.#nameOf(besides)}/${this.#nameOf(parts)}`;
    if (this.#underWay.has(pair)) return [];
    this.#steps += STEPS_OF_CLOSE_LOOK;
    if (this.#steps > STEPS_MAX || this.#underWay.size >= DEPTH_MAX)
      return [`${path || "/"}: the schemas are too large to be held against each other`];
    this.#underWay.add(pair);
    try {
      let judging: readonly JsonSchema[] | undefined;
      const old: Old = {
        holding: wides.length === 0 ? [{}] : wides.map(fieldsOf),
        judging: () => {
          judging ??= [...new Set([...this.#before.inPlace([wide]), ...besides])];
          return judging;
        },
      };
      const reasons = parts.flatMap((part) => this.#partNarrowings(wides, old, part, path));
      return reasons.length === 0 || this.#isAllowedByCase(wides, old, narrow, path) ? [] : reasons;
    } finally {
      this.#underWay.delete(pair);
    }
  }

  join(wides: readonly unknown[], old: Old, partsOf: (schema: Fields) => readonly unknown[]): unknown {
    const saying = [...new Set(wides)].filter((one) => one !== true && one !== undefined);
    // What is opaque may have a say on whatever lies within.
    const parts = old.judging().flatMap((one) => (this.#before.isOpaque(one) ? [one, ...partsOf(one)] : partsOf(one)));
    const others = new Set(parts.filter((one) => isSchemaObject(one) && !saying.includes(one)));
    if (others.size === 0 && saying.length <= 1) return saying[0] ?? true;
    return this.#make(`all ${this.#nameOf(saying)} beside ${this.#nameOf([...others])}`, () => {
      const seen = new Set(this.#before.inPlace(saying));
      const besides = this.#before.inPlace([...others]).filter((one) => !seen.has(one) && this.#hasSayOnMembers(one));
      return this.#besideOne(saying, besides);
    });
  }

  #besideOne(saying: readonly unknown[], besides: readonly JsonSchema[]): unknown {
    if (besides.length === 0 && saying.length <= 1) return saying[0] ?? true;
    return this.#make(`just ${this.#nameOf(saying)} beside ${this.#nameOf(besides)}`, () => {
      const made = { allOf: saying.length === 0 ? [true] : saying };
      this.#besides.set(made, besides);
      return made;
    });
  }

  /** The old schema that holds where all of `wides` do, at the place of `old`. */
  #joinInPlace(wides: readonly unknown[], old: Old): unknown {
    return this.join(wides, old, (schema) => [schema]);
  }

  #hasSayOnMembers(schema: JsonSchema): boolean {
    return (
      this.#before.isOpaque(schema) ||
      Object.keys(schema).some((keyword) => ON_MEMBERS.has(keyword)) ||
      (valuesOf(schema) ?? []).some((value) => isMap(value) || Array.isArray(value))
    );
  }

  isOpenTo(old: Old, name: string): boolean {
    return old
      .judging()
      .every(
        (schema) =>
          isSilentOn(schema, name) &&
          !this.#before.isOpaque(schema) &&
          this.#before.inPlace([schema.propertyNames]).every((names) => !valuesOf(names)?.includes(name)),
      );
  }

  same(wide: unknown, narrow: unknown): boolean {
    return this.#areSame([[wide, narrow]]);
  }

  sameTargets(wide: JsonSchema, narrow: JsonSchema): boolean {
    if (this.#before.isOpaque(wide) || this.#after.isOpaque(narrow)) return false;
    return this.#areSame([[this.#before.targetsOf(wide), this.#after.targetsOf(narrow)]]);
  }

  #partNarrowings(wides: readonly unknown[], old: Old, part: unknown, path: string): readonly string[] {
    if (part === false) return [`${path || "/"}: nothing is allowed any more`];
    if (wides.some((wide) => this.#isSameConjunct(wide, part))) return [];
    const to = fieldsOf(part);
    const from = old.holding;
    const byOne = (narrowingsOf: (one: Fields) => readonly string[]): readonly string[] => {
      const reasons = from.map(narrowingsOf);
      return reasons.some((list) => list.length === 0) ? [] : (reasons[0] ?? []);
    };
    const whole = this.#after.wholeOf(to);
    return [
      ...byOne((one) => typeNarrowings(one, to, path)),
      ...byOne((one) => enumNarrowings(one, to, path)),
      ...BOUNDS.flatMap((keyword) => byOne((one) => boundNarrowings(keyword, one, to, path))),
      ...objectNarrowings(old, to, path, this),
      ...arrayNarrowings(old, to, path, this),
      ...byOne((one) => containsNarrowings(one, to, path, this)),
      ...(["unevaluatedProperties", "unevaluatedItems"] as const).flatMap((keyword) =>
        byOne((one) => unevaluatedNarrowings(keyword, this.#before.wholeOf(one), whole, path, this)),
      ),
      ...this.#anyOfNarrowings(old, to, path),
      ...this.#oneOfNarrowings(old, to, path),
      ...this.#conditionNarrowings(old, to, path),
      ...Object.keys(to).flatMap((keyword) => byOne((one) => this.#otherNarrowings(keyword, one, to, path))),
    ];
  }

  /** What `$ref` and `allOf` lead to counts too where a schema sees what its siblings evaluate. */
  #isSameConjunct(wide: unknown, part: unknown): boolean {
    if (!isSchemaObject(wide) || !isSchemaObject(part) || !Object.keys(part).some(seesSiblings))
      return this.same(wide, part);
    return this.same(this.#before.wholeOf(wide), this.#after.wholeOf(part));
  }

  #anyOfNarrowings(old: Old, to: Fields, path: string): readonly string[] {
    if (to.anyOf === undefined) return [];
    const wide = this.#joinInPlace(old.holding, old);
    const isAllowed = listOf(to.anyOf).some((narrow) => this.narrowings(wide, narrow, path).length === 0);
    return isAllowed ? [] : [`${path}/anyOf: no alternative can be shown to allow what was allowed`];
  }

  /** A value matches one new alternative and no other: those that an old value did not match, or can not match. */
  #oneOfNarrowings(old: Old, to: Fields, path: string): readonly string[] {
    const from = old.holding;
    if (to.oneOf === undefined || from.some((one) => one.oneOf !== undefined && this.same(one.oneOf, to.oneOf)))
      return [];
    const holder = from.find((one) => one.oneOf !== undefined);
    const cases = holder === undefined ? [true] : listOf(holder.oneOf);
    const others = from.map((one) => (one === holder ? this.#without(one, "oneOf") : one));
    const narrows = listOf(to.oneOf);
    const isAllowed = cases.every((one, at) => {
      const wide = this.#joinInPlace([one, ...others], old);
      const unmatched = cases.filter((_other, index) => index !== at);
      return narrows.some(
        (narrow, at) =>
          this.narrowings(wide, narrow, path).length === 0 &&
          narrows.every((other, index) => index === at || this.#isOutside(wide, unmatched, other)),
      );
    });
    return isAllowed ? [] : [`${path}/oneOf: just one alternative must allow what was allowed: it can not be shown`];
  }

  #isOutside(wide: unknown, unmatched: readonly unknown[], narrow: unknown): boolean {
    if (unmatched.some((one) => this.same(one, narrow))) return true;
    return areDisjoint(sideOf(this.#before, wide), sideOf(this.#after, narrow));
  }

  #conditionNarrowings(old: Old, to: Fields, path: string): readonly string[] {
    const from = old.holding;
    if (to.if === undefined || (to.then === undefined && to.else === undefined)) return [];
    const kept = from.find((one) => one.if !== undefined && this.same(one.if, to.if));
    if (kept === undefined) return [`${path}/if: changed: it can not be shown to allow what was allowed`];
    const others = from.map((one) => (one === kept ? this.#without(one, "if") : one));
    return (["then", "else"] as const).flatMap((keyword) =>
      this.narrowings(
        this.#joinInPlace([kept[keyword] ?? true, ...others], old),
        to[keyword] ?? true,
        `${path}/${keyword}`,
      ),
    );
  }

  #otherNarrowings(keyword: string, from: Fields, to: Fields, path: string): readonly string[] {
    if (COMPARED.has(keyword) || isAnnotation(keyword) || saysNothing(keyword, to[keyword])) return [];
    const isKept =
      from[keyword] !== undefined &&
      keyword !== "$dynamicRef" &&
      this.#isSameKeyword(keyword, from[keyword], to[keyword]);
    return isKept ? [] : [`${path || "/"}: ${keyword} changed: it can not be shown to allow what was allowed`];
  }

  #isSameKeyword(keyword: string, wide: unknown, narrow: unknown): boolean {
    const pairs = pairsOfKeyword(keyword, wide, narrow);
    return pairs !== undefined && this.#areSame(pairs);
  }

  /** K2: a value of the old schema matches one of its alternatives, and each may be allowed for a reason of its own. */
  #isAllowedByCase(wides: readonly unknown[], old: Old, narrow: unknown, path: string): boolean {
    return wides.some((wide) => {
      if (!isSchemaObject(wide) || this.#cases >= CASES_MAX) return false;
      return (["anyOf", "oneOf", "type"] as const).some((keyword) => {
        const cases = listOf(wide[keyword] ?? []);
        if (cases.length < 2 && keyword === "type") return false;
        if (cases.length > 0) this.#cases += 1;
        const rest = this.#without(wide, keyword);
        const others = wides.map((one) => (one === wide ? rest : one));
        return (
          cases.length > 0 &&
          cases.every((one) => {
            const alternative = keyword === "type" ? this.#make(`type ${String(one)}`, () => ({ type: one })) : one;
            return this.narrowings(this.#joinInPlace([alternative, ...others], old), narrow, path).length === 0;
          })
        );
      });
    });
  }

  /** Without what sees its siblings too: it would close the schema to what the keyword let in. */
  #without(schema: JsonSchema, keyword: string): JsonSchema {
    return this.#make(`${this.#nameOf([schema])} without ${keyword}`, () =>
      Object.fromEntries(Object.entries(schema).filter(([one]) => one !== keyword && !seesSiblings(one))),
    );
  }

  /** Made once, so that the same pair is known again. */
  #make<Made>(name: string, make: () => Made): Made {
    const known = this.#made.get(name);
    if (known !== undefined) return known as Made;
    const made = make();
    this.#made.set(name, made);
    return made;
  }

  #nameOf(schemas: readonly unknown[]): string {
    const numbers = schemas.map((schema) => {
      const known = this.#numbers.get(schema) ?? this.#numbers.size;
      this.#numbers.set(schema, known);
      return known;
    });
    return [...new Set(numbers)].sort((left, right) => left - right).join(",");
  }

  /** Whether the schemas, lists and maps of each pair judge alike at sight, and whatever their references lead to. */
  #areSame(pairs: readonly Pair[]): boolean {
    const met = new Set<string>();
    // A list and no recursion: references lead through as many schemas as there are.
    const left = [...pairs];
    for (let pair = left.pop(); pair !== undefined; pair = left.pop()) {
      const [wide, narrow] = pair;
      this.#steps += 1;
      if (this.#steps > STEPS_MAX) return false;
      if (Array.isArray(wide) && Array.isArray(narrow)) {
        if (wide.length !== narrow.length) return false;
        left.push(...wide.map((one, index): Pair => [one, narrow[index]]));
        continue;
      }
      if (!isSchemaObject(wide) || !isSchemaObject(narrow)) {
        if (isSame(wide, narrow)) continue;
        return false;
      }
      const name = `${this.#nameOf([wide])}/${this.#nameOf([narrow])}`;
      if (met.has(name) || this.#alike.has(name)) continue;
      met.add(name);
      const inner = this.#unlike.has(name) ? undefined : this.#pairsWithin(wide, narrow);
      if (inner === undefined) {
        this.#unlike.add(name);
        return false;
      }
      left.push(...inner);
    }
    for (const name of met) this.#alike.add(name);
    return true;
  }

  /** What must be the same for two schemas to be; undefined where they differ at sight. */
  #pairsWithin(wide: JsonSchema, narrow: JsonSchema): readonly Pair[] | undefined {
    if (this.#before.isOpaque(wide) || this.#after.isOpaque(narrow)) return undefined;
    const [from, to] = [judging(wide), judging(narrow)];
    if (from.length !== to.length) return undefined;
    const pairs: Pair[] = [[this.#before.targetsOf(wide), this.#after.targetsOf(narrow)]];
    for (const [keyword, value] of from) {
      const inner = Object.hasOwn(narrow, keyword) ? pairsOfKeyword(keyword, value, narrow[keyword]) : undefined;
      if (inner === undefined) return undefined;
      pairs.push(...inner);
    }
    return pairs;
  }
}

/** Of one keyword's values; undefined where they differ at sight. */
function pairsOfKeyword(keyword: string, wide: unknown, narrow: unknown): readonly Pair[] | undefined {
  const place = placeOf(keyword);
  if (place === "schema" || place === "list") return [[wide, narrow]];
  if (place !== "map" || !isSchemaObject(wide) || !isSchemaObject(narrow)) return isSame(wide, narrow) ? [] : undefined;
  const names = Object.keys(wide);
  const hasAll = names.length === Object.keys(narrow).length && names.every((name) => Object.hasOwn(narrow, name));
  return hasAll ? names.map((name): Pair => [wide[name], narrow[name]]) : undefined;
}

const sideOf = (document: SchemaDocument, schema: unknown): Side => ({
  conjuncts: document.conjuncts(schema),
  conjunctsOf: (one) => document.conjuncts(one),
});

const NAMES: ReadonlySet<string> = new Set([
  "$ref",
  "$dynamicRef",
  "$defs",
  "definitions",
  "$id",
  "$anchor",
  "$dynamicAnchor",
]);

/** What judges in a schema by itself: not what is for people, not names, and not definitions, which judge where referred to. */
const judging = (schema: JsonSchema): readonly [string, unknown][] =>
  Object.entries(schema).filter(([keyword]) => !isAnnotation(keyword) && !NAMES.has(keyword));

const saysNothing = (keyword: string, value: unknown): boolean =>
  (keyword.startsWith("dependent") && Object.keys(fieldsOf(value)).length === 0) ||
  (keyword === "uniqueItems" && value === false) ||
  (keyword === "format" && !isKnownFormat(String(value)));
