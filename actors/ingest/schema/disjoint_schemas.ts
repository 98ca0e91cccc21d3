/** Whether no value can match all of `left` and all of `right`, as the branches of a union that name their kind. */
import { isSame } from "./equality.ts";
import { type Fields, fieldsOf, listOf } from "./schema_parts.ts";
import { typesOf, valuesOf } from "./value_narrowings.ts";

export interface Side {
  /** Schemas that all hold, without `$ref` and `allOf`. */
  readonly conjuncts: readonly unknown[];
  /** The same of a schema within them. */
  conjunctsOf(schema: unknown): readonly unknown[];
}

/** True where it can be shown: by types that differ, or by values of a property that one of the two requires. */
export function areDisjoint(left: Side, right: Side): boolean {
  if (differ(left.conjuncts, right.conjuncts)) return true;
  // `required` and `properties` say nothing of what is no map: such a value matches both.
  if (![...left.conjuncts, ...right.conjuncts].some(isOfMapsAlone)) return false;
  const required = new Set([...requiredBy(left), ...requiredBy(right)]);
  return [...required].some((name) => differ(rulesOf(left, name), rulesOf(right, name)));
}

const isOfMapsAlone = (schema: unknown): boolean => {
  const types = typesOf(fieldsOf(schema));
  return types?.every((type) => type === "object") === true;
};

const requiredBy = ({ conjuncts }: Side): readonly string[] =>
  conjuncts.flatMap((one) => listOf(fieldsOf(one).required ?? []) as readonly string[]);

const rulesOf = ({ conjuncts, conjunctsOf }: Side, name: string): readonly unknown[] =>
  conjuncts.flatMap((one) => {
    const properties = fieldsOf(fieldsOf(one).properties);
    return Object.hasOwn(properties, name) ? conjunctsOf(properties[name]) : [];
  });

const differ = (left: readonly unknown[], right: readonly unknown[]): boolean =>
  left
    .map(fieldsOf)
    .some((one) => right.map(fieldsOf).some((other) => haveOtherTypes(one, other) || haveOtherValues(one, other)));

function haveOtherTypes(left: Fields, right: Fields): boolean {
  const [types, others] = [typesOf(left), typesOf(right)];
  if (types === undefined || others === undefined) return false;
  const isNumber = (type: unknown) => type === "integer" || type === "number";
  return !types.some((type) => others.some((other) => type === other || (isNumber(type) && isNumber(other))));
}

function haveOtherValues(left: Fields, right: Fields): boolean {
  const [values, others] = [valuesOf(left), valuesOf(right)];
  if (values === undefined || others === undefined) return false;
  return !values.some((value) => others.some((other) => isSame(value, other)));
}
