/**
 * How a node of a Redis Cluster refuses what is not, or not yet, its own. It judges the keys before it runs a command, so
 * that what is refused so had no effect, and may be sent again.
 */
import { messageOf } from "./redis_connection.ts";

export type Redirect =
  /** The slot is another's. The address lacks its host where that is the refuser's own. */
  | { readonly kind: "moved"; readonly slot: number; readonly address: string }
  /** The slot is moving there, and these keys have gone already. */
  | { readonly kind: "ask"; readonly address: string }
  /** Some of the keys are here and some there: it passes. */
  | { readonly kind: "between" }
  /** The server takes nothing now, as it does not know enough of the others. */
  | { readonly kind: "down" };

export function redirectOf(error: unknown): Redirect | undefined {
  const text = messageOf(error instanceof Error && error.cause !== undefined ? error.cause : error);
  const led = /^(MOVED|ASK) (\d+) (\S+)/.exec(text);
  if (led?.[3] !== undefined) {
    return led[1] === "MOVED"
      ? { kind: "moved", slot: Number(led[2]), address: led[3] }
      : { kind: "ask", address: led[3] };
  }
  if (text.startsWith("TRYAGAIN")) return { kind: "between" };
  return text.startsWith("CLUSTERDOWN") ? { kind: "down" } : undefined;
}
