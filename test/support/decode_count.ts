/** Counts how often batches of events are decoded in this process, whoever decodes them. */
import type { Test } from "uvu";
import { Unpackr } from "../../deps.ts";

/** A decoder as it was before the first count. */
const { unpack } = Unpackr.prototype;

export interface DecodeCount {
  /** How often bytes equal to these were decoded since the test began. */
  of(bytes: Uint8Array): number;
}

export function decodeCountOfEachTest(test: Test): DecodeCount {
  const decoded: Buffer[] = [];
  test.before.each(() => {
    decoded.length = 0;
    Unpackr.prototype.unpack = function (this: Unpackr, source: Uint8Array, ...rest: never[]) {
      decoded.push(Buffer.from(source));
      return unpack.call(this, source, ...rest);
    } as typeof unpack;
  });
  test.after.each(() => {
    Unpackr.prototype.unpack = unpack;
  });
  return { of: (bytes) => decoded.filter((one) => one.equals(bytes)).length };
}
