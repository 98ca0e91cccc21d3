/**
 * The properties that the schemas of one value look at, so that `unevaluatedProperties` does not judge them. The
 * schemas are its siblings, and those that they refer to or hold as alternatives.
 */
import type { SchemaDocument } from "./comparison/schema_document.ts";
import { type Fields, fieldsOf } from "./comparison/schema_parts.ts";
import { isSchemaObject } from "./keywords.ts";

export interface Evaluated {
  readonly names: Set<string>;
  readonly patterns: Set<string>;
  /** True where every property may be looked at. */
  isAny: boolean;
}

/** Properties that the keywords of these schemas look at. @param whole its own `unevaluatedProperties` does not count */
export function evaluatedBy(schemas: readonly unknown[], document: SchemaDocument, whole?: unknown): Evaluated {
  const found: Evaluated = { names: new Set(), patterns: new Set(), isAny: false };
  for (const schema of schemas) {
    const { properties, patternProperties, additionalProperties, unevaluatedProperties } = fieldsOf(schema);
    for (const name of Object.keys(fieldsOf(properties))) found.names.add(name);
    for (const pattern of Object.keys(fieldsOf(patternProperties))) found.patterns.add(pattern);
    const isClosed = unevaluatedProperties !== undefined && document.wholeOf(schema) !== whole;
    found.isAny ||=
      additionalProperties !== undefined || isClosed || (isSchemaObject(schema) && document.isOpaque(schema));
  }
  return found;
}

const known = new WeakMap<SchemaDocument, Map<unknown, Evaluated>>();

/** The properties that the schemas of one value look at in some case. */
export function everEvaluated(document: SchemaDocument, whole: unknown): Evaluated {
  const wholes = known.get(document) ?? new Map<unknown, Evaluated>();
  known.set(document, wholes);
  const evaluated = wholes.get(whole) ?? evaluatedBy(document.inPlace([whole]), document, whole);
  wholes.set(whole, evaluated);
  return evaluated;
}

/** Whether `looked` includes every property of the second argument. */
export const includes = (looked: Evaluated, { names, patterns, isAny }: Evaluated, document: SchemaDocument): boolean =>
  looked.isAny ||
  (!isAny &&
    [...patterns].every((pattern) => looked.patterns.has(pattern)) &&
    [...names].every(
      (name) => looked.names.has(name) || [...looked.patterns].some((pattern) => document.isFound(pattern, name)),
    ));

/** The rules of `unevaluatedProperties` that certainly judge the property `name` in a part of an old schema. */
export const closingRulesOf = (part: Fields, name: string, before: SchemaDocument): readonly unknown[] =>
  closingRules(
    part,
    before,
    ({ names, patterns }) => names.has(name) || [...patterns].some((pattern) => before.isFound(pattern, name)),
  );

/** The same rules for every property that has none of these names. */
export const closingRulesBeyond = (part: Fields, known: ReadonlySet<string>, before: SchemaDocument) =>
  closingRules(
    part,
    before,
    ({ names, patterns }) => patterns.size > 0 || ![...names].every((name) => known.has(name)),
  );

function closingRules(
  part: Fields,
  before: SchemaDocument,
  isEvaluated: (by: Evaluated) => boolean,
): readonly unknown[] {
  const whole = before.wholeOf(part);
  const { unevaluatedProperties } = whole;
  if (unevaluatedProperties === undefined) return [];
  const evaluated = everEvaluated(before, whole);
  return evaluated.isAny || isEvaluated(evaluated) ? [] : [unevaluatedProperties];
}
