/**
 * Watches whether a node can be reached. Reports each outage once, and gives up after a given time, or at a refusal.
 */
import { ConfigurationError, type HeadraceError, RejectedError, UnavailableError } from "../../protocols/errors.ts";
import { remark } from "./output.ts";

export interface Reachability {
  /** Resolves once the node has first answered. */
  readonly whenReached: Promise<void>;
  readonly onWelcome: () => void;
  readonly onTrouble: (error: Error) => void;
  stop(): void;
}

export function watchReachability(
  address: string,
  giveUpMs: number,
  fail: (error: HeadraceError) => void,
): Reachability {
  let timer: NodeJS.Timeout | undefined;
  let reached = () => {};
  const whenReached = new Promise<void>((resolve) => {
    reached = resolve;
  });
  const stop = () => {
    clearTimeout(timer);
    timer = undefined;
  };
  return {
    whenReached,
    stop,
    onWelcome: () => {
      stop();
      reached();
    },
    onTrouble: (error) => {
      if (error instanceof RejectedError || error instanceof ConfigurationError) {
        stop();
        fail(error);
        return;
      }
      if (timer !== undefined) return;
      remark(`${error.message}: trying again for ${giveUpMs / 1_000} s`);
      timer = setTimeout(() => {
        fail(
          new UnavailableError(
            "CONNECTION_LOST",
            `Cannot go on as ${address} must answer within ${giveUpMs} ms: ${error.message}`,
          ),
        );
      }, giveUpMs);
    },
  };
}
