/** The refusals of a lease store: a call in a term that is not the newest (S2), or on another version of the table. */
import { FencedError } from "../../../protocols/errors.ts";

/** @param newest the newest term that the store knows; 0 for none */
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
