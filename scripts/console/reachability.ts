/** Watches whether a node can be reached: says so once for each outage, and gives up after a while, or where it is refused. */
import { ConfigurationError, type HeadraceError, RejectedError, UnavailableError } from "../../protocols/errors.ts";
import { remark } from "./output.ts";

export interface Reachability {
  /** Resolves at the first welcome. */
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
