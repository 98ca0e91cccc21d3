/**
 * The partitions that refuse appends for now, as the node tells the producers of HTTP requests. A producer waits and
 * tries again; a request is better answered at once, with the reason and the time to wait. `TOO_MANY_PRODUCERS`
 * concerns the one request with a key alone: its principal may hold its share of the places.
 */
import type { Connect } from "../../../protocols/connection.ts";
import { errorFromCode, OverloadedError } from "../../../protocols/errors.ts";
import { partitionName } from "../../../protocols/position.ts";
import type { NodeFrame } from "../../../protocols/wire/frames.ts";

interface Refusal {
  readonly error: OverloadedError;
  readonly untilMs: number;
}

export class PartitionRefusals {
  readonly #nowMs: () => number;
  /** By `<stream>/<partition>`: as many as the node's configuration has partitions, at most. */
  readonly #refusals = new Map<string, Refusal>();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** The reason why the partition refuses appends, until the time that it named has passed; else undefined. */
  of(stream: string, partition: number): OverloadedError | undefined {
    if (this.#refusals.size === 0) return undefined;
    const key = partitionName({ stream, partition });
    const refusal = this.#refusals.get(key);
    if (refusal === undefined || refusal.untilMs > this.#nowMs()) return refusal?.error;
    this.#refusals.delete(key);
    return undefined;
  }

  /** The refusal of any partition of the stream, for events without a partition of their own. */
  anyOf(stream: string): OverloadedError | undefined {
    for (const key of [...this.#refusals.keys()]) {
      const at = key.lastIndexOf("/");
      const error = key.slice(0, at) === stream ? this.of(stream, Number(key.slice(at + 1))) : undefined;
      if (error !== undefined) return error;
    }
    return undefined;
  }

  /** Makes connections whose refusals are kept and told to `onRefused`. Refused places are kept in `own`. */
  hear(connect: Connect, onRefused: () => void, own: PartitionRefusals = this): Connect {
    return (address, events, signal) =>
      connect(
        address,
        {
          onFrame: (frame, wireBytes) => {
            events.onFrame(frame, wireBytes);
            if (this.#note(frame, own)) onRefused();
          },
          onClose: (error) => events.onClose(error),
        },
        signal,
      );
  }

  #note(frame: NodeFrame, own: PartitionRefusals): boolean {
    if (frame.type !== "error") return false;
    const { stream, partition } = frame;
    if (stream === undefined || partition === undefined) return false;
    const error = errorFromCode(frame.code, frame.message, frame.retryAfterMs);
    if (!(error instanceof OverloadedError)) return false;
    const untilMs = this.#nowMs() + error.retryAfterMs;
    const refusals = error.code === "TOO_MANY_PRODUCERS" ? own.#refusals : this.#refusals;
    refusals.set(partitionName({ stream, partition }), { error, untilMs });
    return true;
  }
}
