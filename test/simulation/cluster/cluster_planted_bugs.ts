/**
 * Planted bugs of a cluster. Each wraps a part of its nodes: the log, the lease store, the links, the messages of a member or a
 * coordinator, the placement of partitions. Each is made anew for each seed. The simulation must notice every one.
 */
import type { ActorDefinition } from "../../../actors/kernel/actor.ts";
import type { AppendOutcome, Ownership } from "../../../actors/log/log.ts";
import type { PeerLinks } from "../../../actors/transport/peer/peer_links.ts";
import { FencedError } from "../../../protocols/errors.ts";
import { epoch } from "../../../protocols/position.ts";
import { lastSequence } from "../../../protocols/sequence.ts";
import type { Member, TableEntry, ToCoordinator } from "../../../supervisors/cluster/cluster.ts";
import type { CoordinatorMessage } from "../../../supervisors/cluster/coordinator/coordinator_state.ts";
import type { LeaseStore } from "../../../supervisors/cluster/leases/lease_store.ts";
import type { MemberMessage } from "../../../supervisors/cluster/member/member_state.ts";
import type { PlacementOrder } from "../../../supervisors/node/placement.ts";
import { PLANTED_BUGS, replacing } from "../planted_bugs.ts";
import { type ClusterProcess, startAround, type WrapProcessActor } from "./cluster_process.ts";
import type { ClusterPlant } from "./cluster_simulation.ts";

/** An actor of this name receives the messages that `change` returns; undefined drops a message. */
const hearing =
  <Heard>(name: string, change: (message: Heard, process: ClusterProcess) => Heard | undefined): WrapProcessActor =>
  <Message>(definition: ActorDefinition<Message>, process: ClusterProcess): ActorDefinition<Message> => {
    if (definition.name !== name) return definition;
    const start = startAround(definition, (message, receive) => {
      const heard = change(message as unknown as Heard, process);
      return heard === undefined ? undefined : receive(heard as unknown as Message);
    });
    return { ...definition, start };
  };

/** A lease store with some methods replaced. */
const leasing =
  (replace: (store: LeaseStore) => Partial<LeaseStore>) =>
  (store: LeaseStore): LeaseStore => {
    const replaced = replace(store);
    return new Proxy(store, {
      get: (target, name) => {
        const value = replaced[name as keyof LeaseStore] ?? (Reflect.get(target, name) as unknown);
        return typeof value === "function" && !(name in replaced) ? value.bind(target) : value;
      },
    });
  };

/** A log without a fence for some nodes: their appends use the newest ownership of the partition. */
function withoutFence(isFenceless: (node: object) => boolean): ClusterPlant {
  const newest = new Map<number, Ownership>();
  return {
    wrapLog: (log, node) =>
      replacing(() => ({
        claim: async (...parts) => {
          const claim = await log.claim(...parts);
          newest.set(parts[0].partition, claim.ownership);
          return claim;
        },
        append: (ownership, request) =>
          log.append(isFenceless(node) ? (newest.get(ownership.partition.partition) ?? ownership) : ownership, request),
      }))(log, node),
  };
}

