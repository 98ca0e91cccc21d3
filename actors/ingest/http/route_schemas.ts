/**
 * The words in which routes describe themselves: JSON Schema, as OpenAPI 3.1 has it. `/openapi.json` is made of them. Types name
 * the fields of an object, so that a field without a schema does not compile.
 */

export type Schema = Readonly<Record<string, unknown>>;

type OptionalKey<Value> = {
  [Key in keyof Value]-?: object extends Pick<Value, Key>
    ? Key
    : unknown extends Value[Key]
      ? never
      : undefined extends Value[Key]
        ? Key
        : never;
}[keyof Value] &
  string;
type RequiredKey<Value> = Exclude<keyof Value & string, OptionalKey<Value>>;

/** @param optional the fields that an answer may leave out */
export const objectOf = <Value extends object>(
  required: Readonly<Record<RequiredKey<Value>, Schema>>,
  ...[optional]: [OptionalKey<Value>] extends [never] ? [] : [Readonly<Record<OptionalKey<Value>, Schema>>]
): Schema => ({ type: "object", properties: { ...required, ...optional }, required: Object.keys(required) });

/** A schema that stands once in the document, under its name. */
export const named = (name: string, schema: Schema): Schema => ({ $id: name, ...schema });

export const text = (description?: string): Schema => ({ type: "string", description });
export const count = (description?: string): Schema => ({ type: "integer", minimum: 0, description });
export const amount = (description: string): Schema => ({ type: "number", minimum: 0, description });
export const wordOf = (words: readonly string[], description?: string): Schema => ({ enum: words, description });
export const listOf = (items: Schema, description?: string): Schema => ({ type: "array", items, description });

/** Parameters of a path, a query string or headers, by name. */
export const parameters = (properties: Readonly<Record<string, Schema>>): Schema => ({ type: "object", properties });
export const STREAM_PATH: Readonly<Record<string, Schema>> = { stream: text() };
export const PARTITION_PATH: Readonly<Record<string, Schema>> = { ...STREAM_PATH, partition: count() };

export const json = (description: string, schema: Schema, headers?: Readonly<Record<string, Schema>>): Schema => {
  const content = { "application/json": { schema } };
  return { description, headers, content };
};

export interface ErrorAnswer {
  readonly code: string;
  readonly message: string;
}
export const ERROR_FIELDS = {
  code: text("What happened, as a word."),
  message: text("Action, reason and current value."),
};
export const ERROR = named("Error", objectOf<ErrorAnswer>(ERROR_FIELDS));

export const failure = (description: string): Schema => json(description, ERROR);

/** A refusal that names the time of the next try. */
export const again = (description: string, schema: Schema = ERROR): Schema =>
  json(description, schema, { "Retry-After": { type: "integer", minimum: 0, description: "Seconds to wait." } });
