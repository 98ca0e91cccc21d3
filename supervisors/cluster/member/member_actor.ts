/** Carries out the member machine's effects. Runs the coordinator as a child while this node leads. */
import type { ActorDefinition, ActorReference } from "../../../actors/kernel/actor.ts";
import { type MachineContext, machineActor, type Shell } from "../../../actors/kernel/machine_actor.ts";
import type { Peers } from "../../../actors/transport/transport.ts";
import type { Machine } from "../../../protocols/machine.ts";
import type { NodeId } from "../../../protocols/position.ts";
import type { PartitionOrder } from "../../node/placement.ts";
import {
  type ClusterTimes,
  COORDINATOR_ACTOR,
  type Life,
  MEMBER_ACTOR,
  type Member,
  nameOfLife,
  type PartitionName,
  type ToCoordinator,
  type ToMember,
} from "../cluster.ts";
import { coordinatorActor } from "../coordinator/coordinator_actor.ts";
import type { CoordinatorMessage } from "../coordinator/coordinator_state.ts";
import type { LeaseStore } from "../leases/lease_store.ts";
import { SteadyClock } from "../steady_clock.ts";
import { stepMember } from "./member_machine.ts";
import { createMember, type MemberEffect, type MemberMessage, type MemberState } from "./member_state.ts";

export interface Placement {
  order(partition: PartitionName, order: PartitionOrder): void;
  /** Directs requests to the partition's owner on another node; undefined if none is known. */
  pointTo(partition: PartitionName, owner: Member | undefined): void;
}

export interface MemberOptions {
  readonly self: Life;
  readonly times: ClusterTimes;
  readonly partitions: readonly PartitionName[];
  readonly store: LeaseStore;
  readonly peers: Peers;
  readonly placement: Placement;
  note(level: "info" | "warn", text: string): void;
  /** Called after each step. `state` may be read, not kept. `nowMs` is the time of the member's own clock. */
  onStep?(state: MemberState, nowMs: number): void;
  /** After `leave`: the member holds no partition any more. */
  onLeft(): void;
  /** The registry no longer knows this life (M7). */
  onOver(): void;
}

type Input = MemberMessage | { readonly type: "coordinator_ended"; readonly term: number };

export const memberActor = (options: MemberOptions): ActorDefinition<MemberMessage> =>
  machineActor<MemberState, MemberMessage, MemberEffect, Input>({
    machine: "member",
    name: "member",
    // A coordinator that fails is not restarted: its lease is given up, and the next one elected reads the table anew.
    supervision: {
      strategy: "one_for_one",
      intensity: { restartsMax: 0, withinMs: 1_000 },
      backoff: { firstMs: 0, maxMs: 0 },
      decide: () => "stop",
    },
    life: (context) => new MemberShell(options, context),
  });

function failureOf(effect: MemberEffect): MemberMessage {
  switch (effect.type) {
    case "renew":
      return { type: "renew_failed" };
    case "stand":
      return { type: "stand_failed" };
    default:
      return { type: "look_failed" };
  }
}

class MemberShell implements Shell<MemberState, MemberMessage, MemberEffect, Input> {
  readonly machine: Machine<MemberState, MemberMessage, MemberEffect>;
  readonly first = [{ type: "begin" } as const];
  readonly onEffectFailed = failureOf;
  readonly #options: MemberOptions;
  readonly #self: ActorReference<MemberMessage>;
  readonly #stops: readonly { stop(): void }[];
  #coordinator: { readonly reference: ActorReference<CoordinatorMessage>; readonly term: number } | undefined;
  #published: { stop(): void } | undefined;

  constructor(options: MemberOptions, context: MachineContext<MemberMessage>) {
    const { self, times, peers } = options;
    const clock = new SteadyClock();
    this.#options = options;
    this.#self = context.self;
    this.machine = {
      initial: createMember(self, times, clock.at(context.nowMs())),
      step: (state, message, nowMs) => this.#step(state, message, clock.at(nowMs)),
    };
    const onLink = peers.onLink((event) => {
      context.self.tell({ type: "link", event });
      this.#coordinator?.reference.tell({ type: "link", event });
    });
    this.#stops = [onLink, peers.publish(MEMBER_ACTOR, context.self)];
  }

