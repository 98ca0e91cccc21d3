/**
 * The card of a model: what it does, takes and answers, where it comes from, how good it is and where it fails (after
 * Mitchell et al., "Model Cards for Model Reporting", 2019). People read it, and the station checks an artifact against it.
 */
import { ConfigurationError } from "../protocols/errors.ts";
import type { Event } from "../protocols/event.ts";

/** The dimension that counts rows. It is the first of each tensor. */
export const ROWS = "rows";

/** The type of an element. */
export type TensorType = "float32" | "int32" | "int64" | "uint8";

export interface TensorSpec {
  readonly name: string;
  readonly type: TensorType;
  /** Sizes of the dimensions behind the rows. */
  readonly shape: readonly [typeof ROWS, ...number[]];
  /** The unit of an element, with its range. */
  readonly unit: string;
}

export interface CardField {
  readonly name: string;
  /** The kind of value, with its unit and range. */
  readonly unit: string;
  readonly about: string;
}

/** A bound of what the model sees (model M4). */
export interface CardBound {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** The fate of what exceeds the bound: the excess is left out, or the input is refused. */
  readonly rule: "cut" | "set_aside";
  readonly about: string;
}

export interface CardData {
  readonly name: string;
  readonly licence: string;
  readonly attribution: string;
  /** The part that was used, and the changes made to it. */
  readonly use: string;
}

export interface CardQuality {
  /** The texts, series or records measured on; none of them was trained on. */
  readonly on: string;
  readonly measure: string;
  readonly value: number;
}

export interface ModelCard {
  /** Lower-case words joined by `_`; the folder's name. */
  readonly name: string;
  /** Counts from 1. Every change of the artifact or of the code that changes a result has a version of its own. */
  readonly version: number;
  /** One sentence. */
  readonly task: string;
  readonly licence: string;
  /** Of the input: the model reads no other field. */
  readonly fields: readonly CardField[];
  readonly result: readonly CardField[];
  readonly bounds: readonly CardBound[];
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  /** The most rows of one run. 1 for an artifact whose rows influence one another's last digits. */
  readonly rowsMax: number;
  /** Inputs with their results, to the last digit. A session serves only after it has answered all of them. */
  readonly examples: readonly { readonly input: Event; readonly result: Event }[];
  readonly artifact: { readonly file: string; readonly sizeBytes: number; readonly sha256: string };
  readonly data: readonly CardData[];
  /** The command that makes the artifact again, with the versions that it was made with. */
  readonly training: { readonly command: string; readonly about: string };
  readonly quality: readonly CardQuality[];
  /** Where the model fails, each with its measure where there is one. */
  readonly fails: readonly string[];
}

const text = { type: "string", minLength: 1, maxLength: 2_000 };
const name = { type: "string", pattern: "^[a-z][a-zA-Z0-9_]{0,63}$" };
const count = { type: "integer", minimum: 1 };

function object(properties: Readonly<Record<string, unknown>>) {
  return { type: "object", properties, required: Object.keys(properties), additionalProperties: false };
}

const list = (items: unknown) => ({ type: "array", items, minItems: 1, maxItems: 100 });
const fields = list(object({ name, unit: text, about: text }));
const tensors = list(
  object({
    name,
    type: { enum: ["float32", "int32", "int64", "uint8"] },
    shape: { type: "array", prefixItems: [{ const: ROWS }], items: count, minItems: 1, maxItems: 8 },
    unit: text,
  }),
);

/** The card as JSON Schema 2020-12. */
export const CARD_SCHEMA = object({
  name: { type: "string", pattern: "^[a-z][a-z0-9]*(_[a-z0-9]+)*$", maxLength: 64 },
  version: count,
  task: text,
  licence: text,
  fields,
  result: fields,
  bounds: list(
    object({ name, value: { type: "number" }, unit: text, rule: { enum: ["cut", "set_aside"] }, about: text }),
  ),
  inputs: tensors,
  outputs: tensors,
  rowsMax: { ...count, maximum: 4_096 },
  examples: list(object({ input: { type: "object" }, result: { type: "object" } })),
  artifact: object({ file: text, sizeBytes: count, sha256: { type: "string", pattern: "^[0-9a-f]{64}$" } }),
  data: list(object({ name: text, licence: text, attribution: text, use: text })),
  training: object({ command: text, about: text }),
  quality: list(object({ on: text, measure: text, value: { type: "number" } })),
  fails: list(text),
});

/** Throws `ConfigurationError` unless the bytes are the artifact that the card was written for. */
export async function checkArtifact({ name, version, artifact }: ModelCard, bytes: Uint8Array): Promise<void> {
  const digest = await crypto.subtle.digest("SHA-256", Uint8Array.from(bytes));
  const sha256 = [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  if (bytes.byteLength === artifact.sizeBytes && sha256 === artifact.sha256) return;
  throw new ConfigurationError(
    "INVALID_CONFIGURATION",
    `Cannot open model ${name} ${version} as its artifact must have ${artifact.sizeBytes} bytes with SHA-256 ${artifact.sha256}: current value is ${bytes.byteLength} bytes with ${sha256}`,
  );
}
