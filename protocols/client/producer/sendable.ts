/** Checks the options of one `send` against an append frame's bounds: a node would close the connection over them. */
import { RejectedError, reasonOf } from "../../errors.ts";
import { FIELD_LIMITS } from "../../limits.ts";
import { encodeEvent } from "../../values/event_codec.ts";
import type { SendOptions } from "./producer_options.ts";

/** Throws `RejectedError` where no node can take an event with these options. */
export function checkSendOptions({ partition, sequence, position }: SendOptions): void {
  if (partition !== undefined && !isCount(partition))
    throw refusal("partition", "be a whole number of 0 or more", String(partition));
  if (sequence !== undefined && !(sequence.length === 3 && sequence.every(isCount)))
    throw refusal("sequence", "be three whole numbers of 0 or more", `[${sequence.join(", ")}]`);
  if (position !== undefined) checkPosition(position);
}

function checkPosition(position: NonNullable<SendOptions["position"]>): void {
  const { positionBytesMax } = FIELD_LIMITS;
  let sizeBytes: number;
  try {
    sizeBytes = encodeEvent(position).length;
  } catch (cause) {
    const reason = reasonOf(cause);
    throw refusal("position", "have a MessagePack form", reason, { cause });
  }
  if (sizeBytes > positionBytesMax)
    throw refusal("position", `have at most ${positionBytesMax} bytes as MessagePack`, `${sizeBytes} bytes`);
}

const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 0;

const refusal = (field: string, must: string, current: string, options?: ErrorOptions): RejectedError =>
  new RejectedError(
    "MALFORMED_FRAME",
    `Cannot send an event as its ${field} must ${must}: current value is ${current}`,
    options,
  );