export const CLUSTER_PLANTED_BUGS: Readonly<Record<string, () => ClusterPlant>> = {
  "an order of a lower term is carried out (member M1)": () => {
    const highest = new Map<string, number>();
    return {
      wrapActor: hearing<MemberMessage>("member", (message, { name }) => {
        if (!("leader" in message)) return message;
        const seen = Math.max(highest.get(name) ?? 0, message.leader.leaderEpoch);
        highest.set(name, seen);
        return { ...message, leader: { ...message.leader, leaderEpoch: seen } };
      }),
    };
  },
  "the next owner is granted a partition before the last one has released it (coordinator O2)": () => {
    const departing: TableEntry[] = [];
    return {
      wrapLeases: leasing((store) => ({
        writeTable: (leaderEpoch, version, entries, decision) => {
          departing.push(...entries.filter(({ next }) => next !== undefined));
          return store.writeTable(leaderEpoch, version, entries, decision);
        },
      })),
      wrapActor: (definition, process) => {
        if (definition.name !== "coordinator") return definition;
        const start = startAround(definition, async (message, receive) => {
          await receive(message);
          if ((message as unknown as CoordinatorMessage).type !== "written") return;
          for (const { partition, holder, grant } of departing.splice(0)) {
            if (holder === undefined || grant === undefined) continue;
            const leaderEpoch = process.cluster.overview().coordinator?.leaderEpoch ?? 0;
            const released: ToCoordinator = { type: "released", from: holder, leaderEpoch, partition, grant };
            await receive(released as unknown as typeof message);
          }
        });
        return { ...definition, start };
      },
    };
  },
  "moves are forced before their time": () => ({
    wrapActor: (definition) => {
      if (definition.name !== "coordinator") return definition;
      return {
        ...definition,
        // Its clock runs fast.
        start: (context) => {
          const beganMs = context.nowMs();
          return definition.start({ ...context, nowMs: () => beganMs + (context.nowMs() - beganMs) * 200 });
        },
      };
    },
  }),
  "an epoch is made twice (E7)": () => {
    const claims = new Map<number, number>();
    return {
      wrapLog: (log, node) =>
        replacing(() => ({
          claim: async (...parts) => {
            const claim = await log.claim(...parts);
            const { partition } = parts[0];
            const before = claims.get(partition);
            claims.set(partition, claim.ownership.epoch);
            return before === undefined ? claim : { ...claim, ownership: { ...claim.ownership, epoch: epoch(before) } };
          },
        }))(log, node),
    };
  },
  "the lease is trusted as the truth: the log has no fence (E8)": () => withoutFence(() => true),
  "an append of a dead node that comes late is accepted": () =>
    withoutFence((node) => (node as { readonly isAlive?: boolean }).isAlive === false),
  "a coordinator that was replaced still writes the table": () => {
    const terms: number[] = [];
    return {
      wrapLeases: leasing((store) => ({
        stand: async (...parts) => {
          const outcome = await store.stand(...parts);
          if (outcome.kind === "elected") terms.push(outcome.leaderEpoch);
          return outcome;
        },
        writeTable: async (leaderEpoch, version, entries, decision) => {
          try {
            return await store.writeTable(leaderEpoch, version, entries, decision);
          } catch (error) {
            if (!(error instanceof FencedError)) throw error;
            const table = await store.readTable();
            return store.writeTable(terms.at(-1) ?? leaderEpoch, table.version, entries, decision);
          }
        },
        renewLease: async (...parts) => (await store.renewLease(...parts)) || true,
      })),
      wrapActor: hearing<CoordinatorMessage>("coordinator", (message) =>
        message.type === "view" ? undefined : message,
      ),
    };
  },
  "orders are sent before the table is written (coordinator O1)": () => ({
    wrapLeases: leasing((store) => ({
      writeTable: async (leaderEpoch, version, ...rest) => {
        setTimeout(() => void store.writeTable(leaderEpoch, version, ...rest).catch(() => undefined), 30);
        return version + 1;
      },
    })),
  }),
  "a node claims with the grants of its last life": () => {
    const grants = new Map<string, Map<number, PlacementOrder>>();
    return {
      wrapOrder: (perform, { name }) => {
        const kept = new Map(grants.get(name));
        const own = new Map<number, PlacementOrder>();
        grants.set(name, own);
        setTimeout(() => {
          for (const order of kept.values()) perform(order);
        }, 5);
        return (order) => {
          if (order.type === "take") own.set(order.partition, order);
          perform(order);
        };
      },
    };
  },
  "a coordinator does not hear the reports of members (member M2)": () => ({
    wrapActor: hearing<CoordinatorMessage>("coordinator", (message, { name }) =>
      message.type === "report" && message.from.node !== name ? undefined : message,
    ),
  }),
  "a life that the registry has forgotten goes on (member M7)": () => ({
    wrapActor: hearing<MemberMessage>("member", (message) =>
      message.type === "renewed" ? { type: "renewed", isKnown: true } : message,
    ),
  }),
  "a placed or expected partition is never dropped": () => ({
    wrapOrder: (perform) => (order) => {
      if (order.type !== "drop") perform(order);
    },
  }),
  "a node never learns of the new life of another node": () => {
    /** By process and node: the first incarnation of the node that the process heard of. */
    const firstLives = new Map<string, number>();
    const known = (members: readonly Member[], { name, number }: ClusterProcess) =>
      members.filter(({ node, incarnation }) => {
        const first = firstLives.get(`${number}/${node}`) ?? incarnation;
        firstLives.set(`${number}/${node}`, first);
        return first === incarnation || node === name;
      });
    return {
      wrapActor: hearing<MemberMessage>("member", (message, process) => {
        if (message.type === "viewed")
          return { ...message, view: { ...message.view, members: known(message.view.members, process) } };
        if (message.type !== "table" || message.members === undefined) return message;
        return { ...message, members: known(message.members, process) };
      }),
    };
  },
  "requests that wait over a link do not hear of its end (forwarded partition W1)": () => ({
    wrapLinks: (links) =>
      new Proxy(links, {
        get: (target, name) => {
          if (name !== "reference") {
            const value = Reflect.get(target, name) as unknown;
            return typeof value === "function" ? value.bind(target) : value;
          }
          const reference: PeerLinks["reference"] = (...parts) => {
            const real = target.reference<never>(...parts);
            const deaf = {
              path: real.path,
              tell: (message: never) => real.tell(message),
              send: (message: never, weightBytes: number) => real.send(message, weightBytes).then(() => true),
              trySend: (message: never, weightBytes: number) => real.trySend(message, weightBytes),
              onTerminated: () => () => {},
            };
            return deaf as never;
          };
          return reference;
        },
      }),
  }),
  "a move forgets which records a sink has set aside": () =>
    PLANTED_BUGS["what was set aside is forgotten at a restart"] as ClusterPlant,
  "a pipeline's state is not stored with its outputs (E13)": () => ({
    wrapLog: replacing((log) => ({
      append: (ownership, { checkpoints = new Map(), ...request }) =>
        log.append(ownership, {
          ...request,
          checkpoints: new Map([...checkpoints].filter(([name]) => !name.endsWith("/state"))),
        }),
    })),
  }),
  "a pipeline's changed keys are not stored with its outputs (E29)": () => ({
    wrapLog: replacing((log) => ({
      append: (ownership, { attached: _, ...request }) => log.append(ownership, request),
    })),
  }),
  "a shard is read on where its partition was (decision 0016)": () => ({
    wrapActor: (definition) => {
      if (!/^group-\d+$/.test(definition.name)) return definition;
      return { ...definition, start: (context) => definition.start({ ...context, stopChild: async () => undefined }) };
    },
  }),
  "a life of a shard that another has overtaken goes on (E1)": () => ({
    wrapLog: replacing((log) => ({
      append: async (ownership, request) => {
        const result = await log.append(ownership, request);
        const outcomes = result.outcomes.map((outcome, at): AppendOutcome => {
          const batch = request.batches[at];
          if (outcome.kind !== "stale_producer_epoch" || batch?.producerId.startsWith("source/queue/") !== true)
            return outcome;
          return { kind: "duplicate", stored: lastSequence(batch.sequences), verdicts: [] };
        });
        return { ...result, outcomes };
      },
    })),
  }),
  "message ids are forgotten by a move (decision 0015)": () =>
    PLANTED_BUGS["message ids are forgotten at a restart (decision 0015)"] as ClusterPlant,
  "an append is acknowledged before the log has answered": () =>
    PLANTED_BUGS["an append is acknowledged before the log has answered"] as ClusterPlant,
  "the position of a sink passes what the sink holds (sink S10)": () =>
    PLANTED_BUGS["the position of a sink passes what the sink holds (sink S10)"] as ClusterPlant,
  "a sink has no fence: a thawed owner writes on": () => ({
    sinks: { hasNoFence: true, hasNoPredecessorCheck: true },
  }),
};
