/** Small readers of schemas that the comparison uses. */
import { isSchemaObject } from "../keywords.ts";

export type Fields = Readonly<Record<string, unknown>>;

/** The keywords of a schema; none for `true` or an absent schema. */
export const fieldsOf = (schema: unknown): Fields => (isSchemaObject(schema) ? schema : {});

/** Whether a value that a schema names is a map, and no list. */
export const isMap = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);

export const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [value]);

export const text = (value: unknown): string =>
  typeof value === "string" ? value : typeof value === "bigint" ? String(value) : JSON.stringify(value);
