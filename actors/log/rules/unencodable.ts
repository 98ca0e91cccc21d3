/** The error of an append whose bytes could not be made: a bug of this program, found before anything was written (E25). */
import { FencedError, InvariantError, reasonOf } from "../../../protocols/errors.ts";
import { type PartitionReference, partitionName } from "../../../protocols/position.ts";

/** The fault as `InvariantError`, after which the partition tries its batches one by one and refuses the faulty one. */
export function unencodable(partition: PartitionReference, error: unknown): Error {
  if (error instanceof InvariantError || error instanceof FencedError) return error;
  const reason = reasonOf(error);
  return new InvariantError(
    `Cannot append to ${partitionName(partition)} as its batches must have a stored form: ${reason}`,
    { cause: error },
  );
}
