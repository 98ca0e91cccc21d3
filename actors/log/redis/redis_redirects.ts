/** How a Redis Cluster's node refuses a command for a slot not its own (yet): unrun, so it may be sent again. */
import { reasonOf } from "../../../protocols/errors.ts";

export type Redirect =
  /** The slot belongs to the node at this address. An address without a host means the host of the node that refused. */
  | { readonly kind: "moved"; readonly slot: number; readonly address: string }
  /** The slot is moving to the node at this address, and these keys have moved already. */
  | { readonly kind: "ask"; readonly address: string }
  /** The slot is moving, and the keys lie on both nodes: try again soon. */
  | { readonly kind: "between" }
  /** The cluster has no quorum or lacks slots, so the node refuses all commands: try again soon. */
  | { readonly kind: "down" };

/** The redirect that an error of Redis tells; undefined for any other error. */
export function redirectOf(error: unknown): Redirect | undefined {
  const text = reasonOf(error instanceof Error && error.cause !== undefined ? error.cause : error);
  const led = /^(MOVED|ASK) (\d+) (\S+)/.exec(text);
  if (led?.[3] !== undefined) {
    return led[1] === "MOVED"
      ? { kind: "moved", slot: Number(led[2]), address: led[3] }
      : { kind: "ask", address: led[3] };
  }
  if (text.startsWith("TRYAGAIN")) return { kind: "between" };
  return text.startsWith("CLUSTERDOWN") ? { kind: "down" } : undefined;
}
