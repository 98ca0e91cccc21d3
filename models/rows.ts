/** Lays rows end to end as tensors, and cuts tensors into rows again, both held to the card (model M2). */
import { invariant } from "../protocols/errors.ts";
import type { TensorSpec, TensorType } from "./card.ts";
import type { Row, Tensor, TensorData, Tensors } from "./model.ts";

/** Makes an array of a type for a number of elements. */
const ARRAYS: Readonly<Record<TensorType, (length: number) => TensorData>> = {
  float32: (length) => new Float32Array(length),
  int32: (length) => new Int32Array(length),
  int64: (length) => new BigInt64Array(length),
  uint8: (length) => new Uint8Array(length),
};

/** The number of elements of one row. */
export function rowLength({ shape: [, ...sizes] }: TensorSpec): number {
  return sizes.reduce((product, size) => product * size, 1);
}

/** Throws `InvariantError` where a row is not as the card says: `prepare` is then at fault. */
export function stackRows(specs: readonly TensorSpec[], rows: readonly Row[]): Tensors {
  return Object.fromEntries(specs.map((spec) => [spec.name, stacked(spec, rows)]));
}

function stacked(spec: TensorSpec, rows: readonly Row[]): Tensor {
  const { name, type, shape } = spec;
  const length = rowLength(spec);
  const data = ARRAYS[type](rows.length * length);
  for (const [at, { [name]: part }] of rows.entries()) {
    const isAsTold = part?.constructor === data.constructor && part.length === length;
    invariant(isAsTold, `Cannot run tensor ${name} as a row must have ${length} elements of ${type}: ${part?.length}`);
    (data as { set(part: unknown, offset: number): void }).set(part, at * length);
  }
  return { type, dims: [rows.length, ...(shape.slice(1) as number[])], data };
}

/** Views of each row. Throws `InvariantError` where the tensors are not those of the card: the artifact is then at fault. */
export function cutRows(specs: readonly TensorSpec[], tensors: Tensors, rows: number): readonly Row[] {
  const columns = specs.map((spec) => {
    const tensor = tensors[spec.name];
    const dims = [rows, ...spec.shape.slice(1)].join(" x ");
    const found = tensor === undefined ? "none" : `${tensor.type} ${tensor.dims.join(" x ")}`;
    invariant(
      found === `${spec.type} ${dims}`,
      `Cannot read tensor ${spec.name} as it must be ${spec.type} ${dims}: ${found}`,
    );
    return { name: spec.name, length: rowLength(spec), data: (tensor as Tensor).data };
  });
  return Array.from({ length: rows }, (_, at) =>
    Object.fromEntries(
      columns.map(({ name, length, data }) => [name, data.subarray(at * length, (at + 1) * length) as TensorData]),
    ),
  );
}
