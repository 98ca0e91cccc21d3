/** Ways to actors that need no link: to this node's own published ones, and to a node that is not linked. */
import { UnavailableError } from "../../../protocols/errors.ts";
import type { NodeId } from "../../../protocols/position.ts";
import type { OnDeadLetter } from "./peer_link.ts";
import type { Publications } from "./publications.ts";
import type { Route } from "./remote_reference.ts";

export function localRoute(publications: Publications, onDeadLetter: OnDeadLetter): Route {
  const drop = (to: string | number, message: unknown): false => {
    onDeadLetter(String(to), "unknown_actor", message);
    return false;
  };
  const actorOf = (to: string | number) => (typeof to === "string" ? publications.actorOf(to) : undefined);
  return {
    tell: (to, message) => {
      const actor = actorOf(to);
      if (actor === undefined) drop(to, message);
      else actor.tell(message);
    },
    send: (to, message, weightBytes) => actorOf(to)?.send(message, weightBytes) ?? Promise.resolve(drop(to, message)),
    trySend: (to, message, weightBytes) => actorOf(to)?.trySend(message, weightBytes) ?? drop(to, message),
    onTerminated: (to, listener) => publications.onTerminated(String(to), listener),
  };
}

/** T3: to whom no link leads nothing is kept for later. */
export function absentRoute(node: NodeId, onDeadLetter: OnDeadLetter): Route {
  const drop = (to: string | number, message: unknown): false => {
    onDeadLetter(`${node}:${to}`, "unknown_actor", message);
    return false;
  };
  return {
    tell: (to, message) => void drop(to, message),
    send: (to, message) => Promise.resolve(drop(to, message)),
    trySend: (to, message) => drop(to, message),
    onTerminated: (_to, listener) => {
      const error = new UnavailableError("CONNECTION_LOST", `Cannot reach ${node} as no link to it is up`);
      listener({ kind: "failed", error });
      return () => undefined;
    },
  };
}
