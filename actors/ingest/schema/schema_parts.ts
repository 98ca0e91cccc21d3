/** Parts of two schemas that are compared. */
import { isSame } from "./equality.ts";
import { isAnnotation, isSchemaObject, placeOf } from "./keywords.ts";

export type Fields = Readonly<Record<string, unknown>>;

/** The keywords of a schema; none for `true` or a schema that is not there. */
export const fieldsOf = (schema: unknown): Fields => (isSchemaObject(schema) ? schema : {});

export const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [value]);

export const text = (value: unknown): string =>
  typeof value === "string" ? value : typeof value === "bigint" ? String(value) : JSON.stringify(value);

/** Whether two schemas, or lists or maps of such, judge alike at sight: what is for people alone may differ. */
export const same = (left: unknown, right: unknown): boolean =>
  isSame(left, right) ||
  (typeof left === "object" && typeof right === "object" && isSame(judgingPart(left), judgingPart(right)));

function judgingPart(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(judgingPart);
  if (!isSchemaObject(schema)) return schema;
  const parts = Object.entries(schema).filter(([keyword]) => !isAnnotation(keyword));
  return Object.fromEntries(parts.map(([keyword, value]) => [keyword, judgingValue(keyword, value)]));
}

function judgingValue(keyword: string, value: unknown): unknown {
  const place = placeOf(keyword);
  if (place === "schema" || place === "list") return judgingPart(value);
  if (place !== "map" || !isSchemaObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, judgingPart(one)]));
}
