/** Small readers of schemas that the comparison uses. */
import { isSchemaObject, type JsonSchema } from "../keywords.ts";

export type Fields = JsonSchema;

/** The keywords of a schema; none for `true` or an absent schema. */
export const fieldsOf = (schema: unknown): Fields => (isSchemaObject(schema) ? schema : {});

export const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [value]);

export const text = (value: unknown): string =>
  typeof value === "string" ? value : typeof value === "bigint" ? String(value) : JSON.stringify(value);
