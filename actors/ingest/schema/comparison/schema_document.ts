/**
 * A schema document with its references followed: the schemas that all hold for one value, wherever they are written
 * (`$ref`, `allOf`), the schemas that may judge that value, and whether a value matches.
 */
import type { CompilePattern } from "../../../kernel/linear_pattern.ts";
import { isAnnotation, isSchemaObject, type JsonSchema, subschemasOf } from "../keywords.ts";
import { References } from "../references.ts";
import type { ComparisonBudget } from "./comparison_budget.ts";
import { listOf } from "./schema_parts.ts";
import { ValueJudge } from "./value_judge.ts";

/** Keywords whose schemas judge the value itself, not a part of it. */
const IN_PLACE = ["allOf", "anyOf", "oneOf", "not", "if", "then", "else"] as const;
/** Keywords whose schemas judge no value, or judge it through a reference alone. */
const ELSEWHERE: ReadonlySet<string> = new Set([
  ...["$ref", "allOf", "$defs", "definitions", "$id", "$anchor", "$dynamicAnchor"],
]);

const NONE: readonly unknown[] = [];

const VISIT_STEPS = 12;

export class SchemaDocument {
  readonly budget: ComparisonBudget;
  readonly #references: References;
  readonly #judge: ValueJudge;
  readonly #targets = new Map<JsonSchema, readonly unknown[]>();
  readonly #rests = new Map<JsonSchema, JsonSchema>();
  readonly #inPlace = new Map<JsonSchema, readonly JsonSchema[]>();
  readonly #wholes = new Map<unknown, JsonSchema>();

  constructor(root: JsonSchema, compilePattern: CompilePattern, budget: ComparisonBudget) {
    this.budget = budget;
    this.#references = new References(root);
    this.#judge = new ValueJudge(root, compilePattern, budget);
  }

  targetsOf(schema: JsonSchema): readonly unknown[] {
    if (schema.$ref === undefined && schema.$dynamicRef === undefined) return NONE;
    const known = this.#targets.get(schema);
    if (known !== undefined) return known;
    const references = [schema.$ref, this.#references.isDynamic ? undefined : schema.$dynamicRef];
    const targets = references.flatMap((reference) => {
      if (typeof reference !== "string") return [];
      this.budget.take(VISIT_STEPS * 10 + reference.length);
      return [this.#references.resolve(reference, this.#references.resourceOf(schema)).schema];
    });
    this.#targets.set(schema, targets);
    return targets;
  }

  /** Whether a schema has a dynamic reference, whose target is known only once an event is judged. */
  isOpaque(schema: JsonSchema): boolean {
    return schema.$dynamicRef !== undefined && this.#references.isDynamic;
  }

  /** Whether a value matches a schema; undefined where a dynamic reference may be met. */
  isMatch(schema: unknown, value: unknown): boolean | undefined {
    const isKnown = !this.#references.isDynamic || !refers(schema);
    return isKnown ? this.#judge.isMatch(schema, value) : undefined;
  }

  isFound(pattern: string, name: string): boolean {
    return this.#judge.isFound(pattern, name);
  }

  /** Schemas without `$ref` and `allOf`, all of which a value must match to match `schema`; none for `true`. */
  conjuncts(schema: unknown): readonly unknown[] {
    if (isSchemaObject(schema) && schema.allOf === undefined && this.targetsOf(schema).length === 0)
      return isJudging(schema) ? [schema] : NONE;
    const found: unknown[] = [];
    const seen = new Set<unknown>([true, undefined]);
    const left: unknown[] = [schema];
    while (left.length > 0) {
      const one = left.pop();
      if (seen.has(one)) continue;
      seen.add(one);
      this.budget.take(VISIT_STEPS);
      if (!isSchemaObject(one)) {
        found.push(one);
        continue;
      }
      const inner = one.allOf === undefined ? [...this.targetsOf(one)] : [...this.targetsOf(one), ...listOf(one.allOf)];
      const rest = inner.length === 0 ? one : this.#restOf(one);
      if (isJudging(rest)) found.push(rest);
      left.push(...inner.reverse());
    }
    return found;
  }

  #restOf(schema: JsonSchema): JsonSchema {
    const known = this.#rests.get(schema);
    if (known !== undefined) return known;
    const isDynamic = this.#references.isDynamic;
    const own = Object.entries(schema).filter(
      ([keyword]) => !ELSEWHERE.has(keyword) && (isDynamic || keyword !== "$dynamicRef"),
    );
    const rest = Object.fromEntries(own);
    this.#rests.set(schema, rest);
    this.keepWhole(rest, schema);
    return rest;
  }

  /** Notes that every value here that matches `part` matches `schema`, of which it is a part. */
  keepWhole(part: JsonSchema, schema: JsonSchema): void {
    this.#wholes.set(part, this.wholeOf(schema));
  }

  /** The schema that a conjunct is part of: `unevaluatedProperties` depends on the keywords around it. */
  wholeOf<Schema>(conjunct: Schema): Schema | JsonSchema {
    return this.#wholes.get(conjunct) ?? conjunct;
  }

  /** Every schema that may have a say in whether a value matches all of `schemas`, these among them. */
  inPlace(schemas: readonly unknown[]): readonly JsonSchema[] {
    if (schemas.length !== 1) return [...new Set(schemas.flatMap((one) => this.inPlace([one])))];
    const [only] = schemas;
    if (!isSchemaObject(only)) return [];
    const known = this.#inPlace.get(only);
    this.budget.take(VISIT_STEPS * (known?.length ?? 0));
    if (known !== undefined) return known;
    const found = new Set<JsonSchema>();
    const left: unknown[] = [only];
    while (left.length > 0) {
      const schema = left.pop();
      this.budget.take(VISIT_STEPS);
      if (!isSchemaObject(schema) || found.has(schema)) continue;
      found.add(schema);
      left.push(...this.targetsOf(schema));
      for (const keyword of IN_PLACE) left.push(...listOf(schema[keyword] ?? []));
      if (isSchemaObject(schema.dependentSchemas)) left.push(...Object.values(schema.dependentSchemas));
    }
    const all = [...found];
    this.#inPlace.set(only, all);
    return all;
  }
}

const isJudging = (schema: JsonSchema): boolean => Object.keys(schema).some((keyword) => !isAnnotation(keyword));

/** Whether a schema, or a schema within it, has references. */
const refers = (schema: unknown): boolean =>
  isSchemaObject(schema) &&
  (schema.$ref !== undefined || schema.$dynamicRef !== undefined || subschemasOf(schema).some(refers));
