/** Checks a decoded frame's fields one by one, naming one at fault. Unknown ones, of newer versions, are left alone. */
import { RejectedError } from "../errors.ts";
import { FIELD_LIMITS } from "../limits.ts";

export type Fields = Record<string, unknown>;
type Check = (value: unknown, path: string) => void;

export function refuse(path: string, must: string, value: unknown): never {
  throw new RejectedError(
    "MALFORMED_FRAME",
    `Cannot take a frame as ${path} must ${must}: current value is ${describe(value)}`,
  );
}

/** Describes a value without repeating its content, which may be long or secret. */
function describe(value: unknown): string {
  if (typeof value === "number" || typeof value === "boolean" || value === null || value === undefined)
    return String(value);
  if (value instanceof Uint8Array) return `binary of ${value.length} bytes`;
  if (Array.isArray(value)) return `a list of ${value.length}`;
  return typeof value === "string" ? `text of ${value.length} characters` : `a ${typeof value}`;
}

export function isFields(value: unknown): value is Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  return !(value instanceof Uint8Array) && !(value instanceof Date);
}

export function required(fields: Fields, name: string, check: Check): void {
  check(fields[name], `/${name}`);
}

/** Allows an absent field, and null in its place, as clients in some languages send it. */
export function optional(fields: Fields, name: string, check: Check): void {
  const value = fields[name];
  if (value === undefined) return;
  if (value === null) delete fields[name];
  else check(value, `/${name}`);
}

export const asText: Check = (value, path) => {
  if (typeof value !== "string") refuse(path, "be text", value);
};

export const asTextUpTo =
  (charactersMax: number): Check =>
  (value, path) => {
    if (typeof value !== "string" || value.length > charactersMax)
      refuse(path, `be text of at most ${charactersMax} characters`, value);
  };

export const asName: Check = (value, path) => {
  const { nameCharactersMax } = FIELD_LIMITS;
  if (typeof value !== "string" || value.length === 0 || value.length > nameCharactersMax)
    refuse(path, `be text of 1 to ${nameCharactersMax} characters`, value);
};

export const asCount: Check = (value, path) => {
  if (!Number.isSafeInteger(value) || (value as number) < 0)
    refuse(path, "be a whole number from 0 to 2^53 - 1", value);
};

export const asCountUpTo =
  (max: number): Check =>
  (value, path) => {
    if (!Number.isSafeInteger(value) || (value as number) < 0 || (value as number) > max)
      refuse(path, `be a whole number from 0 to ${max}`, value);
  };

export const asBytes: Check = (value, path) => {
  if (!(value instanceof Uint8Array)) refuse(path, "be binary", value);
};

export const asFlag: Check = (value, path) => {
  if (typeof value !== "boolean") refuse(path, "be true or false", value);
};

export const asMap: Check = (value, path) => {
  if (!isFields(value)) refuse(path, "be a map", value);
};

export const asList =
  (element: Check, lengthMax = Number.MAX_SAFE_INTEGER): Check =>
  (value, path) => {
    if (!Array.isArray(value)) refuse(path, "be a list", value);
    if (value.length > lengthMax) refuse(path, `be a list of at most ${lengthMax}`, value);
    for (let index = 0; index < value.length; index++) element(value[index], `${path}/${index}`);
  };

/** A map whose fields `check` checks. The paths in its errors are made relative to the frame. */
export const asFields =
  (check: (fields: Fields) => void): Check =>
  (value, path) => {
    if (!isFields(value)) refuse(path, "be a map", value);
    try {
      check(value);
    } catch (error) {
      if (error instanceof RejectedError)
        throw new RejectedError(error.code, error.message.replace(" as /", ` as ${path}/`), { cause: error });
      throw error;
    }
  };

export const asSequence: Check = (value, path) => {
  const isSequence =
    Array.isArray(value) && value.length === 3 && value.every((part) => Number.isSafeInteger(part) && part >= 0);
  if (!isSequence) refuse(path, "be a list of three whole numbers from 0", value);
};

export const orNull =
  (check: Check): Check =>
  (value, path) => {
    if (value !== null) check(value, path);
  };

export const asOneOf =
  (...words: readonly string[]): Check =>
  (value, path) => {
    if (!words.includes(value as string)) refuse(path, `be one of ${words.join(", ")}`, value);
  };
