/** Why a node closes a connection: the close codes of RFC 6455, section 7.4, and of the IANA registry that it names. */
import { type HeadraceError, InvariantError, OverloadedError, UnavailableError } from "../errors.ts";

export const CLOSE_CODES = {
  /** The client said goodbye. */
  goodbye: 1000,
  /** The node is stopping. */
  goingAway: 1001,
  /** Policy: the client would be refused again. */
  refused: 1008,
  /** A message larger than a frame may be; sent by the WebSocket library, without a reason. */
  tooLarge: 1009,
  /** A fault of the node. */
  failed: 1011,
  /** The session was restarted. */
  restarting: 1012,
  /** What was in the way passes by itself. */
  tryAgain: 1013,
} as const;

/** The close code for an error that ends a connection: by its class. */
export function closeCodeOf(error: HeadraceError): number {
  if (error instanceof UnavailableError || error instanceof OverloadedError) return CLOSE_CODES.tryAgain;
  return error instanceof InvariantError ? CLOSE_CODES.failed : CLOSE_CODES.refused;
}

/** The close reason of an error that was told in a frame: its code, and where to read on (123 bytes at most, RFC 6455 5.5). */
export const closeReasonOf = ({ code }: Pick<HeadraceError, "code">): string => `${code}: see the error frame`;
