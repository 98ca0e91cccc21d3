/**
 * The cluster over HTTP: nodes, owners with their reasons, decisions, and the commands drain, undrain and rebalance. A token
 * reads of the streams that it may observe, and reads decisions only if it may observe all. A command needs the scope `admin`.
 */
import type { FastifyInstance, FastifyReply } from "fastify";
import { uncheckedParameters } from "../../actors/ingest/http/parameters.ts";
import { RejectedError } from "../../protocols/errors.ts";
import { nodeId } from "../../protocols/position.ts";
import type { Grants } from "../security/access/access.ts";
import type { ClusterCommand } from "./cluster.ts";
import {
  CLUSTER_ROUTE,
  DECISIONS_ROUTE,
  DRAIN_ROUTE,
  EXPLANATION_ROUTE,
  OWNER_ROUTE,
  REBALANCE_ROUTE,
  UNDRAIN_ROUTE,
} from "./cluster_schemas.ts";
import { ClusterView } from "./cluster_view.ts";
import type { ClusterControl } from "./overview.ts";

export interface ClusterRoutesOptions {
  readonly control: ClusterControl;
  readonly permissionsOf: (request: object) => ClusterGrants;
  /** A clock in ms that is never set back, to measure the age of an answer. */
  readonly stopwatchMs: () => number;
}

type ClusterGrants = Pick<Grants, "mayAdministrate" | "mayObserve" | "mayObserveAll" | "subject">;

interface PartitionPath {
  readonly stream: string;
  readonly partition: string;
}

interface NodePath {
  Params: { readonly node: string };
}

export function mountClusterRoutes(server: FastifyInstance, options: ClusterRoutesOptions): void {
  const { control, permissionsOf, stopwatchMs } = options;
  let made: ClusterView | undefined;
  const view = (): ClusterView => {
    made ??= new ClusterView(() => control.overview(), stopwatchMs);
    return made;
  };
  server.get("/v1/cluster", { schema: CLUSTER_ROUTE }, (request, reply) => {
    const { mayObserve } = permissionsOf(request);
    return reply.type("application/json").send(view().jsonFor(mayObserve));
  });
  // A partition of any text is 404 where it is unknown.
  const validatorCompiler = uncheckedParameters;
  server.get<{ Params: PartitionPath }>(
    "/v1/cluster/owners/:stream/:partition",
    { schema: OWNER_ROUTE, validatorCompiler },
    async (request) => {
      const { params } = request;
      refuseUnseen(permissionsOf(request), params);
      return view().ownerOf(nameOf(params)) ?? refuseUnknown(view(), params);
    },
  );
  server.get<{ Params: PartitionPath }>(
    "/v1/cluster/partitions/:stream/:partition",
    { schema: EXPLANATION_ROUTE, validatorCompiler },
    async (request) => {
      const { params } = request;
      refuseUnseen(permissionsOf(request), params);
      return (await control.explain(nameOf(params))) ?? refuseUnknown(view(), params);
    },
  );
  server.get<{ Querystring: { readonly limit: number } }>(
    "/v1/cluster/decisions",
    { schema: DECISIONS_ROUTE },
    // The sentences of decisions name partitions of any stream.
    async (request) => ({
      decisions: permissionsOf(request).mayObserveAll ? await control.decisions(request.query.limit) : [],
    }),
  );
  const ask = async (request: object, reply: FastifyReply, command: ClusterCommand) => {
    reply.status(202);
    refuseOthers(permissionsOf(request));
    await control.ask(command);
    return command;
  };
  server.post<NodePath>("/v1/cluster/nodes/:node/drain", { schema: DRAIN_ROUTE }, (request, reply) =>
    ask(request, reply, { kind: "drain", node: nodeId(request.params.node) }),
  );
  server.post<NodePath>("/v1/cluster/nodes/:node/undrain", { schema: UNDRAIN_ROUTE }, (request, reply) =>
    ask(request, reply, { kind: "undrain", node: nodeId(request.params.node) }),
  );
  server.post("/v1/cluster/rebalance", { schema: REBALANCE_ROUTE }, (request, reply) =>
    ask(request, reply, { kind: "rebalance" }),
  );
}

const nameOf = ({ stream, partition }: PartitionPath): string => `${stream}/${partition}`;

/** A stream that the token may not observe is answered as one that does not exist. */
function refuseUnseen({ mayObserve }: ClusterGrants, { stream }: PartitionPath): void {
  if (!mayObserve(stream)) throw unknownStream(stream);
}

const unknownStream = (stream: string): RejectedError =>
  new RejectedError("UNKNOWN_STREAM", `Cannot answer as the stream must be configured: current value is ${stream}`);

function refuseUnknown(view: ClusterView, { stream, partition }: PartitionPath): never {
  if (!view.hasStream(stream)) throw unknownStream(stream);
  throw new RejectedError(
    "UNKNOWN_PARTITION",
    `Cannot answer as the partition must be one of ${stream}: current value is ${partition}`,
  );
}

function refuseOthers({ mayAdministrate, subject }: Pick<Grants, "mayAdministrate" | "subject">): void {
  if (mayAdministrate) return;
  throw new RejectedError(
    "FORBIDDEN",
    `Cannot command the cluster as the token must have the scope admin: subject is ${subject}`,
  );
}
