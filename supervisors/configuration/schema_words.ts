/** The words that the schemas of a configuration are made of. */

export type Schema = Readonly<Record<string, unknown>>;

export const name = { type: "string", pattern: "^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$" } as const;
export const size = {
  type: ["integer", "string"],
  description: "Bytes, or a number with KiB, MiB or GiB.",
  pattern: "^[0-9]+(\\.[0-9]+)? ?(B|KiB|MiB|GiB|TiB)$",
  minimum: 0,
} as const;
export const duration = {
  type: ["integer", "string"],
  description: "Milliseconds, or a number with ms, s, m, h or d.",
  pattern: "^[0-9]+(\\.[0-9]+)? ?(ms|s|m|h|d)$",
  minimum: 0,
} as const;

/** A map of these keys alone. */
export const object = (
  description: string,
  properties: Readonly<Record<string, Schema>>,
  required: readonly string[] = [],
) => ({
  type: "object",
  description,
  properties,
  required,
  additionalProperties: false,
});

export const mapOf = (description: string, value: Schema) => ({
  type: "object",
  description,
  // The most children that one supervising actor may have.
  maxProperties: 90,
  propertyNames: name,
  additionalProperties: value,
});

/** A map of these keys and of those that its `type` decides. */
export const typed = (
  description: string,
  properties: Readonly<Record<string, Schema>>,
  required: readonly string[],
) => ({
  type: "object",
  description,
  properties: {
    type: {
      type: "string",
      description:
        "The kind, which decides the other options: one of those below, or [one of your own](#kinds-of-your-own).",
    },
    ...properties,
  },
  required: ["type", ...required],
});
