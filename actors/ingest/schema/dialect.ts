/**
 * Rewrites schemas of draft-04, -06, -07 and 2019-09, as their `$schema` says, to 2020-12, the draft that is compiled.
 * A schema without `$schema` is read as 2020-12, and its older spellings of lists and dependencies are understood too.
 * An unknown keyword or format judges no event and gives a warning.
 */
import { isAnnotation, isSchemaObject, type JsonSchema, placeOf, pointerOf } from "./keywords.ts";

export interface SchemaWarning {
  /** JSON Pointer into the schema. */
  readonly path: string;
  readonly reason: string;
  /** The unknown keyword, where the warning is about one. */
  readonly unknownKeyword?: string;
}

interface ReadSchema {
  readonly schema: JsonSchema;
  readonly warnings: readonly SchemaWarning[];
}

/** A draft's number; 0 for a schema that names none. */
type Draft = 0 | 4 | 6 | 7 | 2019 | 2020;

const DRAFTS: ReadonlyMap<string, Draft> = new Map<string, Draft>([
  ["json-schema.org/draft-04/schema", 4],
  ["json-schema.org/draft-06/schema", 6],
  ["json-schema.org/draft-07/schema", 7],
  ["json-schema.org/draft/2019-09/schema", 2019],
  ["json-schema.org/draft/2020-12/schema", 2020],
  ["json-schema.org/schema", 0],
]);

const DEPTH_MAX = 100;
const WARNINGS_MAX = 100;

/** Throws `Error` for a draft that is not known, and for a schema that nests too deep. */
export function readDialect(schema: JsonSchema, isKnownFormat: (format: string) => boolean): ReadSchema {
  const reader = new DialectReader(draftOf(schema.$schema), isKnownFormat);
  const read = reader.read(schema, "", "", 0);
  return { schema: reader.moveReferences(read) as JsonSchema, warnings: reader.warnings };
}