  stop(): void {
    for (const one of this.#stops) one.stop();
    this.#published?.stop();
    this.#published = undefined;
    this.#coordinator = undefined;
  }

  take(input: Input, step: (message: MemberMessage) => void): void {
    if (input.type !== "coordinator_ended") {
      step(input);
      return;
    }
    const { term } = input;
    if (this.#coordinator?.term !== term) return;
    this.#forgetCoordinator();
    void this.#options.store.resign(term).catch(() => undefined); // the lease expires by itself
    this.#options.note("warn", `the coordinator of term ${term} failed`);
    step({ type: "stepped_down", because: "failed" });
  }

  #step(state: MemberState, message: MemberMessage, nowMs: number): readonly [MemberState, readonly MemberEffect[]] {
    const result = stepMember(state, message, nowMs);
    this.#options.onStep?.(state, nowMs);
    return result;
  }

  perform(effect: MemberEffect, context: MachineContext<MemberMessage>): void | Promise<void> {
    const { self: life, times, store, peers, placement } = this.#options;
    switch (effect.type) {
      case "look":
        return store.look().then((view) => context.tell({ type: "viewed", view }));
      case "renew":
        return store.renew(life, times.registrationMs).then((isKnown) => context.tell({ type: "renewed", isKnown }));
      case "stand":
        return store
          .stand(life, times.leaseMs, effect.insteadOf)
          .then((outcome) => context.tell({ type: "stood", outcome }));
      case "lead":
        this.#lead(effect, context);
        return;
      case "stop_leading":
        this.#stopLeading(context);
        return;
      case "keep_links":
        peers.keep(
          effect.members.map(({ node, incarnation, profile }) => ({
            node,
            incarnation,
            address: profile.peerAddress,
          })),
        );
        return;
      case "tell_coordinator":
        this.#tellCoordinator(effect.node, effect.message);
        return;
      case "expect":
      case "drop":
        placement.order(effect.partition, { type: effect.type });
        return;
      case "take":
        placement.order(effect.partition, { type: "take", grant: effect.grant });
        return;
      case "hand_over":
        placement.order(effect.partition, { type: "hand_over", drainWithinMs: effect.drainWithinMs });
        return;
      case "point_to":
        placement.pointTo(effect.partition, effect.owner);
        return;
      case "wait":
        context.after(effect.delayMs, effect.message);
        return;
      case "left": {
        const term = this.#coordinator?.term;
        this.#stopLeading(context);
        if (term !== undefined) void store.resign(term).catch(() => undefined); // the lease expires by itself
        this.#options.onLeft();
        return;
      }
      case "over":
        this.#options.onOver();
    }
  }

  #lead({ leader, links }: Extract<MemberEffect, { type: "lead" }>, context: MachineContext<MemberMessage>): void {
    const { times, store, peers, partitions, note } = this.#options;
    const { leaderEpoch: term } = leader;
    const steppedDown = (because: "superseded" | "cut_off", reason: string) => {
      if (this.#coordinator?.term !== term) return;
      note("warn", `no longer coordinator: ${reason}`);
      this.#stopLeading(context);
      context.self.tell({ type: "stepped_down", because });
    };
    const reference = context.spawn(
      coordinatorActor({
        ...{ leader, times, partitions, links, store, note },
        tell: (node, message) => this.#tellMember(node, message),
        onSteppedDown: steppedDown,
      }),
    );
    context.watch(
      reference as ActorReference<never>,
      () => ({ type: "coordinator_ended", term }) satisfies Input as never,
    );
    this.#coordinator = { reference, term };
    this.#published = peers.publish(COORDINATOR_ACTOR, reference);
    note("info", `${nameOfLife(leader)} coordinates, in term ${term}`);
  }

  #stopLeading(context: MachineContext<MemberMessage>): void {
    const coordinator = this.#coordinator;
    this.#forgetCoordinator();
    if (coordinator !== undefined) void context.stopChild(coordinator.reference as ActorReference<never>);
  }

  #forgetCoordinator(): void {
    this.#published?.stop();
    this.#published = undefined;
    this.#coordinator = undefined;
  }

  #tellCoordinator(node: NodeId, message: ToCoordinator): void {
    const { self, peers } = this.#options;
    if (node === self.node) this.#coordinator?.reference.tell(message);
    else peers.reference<ToCoordinator>(node, COORDINATOR_ACTOR).tell(message);
  }

  #tellMember(node: NodeId, message: ToMember): void {
    const { self, peers } = this.#options;
    if (node === self.node) this.#self.tell(message);
    else peers.reference<ToMember>(node, MEMBER_ACTOR).tell(message);
  }
}
