/**
 * What a model is: a card, an artifact, and the code on both sides of it. `prepare` turns an input into one row of the
 * artifact's input tensors, and `finish` turns one row of its output tensors into a result. Sessions, batches, threads and
 * failures are left to the station `actors/enrichment`.
 *
 *   M1. A result follows from the model's version and the input alone: never from the rows beside it, the thread or the
 *       time. `prepare` and `finish` see one row each, and keep nothing between calls.
 *   M2. The first dimension of each tensor counts rows; the others are fixed by the card. So rows of several askers run
 *       together by being laid end to end.
 *   M3. An input that the model cannot take is refused alone, with a reason.
 *   M4. Everything that a model sees is bounded. What exceeds a bound is cut or set aside, as the card's `bounds` say.
 */
import type { Event } from "../protocols/event.ts";
import type { ModelCard, TensorType } from "./card.ts";

/** The elements of a tensor in row-major order, in the class of its type. */
export type TensorData = Float32Array | Int32Array | BigInt64Array | Uint8Array;

export interface Tensor {
  readonly type: TensorType;
  /** The size of each dimension; the first one counts rows (M2). */
  readonly dims: readonly number[];
  readonly data: TensorData;
}

/** Tensors by their name in the artifact. */
export type Tensors = Readonly<Record<string, Tensor>>;

/** The elements of one row by the name of their tensor, without the dimension of rows. */
export type Row = Readonly<Record<string, TensorData>>;

/** The reason is a sentence for a person, without the input's content. */
export interface Refusal {
  readonly kind: "refused";
  readonly reason: string;
}

export type PreparedRow<Input extends Row = Row> = { readonly kind: "row"; readonly row: Input } | Refusal;

export type Inference = { readonly kind: "result"; readonly result: Event } | Refusal;

export interface ModelDefinition<Input extends Row = Row, Output extends Row = Row> {
  readonly card: ModelCard;
  /** @param input the fields that the card names; anything may be missing or of another kind */
  prepare(input: Event): PreparedRow<Input>;
  /** @param output views of shared memory, valid during the call alone */
  finish(output: Output): Inference;
}

export const refused = (reason: string): Refusal => ({ kind: "refused", reason });
