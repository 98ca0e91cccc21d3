/** The values that schemas allow, where there are so few that each can be tried: by name, by type, or as whole numbers of a range. */
import { rangeOf } from "./schema_bounds.ts";
import type { Fields } from "./schema_parts.ts";
import { typesOfAll, valuesOf } from "./value_narrowings.ts";

/** Whole numbers of a range that are tried one by one. */
const RANGE_MAX = 64n;

export interface ListedValues {
  readonly values: readonly unknown[];
  /** They are listed as they are, in `enum` or `const`. */
  readonly isByName: boolean;
}

/** A superset of what all of `schemas` allow together; undefined where it can not be listed. */
export function listedValues(schemas: readonly Fields[]): ListedValues | undefined {
  const named = schemas.map(valuesOf).filter((values) => values !== undefined);
  const [first] = named.sort((left, right) => left.length - right.length);
  if (first !== undefined) return { values: first, isByName: true };
  const types = typesOfAll(schemas);
  if (types === undefined) return undefined;
  const lists = [...types].map((type) => valuesOfType(type, schemas, types));
  const all = lists.flatMap((list) => list ?? []);
  return lists.includes(undefined) ? undefined : { values: all, isByName: false };
}

function valuesOfType(
  type: string,
  schemas: readonly Fields[],
  types: ReadonlySet<string>,
): readonly unknown[] | undefined {
  if (type === "null") return [null];
  if (type === "boolean") return [true, false];
  if (type !== "integer" && type !== "number") return undefined;
  const { least, most, isWhole } = rangeOf(schemas, types);
  if (!isWhole || least === undefined || most === undefined) return undefined;
  const [from, to] = [BigInt(least.limit), BigInt(most.limit)];
  if (to - from >= RANGE_MAX) return undefined;
  return type === "number"
    ? []
    : Array.from({ length: Math.max(0, Number(to - from) + 1) }, (_, at) => plain(from + BigInt(at)));
}

/** As an event has it: a big integer only where a number would not hold it. */
const plain = (value: bigint): number | bigint => (Number.isSafeInteger(Number(value)) ? Number(value) : value);
