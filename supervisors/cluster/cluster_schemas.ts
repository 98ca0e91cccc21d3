/** What the routes of cluster_routes.ts take and answer. */
import type { FastifySchema } from "fastify";
import * as schema from "../../actors/ingest/http/route_schemas.ts";
import type { Decision } from "./cluster.ts";
import type { PartitionOwner } from "./cluster_view.ts";
import { DECISIONS_MAX } from "./leases/lease_store.ts";
import type { ClusterOverview, Explanation, MoveOverview, NodeOverview, PartitionOverview } from "./overview.ts";

const PARTITION = {
  stream: schema.text("Stream."),
  partition: schema.count("Partition."),
  state: schema.wordOf(["owned", "claiming", "handing_over", "unassigned"]),
};
const OWNER = {
  owner: schema.text("Name of the node that owns it; left out where none does."),
  epoch: schema.count("The owner's epoch, once it is known."),
};

const NODE = schema.objectOf<NodeOverview>(
  {
    name: schema.text("Its name."),
    incarnation: schema.count("Which of its lives: a node that starts again has a higher one."),
    state: schema.wordOf(["ready", "draining", "probation", "silent", "away", "expired"]),
    isCoordinator: { type: "boolean" },
    zone: schema.text("Nodes of one zone fail together."),
    address: schema.text("Where producers and consumers reach it."),
    version: schema.text("Release of the program."),
    partitions: schema.count("Partitions that it owns."),
  },
  {
    recordsPerSecond: schema.amount("Left out before the first report, and where the token shows some streams only."),
    bytesPerSecond: schema.amount("Left out before the first report, and where the token shows some streams only."),
  },
);

const MOVE = schema.objectOf<MoveOverview>(
  {
    stream: schema.text("Stream."),
    partition: schema.count("Partition."),
    to: schema.text("The node that gets it."),
    reason: schema.text("Why, in a sentence."),
  },
  { from: schema.text("The node that has it; left out where none does.") },
);

const CLUSTER = schema.named(
  "Cluster",
  schema.objectOf<ClusterOverview>(
    {
      ageMs: schema.count("How old what is told may be."),
      node: schema.text("The node that answers."),
      tableVersion: schema.count("Counts the changes of who holds what."),
      nodes: schema.listOf(NODE),
      partitions: schema.listOf(schema.objectOf<PartitionOverview>(PARTITION, OWNER)),
      moves: schema.listOf(MOVE, "Moves under way."),
    },
    {
      coordinator: schema.objectOf<{ node: string; leaderEpoch: number }>({
        node: schema.text("Its node."),
        leaderEpoch: schema.count("Its term."),
      }),
    },
  ),
);

const DECISION = schema.named(
  "Decision",
  schema.objectOf<Decision>({
    id: schema.count("The version of the table that it made."),
    leaderEpoch: schema.count("The term of the coordinator that made it."),
    atMs: schema.count("When, in milliseconds since 1970."),
    triggers: schema.listOf(
      schema.objectOf<{ kind: string; node?: string; skew?: number }>(
        {
          kind: schema.wordOf([
            ...["started", "joined", "left", "released", "crashed", "silent", "expired", "draining"],
            ...["skewed", "asked"],
          ]),
        },
        {
          node: schema.text("Which node, where it is one."),
          skew: schema.amount("The largest load over its node's share, where it is that."),
        },
      ),
    ),
    text: schema.text("What was decided, in a sentence."),
    moves: schema.count("Partitions that it moves."),
    movesMin: schema.count("The same number; earlier releases told the least possible one."),
  }),
);

const UNKNOWN = schema.failure("No such stream or partition, or none that the token shows.");

export const CLUSTER_ROUTE: FastifySchema = {
  summary: "Nodes, partitions and their owners, and moves under way, of the streams that the token shows.",
  response: { 200: schema.json("The cluster, as the node knows it.", CLUSTER) },
};

export const OWNER_ROUTE: FastifySchema = {
  summary: "Who owns a partition, and where to reach the owner: cheap, to be asked often.",
  params: schema.parameters(schema.PARTITION_PATH),
  response: {
    200: schema.json(
      "The partition; without owner and address where nobody owns it now.",
      schema.named(
        "PartitionOwner",
        schema.objectOf<PartitionOwner>(PARTITION, {
          ...OWNER,
          address: schema.text("Where producers and consumers reach the owner."),
        }),
      ),
    ),
    404: UNKNOWN,
  },
};

export const EXPLANATION_ROUTE: FastifySchema = {
  summary: "Why a partition is where it is.",
  params: schema.parameters(schema.PARTITION_PATH),
  response: {
    200: schema.json(
      "The partition, the reason, and the decision behind it where it is still kept.",
      schema.named(
        "Explanation",
        schema.objectOf<Explanation>(
          {
            partition: schema.objectOf<PartitionOverview>(PARTITION, OWNER),
            reason: schema.text("Why, in a sentence."),
          },
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
  querystring: schema.parameters({
    limit: {
      type: "integer",
      minimum: 1,
      maximum: DECISIONS_MAX,
      default: 20,
      description: "Most decisions answered.",
    },
  }),
  response: {
    200: schema.json("Decisions.", schema.objectOf<{ decisions: object }>({ decisions: schema.listOf(DECISION) })),
  },
};

const command = (summary: string, kind: string, path: Readonly<Record<string, schema.Schema>>): FastifySchema => ({
  summary: `${summary} Needs the scope admin.`,
  ...(Object.keys(path).length === 0 ? {} : { params: schema.parameters(path) }),
  response: {
    202: schema.json("The coordinator has it: /v1/cluster shows what comes of it.", {
      type: "object",
      properties: { kind: { const: kind }, ...path },
      required: ["kind", ...Object.keys(path)],
    }),
    400: schema.failure("It cannot be done; why is named."),
    404: schema.failure("No such node, or the node is alone."),
    503: schema.again("No coordinator is there to take it."),
  },
});

export const DRAIN_ROUTE = command("Move everything away from a node, and give it nothing more.", "drain", {
  node: schema.text("Node."),
});
export const UNDRAIN_ROUTE = command("Give a node partitions again.", "undrain", { node: schema.text("Node.") });
export const REBALANCE_ROUTE = command("Look at the load again now, and even it out.", "rebalance", {});
