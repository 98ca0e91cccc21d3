/**
 * A schema whose references are followed: the parts that all hold for one value, wherever they are written (`$ref`, `allOf`),
 * and every schema that judges that same value.
 */
import { isAnnotation, isSchemaObject, type JsonSchema } from "./keywords.ts";
import { References } from "./references.ts";
import { listOf } from "./schema_parts.ts";

/** Keywords whose schemas judge the value itself, not a part of it. */
const IN_PLACE = ["allOf", "anyOf", "oneOf", "not", "if", "then", "else"] as const;
/** Keywords that hold other parts, or none that judges. */
const ELSEWHERE: ReadonlySet<string> = new Set([
  "$ref",
  "allOf",
  "$defs",
  "definitions",
  "$id",
  "$anchor",
  "$dynamicAnchor",
]);

export class SchemaDocument {
  readonly #references: References;
  readonly #rests = new Map<JsonSchema, JsonSchema>();
  readonly #inPlace = new Map<JsonSchema, readonly JsonSchema[]>();
  readonly #wholes = new Map<JsonSchema, JsonSchema>();

  constructor(root: JsonSchema) {
    this.#references = new References(root);
  }

  /** Where the references of a schema lead. */
  targetsOf(schema: JsonSchema): readonly unknown[] {
    const references = [schema.$ref, this.#references.isDynamic ? undefined : schema.$dynamicRef];
    return references.flatMap((reference) =>
      typeof reference === "string"
        ? [this.#references.resolve(reference, this.#references.resourceOf(schema)).schema]
        : [],
    );
  }

  /** Has a reference whose end is known only once an event is judged. */
  isOpaque(schema: JsonSchema): boolean {
    return schema.$dynamicRef !== undefined && this.#references.isDynamic;
  }

  /** Schemas without `$ref` and `allOf`, all of which a value must match to match `schema`; none for `true`. */
  conjuncts(schema: unknown): readonly unknown[] {
    const found: unknown[] = [];
    this.#collect(schema, found, new Set());
    return found;
  }

  #collect(schema: unknown, found: unknown[], seen: Set<unknown>): void {
    if (schema === true || schema === undefined || seen.has(schema)) return;
    seen.add(schema);
    if (!isSchemaObject(schema)) {
      found.push(schema);
      return;
    }
    const inner = [...this.targetsOf(schema), ...listOf(schema.allOf ?? [])];
    const rest = inner.length === 0 ? schema : this.#restOf(schema);
    if (Object.keys(rest).some((keyword) => !isAnnotation(keyword))) found.push(rest);
    for (const one of inner) this.#collect(one, found, seen);
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
    this.#wholes.set(rest, schema);
    return rest;
  }

  /** The schema that a conjunct is part of: `unevaluatedProperties` sees what stands beside it. */
  wholeOf = (conjunct: JsonSchema): JsonSchema => this.#wholes.get(conjunct) ?? conjunct;

  /** Every schema that may have a say in whether a value matches all of `schemas`, these among them. */
  inPlace(schemas: readonly unknown[]): readonly JsonSchema[] {
    if (schemas.length !== 1) return [...new Set(schemas.flatMap((one) => this.inPlace([one])))];
    const [only] = schemas;
    if (!isSchemaObject(only)) return [];
    const known = this.#inPlace.get(only);
    if (known !== undefined) return known;
    const found = new Set<JsonSchema>();
    const left: unknown[] = [only];
    while (left.length > 0) {
      const schema = left.pop();
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
