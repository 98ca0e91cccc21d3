/**
 * Decides which changes of a client's connection an application is told: each change of state once. The state is that
 * of home, the link to the given addresses, unless a link that owes an answer is silent.
 */
import { type HeadraceError, UnavailableError } from "../errors.ts";
import { type Link, type LinkEffects, SILENT_TOLD_MS } from "./link.ts";
import { allLinks, type Links, refusalForGood } from "./links.ts";

/** Failed attempts in a row, after which `lastError` names likely causes, as browsers tell none. */
export const UNOPENED_TOLD = 5;

/** Adds the effect that tells the state, where it has changed. */
export function tellState(links: Links<Link>, effects: LinkEffects): void {
  const { home, told } = links;
  const silent = links.closedBy === undefined ? allLinks(links).find(({ isQuiet }) => isQuiet) : undefined;
  const state = links.closedBy !== undefined ? "closed" : silent !== undefined ? "silent" : STATES[home.phase];
  const { address } = silent ?? home;
  const { attempt } = links;
  if (told?.state === state && told.address === address && told.attempt === attempt) return;
  links.told = {
    state,
    address,
    attempt,
    nextTryMs: state === "waiting" ? links.nextTryMs : undefined,
    lastError: silent === undefined ? (links.closedBy ?? links.lastError) : silence(address),
  };
  effects.push({ type: "state", state: links.told });
}

const STATES = { offline: "waiting", connecting: "connecting", greeting: "connecting", online: "online" } as const;

const silence = (address: string): Error =>
  new UnavailableError(
    "TIMEOUT",
    `Cannot tell whether ${address} is alive as it must answer: it has said nothing for about ${SILENT_TOLD_MS} ms`,
  );

/** Home was lost with `error`. Answers a refusal that ends the client (L7); otherwise keeps the loss's reason. */
export function lossOfHome(links: Links<Link>, error: Error | undefined): HeadraceError | undefined {
  const refusal = refusalForGood(links, error);
  if (refusal === undefined) noteLoss(links, error);
  return refusal;
}

/** Keeps the reason why home was lost. @param error undefined where the connection closed without a reason */
export function noteLoss(links: Links<Link>, error: Error | undefined): void {
  const { home, unopened } = links;
  const reason =
    error ?? new UnavailableError("CONNECTION_LOST", `Cannot go on with ${home.address} as the connection closed`);
  links.lastError =
    unopened < UNOPENED_TOLD
      ? reason
      : new UnavailableError(
          "CONNECTION_LOST",
          `Cannot connect to ${home.address} as an attempt must open a connection: ${unopened} in a row did not. ` +
            "Likely causes: no node listens at this address, its path or port is wrong, or the node refuses this " +
            `program's Origin or Host (last: ${reason.message})`,
          { cause: reason },
        );
}
