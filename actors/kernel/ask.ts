/** A question to an actor from code that is not an actor. The reply address takes one reply; later ones are dead letters. */
import { UnavailableError } from "../../protocols/errors.ts";
import type { ActorReference } from "./actor.ts";
import type { DeadLetters } from "./runtime/dead_letter_office.ts";
import { Watchers } from "./runtime/watchers.ts";
import type { TerminationSource } from "./termination_source.ts";
import type { TimedWorld } from "./world.ts";

export interface Question<Message, Reply> {
  readonly actor: ActorReference<Message>;
  readonly makeMessage: (replyTo: ActorReference<Reply>) => Message;
  readonly timeoutMs: number;
  /** Given where the question goes by the data lane, where it waits for room in the mailbox. */
  readonly weightBytes?: number | undefined;
}

/** Resolves with the reply. Rejects with `TIMEOUT` after `timeoutMs`, and with `STOPPING` where the actor has ended. */
export function ask<Message, Reply>(
  question: Question<Message, Reply>,
  replyPath: string,
  world: TimedWorld,
  deadLetters: DeadLetters,
): Promise<Reply> {
  const { actor, makeMessage, timeoutMs, weightBytes } = question;
  return new Promise<Reply>((resolve, reject) => {
    let isOpen = true;
    const watchers = new Watchers();
    const close = () => {
      isOpen = false;
      timer.cancel();
      watchers.tell({ kind: "stopped" });
    };
    const timer = world.setTimer(timeoutMs, () => {
      if (!isOpen) return;
      close();
      const reason = `it must reply in time: current value is ${timeoutMs} ms`;
      reject(new UnavailableError("TIMEOUT", `Cannot get a reply of ${actor.path} as ${reason}`));
    });
    const answer = (reply: Reply): boolean => {
      const isFirst = isOpen;
      if (isFirst) close();
      else deadLetters.add(replyPath, "unknown_actor", reply);
      resolve(reply);
      return isFirst;
    };
    // Can be watched, because a link to another node watches the local actors whose references it sent.
    const replyTo: ActorReference<Reply> & TerminationSource = {
      path: replyPath,
      tell: answer,
      send: (reply) => Promise.resolve(answer(reply)),
      trySend: answer,
      onTerminated: (listener) => watchers.add(listener),
    };
    const refuse = (error: unknown) => {
      close();
      reject(error);
    };
    try {
      const message = makeMessage(replyTo);
      if (weightBytes === undefined) return actor.tell(message);
      const refused = new UnavailableError("STOPPING", `Cannot ask ${actor.path} as the actor must be running`);
      actor.send(message, weightBytes).then((isTaken) => isTaken || refuse(refused), refuse);
    } catch (error) {
      refuse(error);
    }
  });
}
