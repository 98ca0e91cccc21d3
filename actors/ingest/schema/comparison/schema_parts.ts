/** Parts of two schemas that are compared. */
import { isSchemaObject } from "../keywords.ts";

export type Fields = Readonly<Record<string, unknown>>;

/** The keywords of a schema; none for `true` or a schema that is not there. */
export const fieldsOf = (schema: unknown): Fields => (isSchemaObject(schema) ? schema : {});

/** Of a value that a schema names: a map and no list. */
export const isMap = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);

export const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [value]);

export const text = (value: unknown): string =>
  typeof value === "string" ? value : typeof value === "bigint" ? String(value) : JSON.stringify(value);
