/** Starts the sources of the configuration, each under its own actor. */
import type { ActorSystem } from "../actors/kernel/actor.ts";
import type { Log } from "../actors/log/log.ts";
import type { Metrics } from "../actors/observers/metrics.ts";
import type { NodeLog } from "../actors/observers/node_log.ts";
import { SOURCES } from "../actors/sources/registry.ts";
import { sourceActor } from "../actors/sources/source_actor.ts";
import type { Connect } from "../protocols/connection.ts";
import type { Configuration } from "./configuration_schema.ts";
import { SUPERVISION } from "./partition_supervisor.ts";

export interface SourceParts {
  readonly system: ActorSystem;
  readonly connect: Connect;
  readonly log: Log;
  readonly nodeLog: NodeLog;
  readonly metrics: Metrics;
}

export interface RunningSources {
  stop(): Promise<void>;
}

export function startSources(configuration: Configuration, parts: SourceParts): RunningSources {
  const sources = Object.entries(configuration.sources);
  const root = parts.system.spawn<never>({
    name: "sources",
    supervision: SUPERVISION,
    start(context) {
      for (const [name, source] of sources) {
        const definition = SOURCES.get(source.type);
        if (definition === undefined) continue; // the configuration's check has named it
        const rejected = parts.metrics.counter("headrace_source_rejected_total", "Events of a source set aside", {
          source: name,
        });
        context.spawn(
          sourceActor({
            name,
            stream: source.stream,
            definition,
            options: source.options as never,
            connect: parts.connect,
            log: parts.log,
            report: (level, message, fields) => parts.nodeLog(level, message, { source: name, ...fields }),
            onRejected: () => rejected.add(1),
          }),
        );
      }
      return { receive() {} };
    },
  });
  return { stop: () => parts.system.stop(root) };
}
