/** Makes a root of actors: puts the parts of the kernel together, and decides nothing else. */
import type { ActorDefinition, ActorReference, ActorSystem, Supervision, Termination } from "./actor.ts";
import { ask } from "./ask.ts";
import { DeadLetters } from "./runtime/dead_letter_office.ts";
import { StatisticsBook } from "./runtime/kernel_statistics.ts";
import { startNactRuntime } from "./runtime/nact_runtime.ts";
import type { Realm } from "./runtime/realm.ts";
import { Root } from "./runtime/root.ts";
import { DEFAULT_SUPERVISION } from "./supervision.ts";
import { terminationSourceOf } from "./termination_source.ts";
import { realWorld, type TimedWorld } from "./world.ts";

interface ActorSystemOptions {
  /** Default: the real world. */
  readonly world?: TimedWorld;
  /** The first part of the path of every reply address. Default: `headrace`. */
  readonly name?: string;
  /** How crashed root actors are dealt with. Each root is supervised alone, so the strategy makes no difference here. */
  readonly supervision?: Supervision;
}

/** Starts nact and resolves with an actor system that has no actors yet. */
export async function createActorSystem(options: ActorSystemOptions = {}): Promise<ActorSystem> {
  const world: TimedWorld = options.world ?? realWorld();
  const stopwatchMs = world.stopwatchMs === undefined ? () => world.nowMs() : world.stopwatchMs.bind(world);
  const deadLetters = new DeadLetters(() => world.nowMs());
  const statistics = new StatisticsBook();
  const realm: Realm = { world, deadLetters, statistics, stopwatchMs };
  const root = new Root(realm, await startNactRuntime(), options.supervision ?? DEFAULT_SUPERVISION);
  const name = options.name ?? "headrace";
  return {
    deadLetters,
    statistics,
    spawn: <Message>(definition: ActorDefinition<Message>) =>
      root.spawn(definition as unknown as ActorDefinition<never>) as unknown as ActorReference<Message>,
    ask: (actor, makeMessage, { timeoutMs, weightBytes }) =>
      ask({ actor, makeMessage, timeoutMs, weightBytes }, `${name}:reply`, world, deadLetters),
    whenTerminated: (actor) =>
      new Promise<Termination>((resolve) => {
        terminationSourceOf(actor).onTerminated(resolve);
      }),
    stop: (actor) => root.stop(actor),
    shutdown: () => root.shutdown(),
  };
}
