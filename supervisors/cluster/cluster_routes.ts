/**
 * The cluster over HTTP: nodes, owners with their reasons, decisions, and the commands drain, undrain and rebalance. A token
 * reads of the streams that it may observe, and reads decisions only if it may observe all. A command needs the scope `admin`.
 */
import type { FastifyInstance } from "fastify";
import { wholeNumber } from "../../actors/ingest/http/whole_number.ts";
import { RejectedError } from "../../protocols/errors.ts";
import { nodeId } from "../../protocols/position.ts";
import type { Grants } from "../security/access/access.ts";
import type { ClusterCommand } from "./cluster.ts";
import { ClusterView } from "./cluster_view.ts";
import { DECISIONS_MAX } from "./leases/lease_store.ts";
import type { ClusterControl } from "./overview.ts";

const DECISIONS_DEFAULT = 20;

export interface ClusterRoutesOptions {
  readonly control: ClusterControl;
  /** The permissions of the request's token. */
  readonly permissionsOf: (request: object) => ClusterGrants;
  /** A clock in ms that is never set back, to measure the age of an answer. */
  readonly stopwatchMs: () => number;
}

type ClusterGrants = Pick<Grants, "mayAdministrate" | "mayObserve" | "mayObserveAll" | "subject">;

interface PartitionPath {
  readonly stream: string;
  readonly partition: string;
}

export function mountClusterRoutes(server: FastifyInstance, options: ClusterRoutesOptions): void {
  const { control, permissionsOf, stopwatchMs } = options;
  let made: ClusterView | undefined;
  const view = (): ClusterView => {
    made ??= new ClusterView(() => control.overview(), stopwatchMs);
    return made;
  };
  server.get("/v1/cluster", (request, reply) => {
    const { mayObserve } = permissionsOf(request);
    return reply.type("application/json").send(view().jsonFor(mayObserve));
  });
  server.get<{ Params: PartitionPath }>("/v1/cluster/owners/:stream/:partition", async (request) => {
    const { params } = request;
    refuseUnseen(permissionsOf(request), params);
    return view().ownerOf(nameOf(params)) ?? refuseUnknown(view(), params);
  });
  server.get<{ Params: PartitionPath }>("/v1/cluster/partitions/:stream/:partition", async (request) => {
    const { params } = request;
    refuseUnseen(permissionsOf(request), params);
    return (await control.explain(nameOf(params))) ?? refuseUnknown(view(), params);
  });
  server.get<{ Querystring: { readonly limit?: string } }>("/v1/cluster/decisions", async (request) => {
    const limit = wholeNumber("limit", request.query.limit ?? String(DECISIONS_DEFAULT), 1, DECISIONS_MAX);
    // The sentences of decisions name partitions of any stream.
    return { decisions: permissionsOf(request).mayObserveAll ? await control.decisions(limit) : [] };
  });
  const ask = async (request: object, command: ClusterCommand) => {
    refuseOthers(permissionsOf(request));
    await control.ask(command);
    return command;
  };
  server.post<{ Params: { readonly node: string } }>("/v1/cluster/nodes/:node/drain", (request, reply) => {
    reply.status(202);
    return ask(request, { kind: "drain", node: nodeId(request.params.node) });
  });
  server.post<{ Params: { readonly node: string } }>("/v1/cluster/nodes/:node/undrain", (request, reply) => {
    reply.status(202);
    return ask(request, { kind: "undrain", node: nodeId(request.params.node) });
  });
  server.post("/v1/cluster/rebalance", (request, reply) => {
    reply.status(202);
    return ask(request, { kind: "rebalance" });
  });
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
