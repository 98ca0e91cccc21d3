/**
 * How one connection's credit follows its use: the window doubles while its sender fills it, and shrinks where others
 * need the memory more. It moves only with answers, as credit once given cannot be asked back (docs/protocol.md,
 * "Credit").
 */
import type { CreditGrant } from "./credit_pool.ts";

/** A window of more than this many times its fair size shrinks. */
const UNFAIR = 2;

/**
 * Bytes that an answer adds to the credit of its appends: above 0 where the window grows, below 0 where it shrinks, and
 * never less than `-answeredBytes`.
 *
 * @param underWayBytes appends under way before this answer
 */
export function moveWindow(grant: CreditGrant, underWayBytes: number, answeredBytes: number): number {
  const { creditBytes, fairBytes, firstBytes } = grant;
  const isFilled = underWayBytes * 2 >= creditBytes;
  if (isFilled && creditBytes < fairBytes) return grant.grow(Math.min(creditBytes, fairBytes - creditBytes));
  if (creditBytes <= UNFAIR * fairBytes || creditBytes <= firstBytes) return 0;
  const withheld = Math.min(answeredBytes, creditBytes - Math.max(fairBytes, firstBytes));
  grant.shrink(withheld);
  return -withheld;
}
