/** Routes without a link: to this node's own published actors, and to a node that is not linked. */
import { UnavailableError } from "../../../protocols/errors.ts";
import type { NodeId } from "../../../protocols/position.ts";
import type { Publications } from "./publications.ts";
import type { OnDeadLetter, Route } from "./remote_reference.ts";

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

/** The route to a node without a link: every message is a dead letter at once, and kept for no later link (transport T3). */
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
