/**
 * Reads whole numbers of paths and query strings by the schemas of their routes, and fills in defaults. A whole number has digits
 * alone: `1e3`, ` 1` and the empty text are none. Other texts, headers and bodies are left to the routes.
 */
import type { FastifySchemaCompiler } from "fastify";
import { RejectedError } from "../../../protocols/errors.ts";
import type { Schema } from "./route_schemas.ts";

interface Parameter {
  readonly type?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly default?: string | number;
}

/** The check of one part of a route's requests. */
export const parameterReader: FastifySchemaCompiler<Schema> = ({ schema, httpPart }) => {
  const isRead = httpPart === "params" || httpPart === "querystring";
  const known = Object.entries((isRead ? (schema.properties ?? {}) : {}) as Readonly<Record<string, Parameter>>);
  const read = known.filter(([, one]) => one.type === "integer" || one.default !== undefined);
  if (read.length === 0) return unchecked;
  return (given: Record<string, unknown>) => {
    try {
      for (const [name, { type, minimum = 0, maximum, default: otherwise }] of read) {
        const value = given[name];
        if (value === undefined) given[name] = otherwise;
        else if (type === "integer") given[name] = wholeNumber(name, String(value), minimum, maximum);
      }
      return true;
    } catch (error) {
      return { error: error as RejectedError };
    }
  };
};

const unchecked = (): boolean => true;

/** For a route whose own sentence about a parameter says more. */
export const uncheckedParameters = () => unchecked;

/** Throws `RejectedError` `MALFORMED_FRAME`, naming the parameter and its bounds. */
export function wholeNumber(name: string, text: string, min: number, max = Number.MAX_SAFE_INTEGER): number {
  const value = /^[0-9]{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(value) && value >= min && value <= max) return value;
  throw new RejectedError(
    "MALFORMED_FRAME",
    `Cannot answer as ${name} must be a whole number from ${min} to ${max}: current value is ${text.slice(0, 64)}`,
  );
}
