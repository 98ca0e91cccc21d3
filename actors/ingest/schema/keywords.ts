/** The keywords of JSON Schema 2020-12, and where each holds schemas of its own. */

export type JsonSchema = { readonly [keyword: string]: unknown };

export type Place = "schema" | "list" | "map" | "value" | "annotation";

const KEYWORDS: readonly (readonly [place: Place, keywords: readonly string[]])[] = [
  ["schema", ["additionalProperties", "propertyNames", "items", "contains", "not", "if", "then", "else"]],
  ["schema", ["unevaluatedItems", "unevaluatedProperties", "contentSchema"]],
  ["list", ["allOf", "anyOf", "oneOf", "prefixItems"]],
  ["map", ["properties", "patternProperties", "dependentSchemas", "$defs", "definitions"]],
  ["value", ["type", "enum", "const", "format", "pattern", "required", "dependentRequired", "uniqueItems"]],
  ["value", ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength"]],
  ["value", ["minItems", "maxItems", "minProperties", "maxProperties", "minContains", "maxContains"]],
  ["value", ["$ref", "$dynamicRef", "$id", "$anchor", "$dynamicAnchor"]],
  ["annotation", ["$schema", "$comment", "$vocabulary", "title", "description", "default", "examples", "deprecated"]],
  ["annotation", ["readOnly", "writeOnly", "contentEncoding", "contentMediaType"]],
];
const PLACES: ReadonlyMap<string, Place> = new Map(
  KEYWORDS.flatMap(([place, keywords]) => keywords.map((keyword) => [keyword, place] as const)),
);

export const placeOf = (keyword: string): Place | undefined => PLACES.get(keyword);

export const KNOWN_KEYWORDS: readonly string[] = [...PLACES.keys()];

/** Whether a keyword is for people and tools alone: no event is judged by it. */
export const isAnnotation = (keyword: string): boolean => {
  const place = PLACES.get(keyword);
  return place === undefined || place === "annotation" || keyword === "contentSchema";
};

export const isSchemaObject = (value: unknown): value is JsonSchema =>
  typeof value === "object" && value !== null && !Array.isArray(value);

export const pointerOf = (parent: string, ...parts: readonly (string | number)[]): string =>
  parts.reduce<string>((path, part) => `${path}/${String(part).replaceAll("~", "~0").replaceAll("/", "~1")}`, parent);

export function subschemasOf(schema: JsonSchema): readonly unknown[] {
  return Object.entries(schema).flatMap(([keyword, value]) => {
    const place = PLACES.get(keyword);
    if (place === "schema") return [value];
    if (place === "list" && Array.isArray(value)) return value;
    return place === "map" && isSchemaObject(value) ? Object.values(value) : [];
  });
}
