/** Why a node closes a connection: close codes of RFC 6455, section 7.4, and of the IANA registry that it names. */
import { type HeadraceError, InvariantError, OverloadedError, UnavailableError } from "../errors.ts";

/** The close codes that a node uses. */
export const CLOSE_CODES = {
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
  /** The hindrance passes by itself: the client tries again. */
  tryAgain: 1013,
} as const;

/** The close code for an error that ends a connection, by the error's class. */
export function closeCodeOf(error: HeadraceError): number {
  if (error instanceof UnavailableError || error instanceof OverloadedError) return CLOSE_CODES.tryAgain;
  return error instanceof InvariantError ? CLOSE_CODES.failed : CLOSE_CODES.refused;
}

/** The close reason after an `error` frame: the error's code, as a reason has at most 123 bytes (RFC 6455, 5.5). */
export const closeReasonOf = ({ code }: Pick<HeadraceError, "code">): string => `${code}: see the error frame`;
