/** What the routes of cluster_routes.ts take and answer. */
import type { FastifySchema } from "fastify";
import {
  again,
  amount,
  count,
  failure,
  json,
  listOf,
  named,
  objectOf,
  PARTITION_PATH,
  parameters,
  type Schema,
  text,
  wordOf,
} from "../../actors/ingest/http/route_schemas.ts";
import type { Decision } from "./cluster.ts";
import type { PartitionOwner } from "./cluster_view.ts";
import { DECISIONS_MAX } from "./leases/lease_store.ts";
import type { ClusterOverview, Explanation, MoveOverview, NodeOverview, PartitionOverview } from "./overview.ts";

const PARTITION = {
  stream: text("Stream."),
  partition: count("Partition."),
  state: wordOf(["owned", "claiming", "handing_over", "unassigned"]),
};
const OWNER = {
  owner: text("Name of the node that owns it; left out where none does."),
  epoch: count("The owner's epoch, once it is known."),
};

const NODE = objectOf<NodeOverview>(
  {
    name: text("Its name."),
    incarnation: count("Which of its lives: a node that starts again has a higher one."),
    state: wordOf(["ready", "draining", "probation", "silent", "away", "expired"]),
    isCoordinator: { type: "boolean" },
    zone: text("Nodes of one zone fail together."),
    address: text("Where producers and consumers reach it."),
    version: text("Release of the program."),
    partitions: count("Partitions that it owns."),
  },
  {
    recordsPerSecond: amount("Left out before the first report, and where the token shows some streams only."),
    bytesPerSecond: amount("Left out before the first report, and where the token shows some streams only."),
  },
);

const MOVE = objectOf<MoveOverview>(
  {
    stream: text("Stream."),
    partition: count("Partition."),
    to: text("The node that gets it."),
    reason: text("Why, in a sentence."),
  },
  { from: text("The node that has it; left out where none does.") },
);

const CLUSTER = named(
  "Cluster",
  objectOf<ClusterOverview>(
    {
      ageMs: count("How old what is told may be."),
      node: text("The node that answers."),
      tableVersion: count("Counts the changes of who holds what."),
      nodes: listOf(NODE),
      partitions: listOf(objectOf<PartitionOverview>(PARTITION, OWNER)),
      moves: listOf(MOVE, "Moves under way."),
    },
    {
      coordinator: objectOf<{ node: string; leaderEpoch: number }>({
        node: text("Its node."),
        leaderEpoch: count("Its term."),
      }),
    },
  ),
);

const DECISION = named(
  "Decision",
  objectOf<Decision>({
    id: count("The version of the table that it made."),
    leaderEpoch: count("The term of the coordinator that made it."),
    atMs: count("When, in milliseconds since 1970."),
    triggers: listOf(
      objectOf<{ kind: string; node?: string; skew?: number }>(
        {
          kind: wordOf([
            ...["started", "joined", "left", "released", "crashed", "silent", "expired", "draining"],
            ...["skewed", "asked"],
          ]),
        },
        {
          node: text("Which node, where it is one."),
          skew: amount("The largest load over its node's share, where it is that."),
        },
      ),
    ),
    text: text("What was decided, in a sentence."),
    moves: count("Partitions that it moves."),
    movesMin: count("The same number; earlier releases told the least possible one."),
  }),
);

const UNKNOWN = failure("No such stream or partition, or none that the token shows.");

export const CLUSTER_ROUTE: FastifySchema = {
  summary: "Nodes, partitions and their owners, and moves under way, of the streams that the token shows.",
  response: { 200: json("The cluster, as the node knows it.", CLUSTER) },
};

export const OWNER_ROUTE: FastifySchema = {
  summary: "Who owns a partition, and where to reach the owner: cheap, to be asked often.",
  params: parameters(PARTITION_PATH),
  response: {
    200: json(
      "The partition; without owner and address where nobody owns it now.",
      named(
        "PartitionOwner",
        objectOf<PartitionOwner>(PARTITION, {
          ...OWNER,
          address: text("Where producers and consumers reach the owner."),
        }),
      ),
    ),
    404: UNKNOWN,
  },
};

export const EXPLANATION_ROUTE: FastifySchema = {
  summary: "Why a partition is where it is.",
  params: parameters(PARTITION_PATH),
  response: {
    200: json(
      "The partition, the reason, and the decision behind it where it is still kept.",
      named(
        "Explanation",
        objectOf<Explanation>(
          { partition: objectOf<PartitionOverview>(PARTITION, OWNER), reason: text("Why, in a sentence.") },
          { decision: DECISION },
        ),
      ),
    ),
    404: UNKNOWN,
  },
};

export const DECISIONS_ROUTE: FastifySchema = {
  summary:
    "What the coordinator decided, newest first, and what set it to work. Empty without the scope observe or admin.",
  querystring: parameters({
    limit: {
      type: "integer",
      minimum: 1,
      maximum: DECISIONS_MAX,
      default: 20,
      description: "Most decisions answered.",
    },
  }),
  response: { 200: json("Decisions.", objectOf<{ decisions: object }>({ decisions: listOf(DECISION) })) },
};

const command = (summary: string, kind: string, path: Readonly<Record<string, Schema>>): FastifySchema => ({
  summary: `${summary} Needs the scope admin.`,
  ...(Object.keys(path).length === 0 ? {} : { params: parameters(path) }),
  response: {
    202: json("The coordinator has it: /v1/cluster shows what comes of it.", {
      type: "object",
      properties: { kind: { const: kind }, ...path },
      required: ["kind", ...Object.keys(path)],
    }),
    400: failure("It cannot be done; why is named."),
    404: failure("No such node, or the node is alone."),
    503: again("No coordinator is there to take it."),
  },
});

export const DRAIN_ROUTE = command("Move everything away from a node, and give it nothing more.", "drain", {
  node: text("Node."),
});
export const UNDRAIN_ROUTE = command("Give a node partitions again.", "undrain", { node: text("Node.") });
export const REBALANCE_ROUTE = command("Look at the load again now, and even it out.", "rebalance", {});
