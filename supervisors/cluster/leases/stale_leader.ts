/** The refusals of a lease store (S2): what is asked in a term that is over, or on a table that is another by now. */
import { FencedError } from "../../../protocols/errors.ts";

/** `newest` is the term that the store knows, 0 for none. */
export const staleTerm = (action: string, leaderEpoch: number, newest: number): FencedError =>
  new FencedError(
    "STALE_LEADER",
    `Cannot ${action} in leader epoch ${leaderEpoch} as it must be the newest: current value is ${newest}`,
  );

export const otherVersion = (expectedVersion: number, version: number): FencedError =>
  new FencedError(
    "STALE_LEADER",
    `Cannot write the table as its version must be ${expectedVersion}: current value is ${version}`,
  );
