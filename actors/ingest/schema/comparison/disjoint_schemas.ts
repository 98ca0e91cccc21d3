/** Whether no value can match all schemas of two sides, such as the branches of a union. */
import { isSchemaObject } from "../keywords.ts";
import { listedValues } from "./listed_values.ts";
import { type NumberRange, rangeOf } from "./schema_bounds.ts";
import type { SchemaDocument } from "./schema_document.ts";
import { fieldsOf, listOf } from "./schema_parts.ts";
import { typesOfAll } from "./value_narrowings.ts";

const PAIR_STEPS = 300;

export interface Side {
  readonly document: SchemaDocument;
  readonly schemas: readonly unknown[];
}

/** True where types, values or ranges differ: of the whole value, or of a property that one of the sides requires. */
export function areDisjoint(left: Side, right: Side): boolean {
  left.document.budget.take(PAIR_STEPS);
  const sides = [left, right].map(withConjuncts) as [Conjuncts, Conjuncts];
  if (differ(...sides) || isApartInEachCase(...sides) || isApartInEachCase(sides[1], sides[0])) return true;
  // `required` and `properties` judge maps alone: any other value matches both sides.
  if (!sides.some(({ conjuncts }) => isOfMapsAlone(conjuncts))) return false;
  const required = new Set(
    sides.flatMap(({ conjuncts }) => conjuncts.flatMap((one) => listOf(fieldsOf(one).required ?? []))),
  );
  return [...required].some((name) => {
    const [one, other] = sides.map((side) => withConjuncts({ ...side, schemas: rulesOf(side, String(name)) }));
    return one !== undefined && other !== undefined && differ(one, other);
  });
}

/** Whether one side has alternatives that are each apart from the other side. */
const isApartInEachCase = ({ document, conjuncts }: Conjuncts, other: Conjuncts): boolean =>
  conjuncts
    .map(fieldsOf)
    .some((one) =>
      [one.anyOf, one.oneOf].some(
        (cases) =>
          cases !== undefined && listOf(cases).every((schema) => areDisjoint({ document, schemas: [schema] }, other)),
      ),
    );

interface Conjuncts extends Side {
  readonly conjuncts: readonly unknown[];
}

const withConjuncts = ({ document, schemas }: Side): Conjuncts => ({
  ...{ document, schemas },
  conjuncts: schemas.flatMap((one) => document.conjuncts(one)),
});

const isOfMapsAlone = (conjuncts: readonly unknown[]): boolean => {
  const types = typesOfAll(conjuncts.map(fieldsOf));
  return types !== undefined && [...types].every((type) => type === "object");
};

const rulesOf = ({ conjuncts }: Conjuncts, name: string): readonly unknown[] =>
  conjuncts.flatMap((one) => {
    const properties = fieldsOf(fieldsOf(one).properties);
    return Object.hasOwn(properties, name) ? [properties[name]] : [];
  });

function differ(left: Conjuncts, right: Conjuncts): boolean {
  const [ones, others] = [left.conjuncts, right.conjuncts];
  if (ones.includes(false) || others.includes(false)) return true;
  const [types, otherTypes] = [typesOfAll(ones.map(fieldsOf)), typesOfAll(others.map(fieldsOf))];
  if (types !== undefined && otherTypes !== undefined) {
    const common = [...types].filter((type) => otherTypes.has(type));
    const isOfNumbers = common.every((type) => type === "integer" || type === "number");
    if (
      isOfNumbers &&
      (common.length === 0 || areApart(rangeOf(ones.map(fieldsOf), types), rangeOf(others.map(fieldsOf), otherTypes)))
    )
      return true;
  }
  return matchesNone(left, right) || matchesNone(right, left);
}

const areApart = (one: NumberRange, other: NumberRange): boolean => isBelow(one, other) || isBelow(other, one);

function isBelow({ most }: NumberRange, { least }: NumberRange): boolean {
  if (most === undefined || least === undefined) return false;
  return most.limit < least.limit || (most.limit <= least.limit && (most.isExclusive || least.isExclusive));
}

/** Whether each value that the left side lists is refused by the right one. */
function matchesNone(left: Conjuncts, { document, conjuncts }: Conjuncts): boolean {
  const listed = listedValues(left.conjuncts.filter(isSchemaObject));
  return (
    listed?.values.every((value) =>
      conjuncts.some((one) => document.isMatch(document.wholeOf(one), value) === false),
    ) === true
  );
}
