/** Makes the deliveries of a replay, each with the sink's own operations, and counts and logs their reports. */
import type { NodeLog } from "../../actors/observers/node_log.ts";
import type { Pipeline } from "../../actors/pipeline/pipeline.ts";
import type { DeliveryReport } from "../../actors/sinks/delivery/delivery_messages.ts";
import { deliveryTarget } from "../../actors/sinks/delivery/delivery_names.ts";
import type { Connect } from "../../protocols/connection.ts";
import { partitionName } from "../../protocols/position.ts";
import { logReport, sinkDelivery } from "../node/delivery_plans.ts";
import { eventTimeReader } from "../node/event_time.ts";
import type { Foundation } from "../node/foundation.ts";
import type { SinkClients } from "../node/sink_clients.ts";
import type { ReplayActorOptions } from "./replay_actor.ts";
import { replayInput } from "./replay_input.ts";
import type { StoredReplay } from "./replay_record.ts";

export interface ReplayDeliveryParts extends Pick<Foundation, "log" | "nodeLog" | "metrics" | "configuration"> {
  readonly pipelines: ReadonlyMap<string, Pipeline>;
  readonly connect: Connect;
  readonly clients: SinkClients;
}

export function replayDelivery(
  { name, stream, channel, pipeline = "" }: StoredReplay,
  { configuration, pipelines, connect, clients, nodeLog, metrics, log: store }: ReplayDeliveryParts,
): ReplayActorOptions["delivery"] {
  const timeOf = eventTimeReader(configuration.streams[stream]?.eventTime);
  const log: NodeLog = (level, message, fields) => nodeLog(level, message, { ...fields, replay: name });
  return (task, feed, note) => {
    const { range, partition } = task;
    const target = deliveryTarget(task.sink);
    const onSkipped = () => {
      task.skippedLetters += 1;
    };
    const input = replayInput({ name, channel, pipeline: pipelines.get(pipeline), feed, range, timeOf, onSkipped });
    const replayed = metrics.counter("headrace_records_replayed_total", "Records written to a sink by replays", {
      ...target,
      stream,
    });
    const observe = (report: DeliveryReport) => {
      logReport(log, { ...target, partition: partitionName({ stream, partition }) }, report);
      if (report.kind === "delivered") replayed.add(report.batch.records);
      note(report);
    };
    const of = { feed, input, observe, start: "earliest", replay: name, range } as const;
    return sinkDelivery(target, configuration, { connect, clients, log, clusterId: store.clusterId }, of);
  };
}
