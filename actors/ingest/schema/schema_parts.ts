/** Parts of two schemas that are compared. */
import { isSchemaObject } from "./keywords.ts";

export type Fields = Readonly<Record<string, unknown>>;

/** The keywords of a schema; none for `true` or a schema that is not there. */
export const fieldsOf = (schema: unknown): Fields => (isSchemaObject(schema) ? schema : {});

export const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [value]);

export const text = (value: unknown): string =>
  typeof value === "string" ? value : typeof value === "bigint" ? String(value) : JSON.stringify(value);
