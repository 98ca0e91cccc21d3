/** Carries out the effects of the coordinator machine: writes to the lease store, orders to members. Keeps the lease renewed. */
import type { ActorDefinition } from "../../../actors/kernel/actor.ts";
import { type MachineContext, machineActor } from "../../../actors/kernel/machine_actor.ts";
import { asHeadraceError, FencedError, type HeadraceError } from "../../../protocols/errors.ts";
import type { NodeId } from "../../../protocols/position.ts";
import type { ClusterTimes, ToMember } from "../cluster.ts";
import type { LeaseStore } from "../leases/lease_store.ts";
import { SteadyClock } from "../steady_clock.ts";
import { stepCoordinator } from "./coordinator_machine.ts";
import {
  type CoordinatorEffect,
  type CoordinatorMessage,
  type CoordinatorState,
  createCoordinator,
  type Election,
} from "./coordinator_state.ts";

/** Between two attempts of a call that the store did not answer. */
const STORE_RETRY_MS = 200;

export interface CoordinatorOptions extends Pick<Election, "leader" | "times" | "partitions" | "links"> {
  readonly store: LeaseStore;
  tell(node: NodeId, message: ToMember): void;
  onSteppedDown(because: "superseded" | "cut_off", reason: string): void;
  note(level: "info" | "warn", text: string): void;
}

type Message =
  | CoordinatorMessage
  | { readonly type: "elected"; readonly election: Election }
  | { readonly type: "again"; readonly effect: Effect }
  | { readonly type: "failed"; readonly effect: Effect; readonly error: unknown };

type Effect =
  | Exclude<CoordinatorEffect, { type: "wait" }>
  | { readonly type: "prepare" }
  | { readonly type: "renew_lease" }
  | { readonly type: "keep_looking" }
  | { readonly type: "wait"; readonly delayMs: number; readonly message: Message };

interface State {
  readonly times: ClusterTimes;
  /** Undefined until the table is read; messages that arrive before wait in `early`. */
  coordinator: CoordinatorState | undefined;
  readonly early: CoordinatorMessage[];
}

export const coordinatorActor = (options: CoordinatorOptions): ActorDefinition<CoordinatorMessage> =>
  machineActor<State, Message, Effect, CoordinatorMessage>({
    machine: "coordinator",
    name: "coordinator",
    life: () => {
      const clock = new SteadyClock();
      return {
        machine: {
          initial: { times: options.times, coordinator: undefined, early: [] },
          step: (state, message, nowMs) => step(state, message, clock.at(nowMs)),
        },
        first: [
          { type: "again", effect: { type: "prepare" } },
          { type: "again", effect: { type: "renew_lease" } },
        ],
        perform: (effect, context) => perform(options, effect, context),
        onEffectFailed: (effect, error) => ({ type: "failed", effect, error }),
      };
    },
  });

function perform(
  options: CoordinatorOptions,
  effect: Effect,
  context: MachineContext<Message>,
): undefined | Promise<void> {
  switch (effect.type) {
    case "tell":
      options.tell(effect.node, effect.message);
      return;
    case "wait":
      context.after(effect.delayMs, effect.message);
      return;
    case "note":
      options.note(effect.level, effect.text);
      return;
    default:
      return performStored(options, effect, context);
  }
}

async function performStored(
  options: CoordinatorOptions,
  effect: Exclude<Effect, { type: "tell" | "wait" | "note" }>,
  context: MachineContext<Message>,
): Promise<void> {
  const { leader, times, store } = options;
  const { leaderEpoch } = leader;
  switch (effect.type) {
    case "prepare": {
      const [view, table] = await Promise.all([store.look(), store.readTable()]);
      const { partitions, links } = options;
      context.tell({ type: "elected", election: { leader, times, partitions, table, view, links } });
      return;
    }
    case "renew_lease": {
      const isHeld = await store.renewLease(leaderEpoch, times.leaseMs);
      if (!isHeld) options.onSteppedDown("superseded", "the lease is held in a higher term");
      else context.after(times.renewLeaseEveryMs, { type: "again", effect });
      return;
    }
    case "look":
      context.tell({ type: "view", view: await store.look() });
      return;
    case "keep_looking":
      context.tell({ type: "view", view: await store.look() });
      context.after(times.lookEveryMs, { type: "again", effect });
      return;
    case "write_table": {
      const { expectedVersion, entries } = effect;
      const decision = effect.decision && { ...effect.decision, atMs: context.nowMs() }; // shown to people, so by the machine's clock
      context.tell({
        type: "written",
        version: await store.writeTable(leaderEpoch, expectedVersion, entries, decision),
      });
      return;
    }
    case "read_table":
      context.tell({ type: "table_read", table: await store.readTable() });
      return;
    case "declare_dead":
      await store.declareDead(leaderEpoch, effect.life, times);
      return;
    case "set_draining":
      await store.setDraining(leaderEpoch, effect.node, effect.isDraining);
      context.tell({ type: "drain_written", node: effect.node, isDraining: effect.isDraining });
      return;
    case "step_down":
      options.onSteppedDown(effect.because, effect.reason);
      await store.resign(leaderEpoch);
  }
}

function step(state: State, message: Message, nowMs: number): readonly [State, readonly Effect[]] {
  switch (message.type) {
    case "again":
      return [state, [message.effect]];
    case "failed":
      return [state, afterFailure(state, message.effect, message.error, nowMs)];
    case "elected": {
      state.coordinator = createCoordinator(message.election, nowMs);
      const begun = [{ type: "begin" } as const, ...state.early.splice(0)].flatMap((one) => tell(state, one, nowMs));
      return [state, [{ type: "keep_looking" }, ...begun]];
    }
    default:
      return [state, tell(state, message, nowMs)];
  }
}

function tell(state: State, message: CoordinatorMessage, nowMs: number): readonly Effect[] {
  if (state.coordinator !== undefined) return stepCoordinator(state.coordinator, message, nowMs)[1];
  state.early.push(message);
  return [];
}

/** After a store call that failed or was refused: repeats the call, or tells the machine. */
function afterFailure(state: State, effect: Effect, error: unknown, nowMs: number): readonly Effect[] {
  const again = (delayMs: number): Effect => ({ type: "wait", delayMs, message: { type: "again", effect } });
  switch (effect.type) {
    case "prepare":
    case "read_table":
      return [again(STORE_RETRY_MS)];
    case "renew_lease":
      return [again(state.times.renewLeaseEveryMs)];
    case "keep_looking":
      return [...tell(state, { type: "store_away" }, nowMs), again(state.times.lookEveryMs)];
    case "look": // `keep_looking` looks again soon
      return [];
    case "write_table":
      return tell(state, { type: "write_failed", error: storeError(error) }, nowMs);
    case "set_draining": // the machine asks again after the next look; a repeat from here could undo a later command
      return [];
    case "declare_dead":
      return error instanceof FencedError ? [] : [again(state.times.lookEveryMs)];
    case "step_down": // the lease expires by itself
    case "tell":
    case "wait":
    case "note":
      return [{ type: "note", level: "warn", text: `could not ${effect.type}: ${storeError(error).message}` }];
  }
}

const storeError = (error: unknown): HeadraceError =>
  asHeadraceError(error, "Cannot coordinate as the lease store must answer");
