/**
 * Keeps the sessions of a node in groups, so that no actor has more children than nact carries well, and so that the
 * end of one session touches no other. A session that crashes is stopped, never restarted: its client connects again.
 */
import type { ActorContext, ActorDefinition, ActorReference, Supervision } from "../../kernel/actor.ts";
import type { SessionInput } from "../session.ts";
import { type SessionOptions, sessionActor } from "./session_actor.ts";

const SESSIONS_PER_GROUP = 90;

export interface OpenSession {
  readonly type: "open";
  readonly options: Omit<SessionOptions, "name" | "onDisconnected">;
  /** Called once the session has ended, for whatever reason. */
  readonly onEnd: () => void;
  readonly replyTo: ActorReference<ActorReference<SessionInput>>;
}

export type SessionHostMessage = OpenSession | { readonly type: "session_ended"; readonly group: number };

type GroupMessage =
  | OpenSession
  | { readonly type: "disconnected"; readonly session: ActorReference<SessionInput> }
  | { readonly type: "ended"; readonly onEnd: () => void };

const stopWhatCrashed: Supervision = {
  strategy: "one_for_one",
  intensity: { restartsMax: 0, withinMs: 1_000 },
  backoff: { firstMs: 0, maxMs: 0 },
  decide: () => "stop",
};

export const sessionHost = (): ActorDefinition<SessionHostMessage> => ({
  name: "sessions",
  start: (context) => {
    const groups: { readonly reference: ActorReference<GroupMessage>; size: number }[] = [];
    const newGroup = () => {
      const index = groups.length;
      const onEnded = () => context.self.tell({ type: "session_ended", group: index });
      const group = { reference: context.spawn(sessionGroup(String(index), onEnded)), size: 0 };
      groups.push(group);
      return group;
    };
    return {
      receive(message) {
        if (message.type === "session_ended") {
          const group = groups[message.group];
          if (group !== undefined) group.size -= 1;
          return;
        }
        const group = groups.find(({ size }) => size < SESSIONS_PER_GROUP) ?? newGroup();
        group.size += 1;
        group.reference.tell(message);
      },
    };
  },
});

const sessionGroup = (name: string, onEnded: () => void): ActorDefinition<GroupMessage> => ({
  name,
  supervision: stopWhatCrashed,
  start: (context: ActorContext<GroupMessage>) => ({
    receive(message) {
      if (message.type === "ended") {
        message.onEnd();
        onEnded();
        return;
      }
      if (message.type === "disconnected") {
        void context.stopChild(message.session);
        return;
      }
      const onDisconnected = () => context.self.tell({ type: "disconnected", session });
      const session: ActorReference<SessionInput> = context.spawn(
        sessionActor({ ...message.options, name: context.newId(), onDisconnected }),
      );
      context.watch(session, () => ({ type: "ended", onEnd: message.onEnd }));
      message.replyTo.tell(session);
    },
  }),
});