function draftOf(named: unknown): Draft {
  if (named === undefined) return 0;
  const draft = DRAFTS.get(
    String(named)
      .replace(/^https?:\/\//, "")
      .replace(/#$/, ""),
  );
  if (draft !== undefined) return draft;
  throw new Error(
    `$schema must be one of draft-04, draft-06, draft-07, 2019-09 and 2020-12 of json-schema.org: current value is ${String(named)}`,
  );
}

class DialectReader {
  readonly warnings: SchemaWarning[] = [];
  readonly #draft: Draft;
  readonly #isKnownFormat: (format: string) => boolean;
  /** From the JSON Pointer of a schema in its draft to its pointer in 2020-12, where the two differ. */
  readonly #moved = new Map<string, string>();

  constructor(draft: Draft, isKnownFormat: (format: string) => boolean) {
    this.#draft = draft;
    this.#isKnownFormat = isKnownFormat;
  }

  /** @param from the schema's JSON Pointer in its draft @param to its pointer in 2020-12 */
  read(schema: unknown, from: string, to: string, depth: number): unknown {
    if (!isSchemaObject(schema)) return schema;
    if (depth > DEPTH_MAX) throw new Error(`schemas must nest at most ${DEPTH_MAX} deep: ${from} lies deeper`);
    if (from !== to) this.#moved.set(from, to);
    const isReferenceAlone = this.#draft !== 0 && this.#draft <= 7 && typeof schema.$ref === "string";
    const result: Record<string, unknown> = {};
    for (const [keyword, value] of Object.entries(schema)) {
      if (isReferenceAlone && !["$ref", "definitions", "$defs"].includes(keyword)) {
        if (!isAnnotation(keyword))
          this.#warn(pointerOf(from, keyword), `is ignored beside $ref in draft-0${this.#draft}`);
        continue;
      }
      this.#readKeyword(keyword, value, schema, result, from, to, depth);
    }
    return result;
  }

  #readKeyword(
    keyword: string,
    value: unknown,
    schema: JsonSchema,
    result: Record<string, unknown>,
    from: string,
    to: string,
    depth: number,
  ): void {
    const inner = (one: unknown, oldParts: readonly (string | number)[], newParts = oldParts): unknown =>
      this.read(one, pointerOf(from, ...oldParts), pointerOf(to, ...newParts), depth + 1);
    const isOld = this.#draft !== 2020;
    if (keyword === "$schema") return;
    if (isOld && keyword === "items" && Array.isArray(value)) {
      if (this.#draft === 0) this.#warn(pointerOf(from, keyword), "is a list, as before 2020-12: taken as prefixItems");
      put(
        result,
        "prefixItems",
        value.map((one, index) => inner(one, ["items", index], ["prefixItems", index])),
      );
    } else if (isOld && keyword === "additionalItems") {
      // `additionalItems` judges nothing unless `items` is a list; `items` itself is kept.
      if (Array.isArray(schema.items)) put(result, "items", inner(value, ["additionalItems"], ["items"]));
      else this.#warn(pointerOf(from, keyword), "is ignored as items is no list");
    } else if (isOld && keyword === "dependencies" && isSchemaObject(value)) {
      this.#readDependencies(value, result, inner);
    } else if (isOld && this.#readReference(keyword, value, schema, result, from)) return;
    else put(result, keyword, this.#readPlaced(keyword, value, from, inner));
  }

  /** Reads identities, references and bounds that later drafts spell otherwise. False where the keyword is none. */
  #readReference(
    keyword: string,
    value: unknown,
    schema: JsonSchema,
    result: Record<string, unknown>,
    from: string,
  ): boolean {
    const draft = this.#draft;
    const isBefore2019 = draft !== 0 && draft <= 7;
    if (
      draft === 4 &&
      (keyword === "exclusiveMinimum" || keyword === "exclusiveMaximum") &&
      typeof value === "boolean"
    ) {
      const bound = keyword === "exclusiveMinimum" ? "minimum" : "maximum";
      if (value && schema[bound] !== undefined) put(result, keyword, schema[bound]);
    } else if (isBefore2019 && keyword === (draft === 4 ? "id" : "$id") && typeof value === "string") {
      if (value.startsWith("#")) put(result, "$anchor", value.slice(1));
      else put(result, "$id", value.replace(/#$/, ""));
    } else if (draft === 2019 && keyword === "$recursiveRef") put(result, "$ref", value);
    else if (draft === 2019 && keyword === "$recursiveAnchor") {
      if (from !== "") throw new Error(`${from}/$recursiveAnchor must lie at the root of the schema`);
    } else return false;
    return true;
  }

  #readDependencies(
    value: JsonSchema,
    result: Record<string, unknown>,
    inner: (one: unknown, oldParts: readonly string[], newParts: readonly string[]) => unknown,
  ): void {
    const required: Record<string, unknown> = {};
    const schemas: Record<string, unknown> = {};
    for (const [name, one] of Object.entries(value)) {
      if (Array.isArray(one)) put(required, name, one);
      else put(schemas, name, inner(one, ["dependencies", name], ["dependentSchemas", name]));
    }
    if (Object.keys(required).length > 0) put(result, "dependentRequired", required);
    if (Object.keys(schemas).length > 0) put(result, "dependentSchemas", schemas);
  }

  #readPlaced(
    keyword: string,
    value: unknown,
    from: string,
    inner: (one: unknown, parts: readonly (string | number)[]) => unknown,
  ): unknown {
    const place = placeOf(keyword);
    if (place === "schema") return inner(value, [keyword]);
    if (place === "list" && Array.isArray(value)) return value.map((one, index) => inner(one, [keyword, index]));
    if (place === "map" && isSchemaObject(value)) {
      const result: Record<string, unknown> = {};
      for (const [name, one] of Object.entries(value)) put(result, name, inner(one, [keyword, name]));
      return result;
    }
    if (place === undefined && !keyword.startsWith("x-")) {
      const reason = `unknown keyword ${keyword}: no event is judged by it`;
      this.#warn(pointerOf(from, keyword), reason, keyword);
    }
    if (keyword === "format" && typeof value === "string" && !this.#isKnownFormat(value)) {
      this.#warn(pointerOf(from, keyword), `unknown format ${value}: no event is judged by it`);
    }
    return value;
  }

  #warn(path: string, reason: string, unknownKeyword?: string): void {
    if (this.warnings.length >= WARNINGS_MAX) return;
    this.warnings.push({ path, reason, ...(unknownKeyword === undefined ? {} : { unknownKeyword }) });
  }

  /** Rewrites references to schemas that lie elsewhere in 2020-12. */
  moveReferences(schema: unknown): unknown {
    if (this.#moved.size === 0) return schema;
    const visit = (value: unknown): unknown => {
      if (Array.isArray(value)) return value.map(visit);
      if (!isSchemaObject(value)) return value;
      const result: Record<string, unknown> = {};
      for (const [keyword, one] of Object.entries(value)) {
        put(result, keyword, keyword === "$ref" && typeof one === "string" ? this.#moveReference(one) : visit(one));
      }
      return result;
    };
    return visit(schema);
  }

  #moveReference(reference: string): string {
    if (!reference.startsWith("#/")) return reference;
    const pointer = decodeURIComponent(reference.slice(1));
    for (let end = pointer.length; end > 0; end = pointer.lastIndexOf("/", end - 1)) {
      const moved = this.#moved.get(pointer.slice(0, end));
      if (moved !== undefined) return `#${encodeURI(moved + pointer.slice(end))}`;
    }
    return reference;
  }
}

/** Defined, not assigned: a property named `__proto__` stays a property. */
function put(fields: Record<string, unknown>, name: string, value: unknown): void {
  Object.defineProperty(fields, name, { value, enumerable: true, writable: true, configurable: true });
}
