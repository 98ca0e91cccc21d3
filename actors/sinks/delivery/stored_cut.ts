/** The stored form of a cut into requests (D13). */
import { ConfigurationError } from "../../../protocols/errors.ts";
import { judgeCursor, position } from "../../../protocols/position.ts";
import type { Sequence } from "../../../protocols/sequence.ts";
import type { ChannelBounds } from "../../log/log.ts";
import type { RequestCut } from "./delivery_messages.ts";

const FORMAT_VERSION = 1;

interface Stored {
  readonly version: number;
  readonly epoch?: number;
  readonly offset?: number;
  readonly recordsPerRequest: number;
  readonly taken: readonly Sequence[];
}

export function encodeCut({ end, recordsPerRequest, taken }: RequestCut): Uint8Array {
  const stored: Stored = { version: FORMAT_VERSION, ...end, recordsPerRequest, taken };
  return new TextEncoder().encode(JSON.stringify(stored));
}

/** Undefined where the log lost the cut's end. Throws `ConfigurationError` for the format of a newer release. */
export function decodeCut(bytes: Uint8Array | undefined, bounds: ChannelBounds): RequestCut | undefined {
  if (bytes === undefined) return undefined;
  const { version, epoch, offset, recordsPerRequest, taken } = JSON.parse(new TextDecoder().decode(bytes)) as Stored;
  if (version !== FORMAT_VERSION) {
    throw new ConfigurationError(
      "FORMAT_TOO_NEW",
      `Cannot read the cut of a sink's requests as its format must be at most ${FORMAT_VERSION}: current value is ${version}`,
    );
  }
  if (epoch === undefined || offset === undefined) return { end: undefined, recordsPerRequest, taken };
  const end = position(epoch, offset);
  const { epochs, firstOffset, endOffset } = bounds;
  if (judgeCursor(end, epochs, firstOffset, endOffset).kind === "truncated") return undefined;
  return { end, recordsPerRequest, taken };
}
