/** Carries out the effects of the shards' machine: asks the place for its shards, and runs each in a group of actors. */
import type { ActorContext, ActorDefinition, ActorReference, Supervision } from "../../../actors/kernel/actor.ts";
import { type MachineContext, machineActor, type Shell } from "../../../actors/kernel/machine_actor.ts";
import { reasonOf } from "../../../protocols/errors.ts";
import type { Machine } from "../../../protocols/machine.ts";
import { createShards, type ShardsEffect, type ShardsMessage, type ShardsState, stepShards } from "./shards_machine.ts";

/** Shards of one group: nact copies an actor's map of children with each message. */
const GROUP_SIZE = 50;
/** A place that does not answer within this time, in ms, is asked again later. */
const LIST_WITHIN_MS = 30_000;

/**
 * A source that fails is restarted for ever: the place outside may be away for days, and the growing wait bounds the
 * work. A fenced one too: placement, not the last to start, decides where a source runs, so it must be there to go on.
 */
export const SOURCE_SUPERVISION: Supervision = {
  strategy: "one_for_one",
  intensity: { restartsMax: 1_000_000, withinMs: 60_000 },
  backoff: { firstMs: 50, maxMs: 5_000 },
  decide: () => "restart",
};

export interface ShardsOptions {
  readonly name: string;
  readonly partitions: number;
  readonly nameCharactersMax: number;
  list(): Promise<readonly string[]>;
  /** Partitions of the stream that are owned here now. */
  owned(): ReadonlySet<number>;
  /** Calls back after each change of what is owned. */
  onOwned(listener: () => void): readonly { stop(): void }[];
  /** @param actorName a name that no other actor has */
  reader(shard: string, actorName: string): ActorDefinition<never>;
  /** A shard's reader has ended. */
  onEnded(shard: string): void;
  trouble(reason: string | undefined): void;
}

/** `rest_with` ends all readers at one time, and calls back once they have ended. */
export type ShardsInput = ShardsMessage | { readonly type: "rest_with"; onRest(): void };

/** A shard of a group: it is read until `onEnded` is set, which is called once the reader has ended. */
interface GroupShard {
  readonly reader: ActorDefinition<never>;
  onEnded: (() => void) | undefined;
}

/** The shards outlive a crash of the group's actor, which then reads them again. */
interface Group {
  readonly actor: ActorReference<Look>;
  readonly shards: Map<string, GroupShard>;
}

/** Tells a group that its shards have changed. */
interface Look {
  readonly type: "look";
}

export const shardsActor = (options: ShardsOptions): ActorDefinition<ShardsInput> =>
  machineActor<ShardsState, ShardsMessage, ShardsEffect, ShardsInput>({
    machine: "shards",
    name: options.name,
    supervision: SOURCE_SUPERVISION,
    life: (context) => new ShardsShell(options, context),
  });

class ShardsShell implements Shell<ShardsState, ShardsMessage, ShardsEffect, ShardsInput> {
  readonly machine: Machine<ShardsState, ShardsMessage, ShardsEffect>;
  readonly first: readonly ShardsMessage[];
  readonly #options: ShardsOptions;
  readonly #context: MachineContext<ShardsMessage>;
  readonly #listeners: readonly { stop(): void }[];
  readonly #groups: Group[] = [];
  readonly #groupOf = new Map<string, Group>();
  readonly #resting: (() => void)[] = [];
  #started = 0;

  constructor(options: ShardsOptions, context: MachineContext<ShardsMessage>) {
    this.#options = options;
    this.#context = context;
    const { partitions, nameCharactersMax } = options;
    this.machine = { initial: createShards(partitions, nameCharactersMax), step: stepShards };
    this.first = [{ type: "owned", partitions: options.owned() }];
    this.#listeners = options.onOwned(() => context.tell({ type: "owned", partitions: options.owned() }));
  }

  take(input: ShardsInput, step: (message: ShardsMessage) => void): void {
    if (input.type === "rest_with") {
      this.#resting.push(input.onRest);
      step({ type: "rest" });
    } else step(input);
  }

  deadlineMs = (effect: ShardsEffect): number | undefined => (effect.type === "list" ? LIST_WITHIN_MS : undefined);

  onEffectFailed = (effect: ShardsEffect, error: unknown): ShardsMessage | undefined =>
    effect.type === "list" ? { type: "list_failed", reason: reasonOf(error) } : undefined;

  perform(effect: ShardsEffect, context: MachineContext<ShardsMessage>): void | Promise<void> {
    switch (effect.type) {
      case "list":
        return this.#options.list().then((shards) => context.tell({ type: "listed", shards }));
      case "ask_later":
        context.after(effect.delayMs, { type: "ask_again" });
        return;
      case "start":
        this.#start(effect.shard);
        return;
      case "stop":
        this.#stop(effect.shard);
        return;
      case "trouble":
        this.#options.trouble(effect.reason);
        return;
      case "rested":
        for (const onRest of this.#resting.splice(0)) onRest();
        return;
    }
  }

  stop(): void {
    for (const listener of this.#listeners) listener.stop();
  }

  #start(shard: string): void {
    let group = this.#groups.find(({ shards }) => shards.size < GROUP_SIZE);
    if (group === undefined) {
      const shards = new Map<string, GroupShard>();
      group = { actor: this.#context.spawn(shardGroup(`group-${this.#groups.length}`, shards)), shards };
      this.#groups.push(group);
    }
    this.#started += 1;
    this.#groupOf.set(shard, group);
    group.shards.set(shard, { reader: this.#options.reader(shard, `shard-${this.#started}`), onEnded: undefined });
    group.actor.tell({ type: "look" });
  }

  #stop(shard: string): void {
    const group = this.#groupOf.get(shard);
    const known = group?.shards.get(shard);
    const onEnded = () => {
      this.#options.onEnded(shard);
      this.#context.tell({ type: "ended", shard });
    };
    if (group === undefined || known === undefined) {
      onEnded();
      return;
    }
    known.onEnded = onEnded;
    group.actor.tell({ type: "look" });
  }
}

const shardGroup = (name: string, shards: Map<string, GroupShard>): ActorDefinition<Look> => ({
  name,
  supervision: SOURCE_SUPERVISION,
  start(context: ActorContext<Look>) {
    const readers = new Map<string, ActorReference<never>>();
    const ending = new Set<string>();
    const look = () => {
      for (const [shard, { reader, onEnded }] of shards) {
        if (onEnded === undefined) {
          if (!readers.has(shard)) readers.set(shard, context.spawn(reader));
        } else end(shard, onEnded);
      }
    };
    const end = (shard: string, onEnded: () => void) => {
      if (ending.has(shard)) return;
      ending.add(shard);
      const reader = readers.get(shard);
      const ended = () => {
        ending.delete(shard);
        readers.delete(shard);
        if (shards.get(shard)?.onEnded !== onEnded) return; // an earlier life of the group has told it
        shards.delete(shard);
        onEnded();
      };
      // Not awaited: other shards of the group stop at the same time.
      const stopped = reader === undefined ? Promise.resolve() : context.stopChild(reader);
      void stopped.then(ended, ended);
    };
    look();
    return { receive: look };
  },
});
