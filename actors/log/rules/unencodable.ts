/** The error of an append whose bytes could not be made: a bug of this program, found before anything was written (E25). */
import { FencedError, InvariantError, reasonOf } from "../../../protocols/errors.ts";
import { type PartitionReference, partitionName } from "../../../protocols/position.ts";

/** Makes bytes. A throw becomes `InvariantError`: the partition then tries its batches alone, and refuses the faulty one. */
export function encoded<Value>(partition: PartitionReference, encode: () => Value): Value {
  try {
    return encode();
  } catch (error) {
    if (error instanceof InvariantError || error instanceof FencedError) throw error;
    const must = `Cannot append to ${partitionName(partition)} as its batches must have a stored form: ${reasonOf(error)}`;
    throw new InvariantError(must, { cause: error });
  }
}
