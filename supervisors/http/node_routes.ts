/** Routes about the node itself: health, metrics, sinks and actors. */
import type { FastifyInstance } from "fastify";
import type { ActorSystem } from "../../actors/kernel/actor.ts";
import { RejectedError } from "../../protocols/errors.ts";
import type { Foundation } from "../node/foundation.ts";
import type { SourceTrouble } from "../node/sources.ts";
import type { Grants } from "../security/access/grants.ts";
import { visibleMetrics } from "../security/access/visible_metrics.ts";
import type { HiddenTexts } from "../security/secrets/hidden_texts.ts";
import { ACTORS_ROUTE, HEALTH_ROUTE, METRICS_ROUTE, READY_ROUTE, SINKS_ROUTE } from "./node_schemas.ts";

export interface NodeRoutesOptions extends Pick<Foundation, "log" | "directory" | "metrics" | "system" | "board"> {
  readonly grantsOf: (request: object) => Grants;
  readonly hidden: Pick<HiddenTexts, "hide" | "hideIn">;
  /** Sources that cannot read now: reported, though the node still takes appends. */
  readonly troubles: () => readonly SourceTrouble[];
  /** Whether the node is stopping and should get no new requests. */
  readonly isStopping: () => boolean;
}

/** Most reasons reported for partitions that cannot be claimed. */
const BLOCKED_REASONS_MAX = 5;

/** Routes without a token: a health probe reveals nothing about stored events. */
export function mountHealthRoutes(server: FastifyInstance, options: NodeRoutesOptions): void {
  server.get("/healthz", { schema: HEALTH_ROUTE }, async () => ({ status: "ok" }));
  server.get("/readyz", { schema: READY_ROUTE }, async (_request, reply) => {
    const reasons = unreadiness(options);
    const sources = options.troubles();
    const troubled = sources.length === 0 ? {} : { sources };
    if (reasons.length === 0) return { status: "ready", ...troubled };
    const told = reasons.map((reason) => options.hidden.hide(reason));
    return reply
      .status(503)
      .header("Retry-After", 1)
      .send({ status: "not ready", reasons: told, ...troubled });
  });
}

export function mountNodeRoutes(server: FastifyInstance, options: NodeRoutesOptions): void {
  const { grantsOf } = options;
  server.get("/metrics", { schema: METRICS_ROUTE }, async (request, reply) => {
    reply.header("Content-Type", "text/plain; version=0.0.4; charset=utf-8");
    return visibleMetrics(await options.metrics.exposition(), grantsOf(request));
  });
  server.get("/v1/sinks", { schema: SINKS_ROUTE }, async (request) => {
    const { mayObserve } = grantsOf(request);
    const shown = [...options.board.standings()].filter(({ stream }) => mayObserve(stream));
    return { sinks: options.hidden.hideIn(shown) };
  });
  server.get("/v1/actors", { schema: ACTORS_ROUTE }, async (request) => {
    refuseUnlessAll(grantsOf(request));
    return options.hidden.hideIn(describeActors(options.system));
  });
}

/** Needs a permission over all streams, as actors belong to no single stream. */
function refuseUnlessAll({ mayObserveAll, subject }: Grants): void {
  if (mayObserveAll) return;
  throw new RejectedError(
    "FORBIDDEN",
    `Cannot tell of actors as the token must have the scope observe or admin: subject is ${subject}`,
  );
}

function unreadiness({ log, directory, isStopping }: NodeRoutesOptions): readonly string[] {
  const state = log.state();
  const unowned = [...directory.all()].filter(
    ({ entry }) => entry.feed === undefined && entry.ownerAddress === undefined,
  );
  const blocked = new Set(unowned.flatMap(({ entry }) => entry.blockedBy?.message ?? []));
  return [
    ...(isStopping() ? ["the node is stopping"] : []),
    ...(state.kind === "ready" ? [] : [`${state.code}: ${state.reason}`]),
    ...(unowned.length === 0 ? [] : [`${unowned.length} partitions are being claimed`]),
    ...[...blocked].slice(0, BLOCKED_REASONS_MAX),
  ];
}

const describeActors = (system: ActorSystem) => ({
  actors: system.statistics.read(),
  deadLetters: { count: system.deadLetters.count, recent: system.deadLetters.recent() },
});
