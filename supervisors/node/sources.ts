/**
 * Starts the sources of the configuration, each under its own actor. In a cluster one that reads what all nodes see runs
 * where the first partition of its stream is owned, and moves with it; one that reads its own machine runs on every node.
 */
import type { ActorDefinition, ActorReference } from "../../actors/kernel/actor.ts";
import { SOURCES } from "../../actors/sources/registry.ts";
import type { SourceDefinition } from "../../actors/sources/source.ts";
import { type SourceMessage, sourceActor } from "../../actors/sources/source_actor.ts";
import type { Connect } from "../../protocols/connection.ts";
import type { Configuration, Options } from "../configuration/configuration_schema.ts";
import type { Foundation } from "./foundation.ts";
import { SUPERVISION } from "./partition_supervisor.ts";
import type { NodeDirectory } from "./stream_directory.ts";

export interface SourceParts extends Pick<Foundation, "system" | "log" | "nodeLog" | "metrics"> {
  readonly connect: Connect;
  /** In a cluster: the name of this node, and who owns what. */
  readonly cluster?: { readonly node: string; readonly directory: NodeDirectory };
}

export interface SourceTrouble {
  readonly source: string;
  /** The operating system's error code, such as EACCES. */
  readonly code: string;
}

export interface RunningSources {
  troubles(): readonly SourceTrouble[];
  stop(): Promise<void>;
}

/** Sources that cannot read now, with the error codes of earlier failures, whose metric returns to 0 instead of vanishing. */
class Troubles {
  readonly #codes = new Map<string, string>();
  readonly #seen = new Map<string, Set<string>>();

  tell(source: string, code: string | undefined): void {
    if (code === undefined) {
      this.#codes.delete(source);
      return;
    }
    this.#codes.set(source, code);
    this.#seen.set(source, (this.#seen.get(source) ?? new Set()).add(code));
  }

  now(): readonly SourceTrouble[] {
    return [...this.#codes].map(([source, code]) => ({ source, code }));
  }

  *readings(): Iterable<readonly [value: number, labels: { source: string; code: string }]> {
    for (const [source, codes] of this.#seen) {
      for (const code of codes) yield [this.#codes.get(source) === code ? 1 : 0, { source, code }];
    }
  }
}

export function startSources(configuration: Configuration, parts: SourceParts): RunningSources {
  const troubles = new Troubles();
  parts.metrics.gauge("headrace_source_unavailable", "1 while a source cannot read, by why", () => troubles.readings());
  const placed = Object.entries(configuration.sources).flatMap(([name, { type, stream, options }]) => {
    const definition = SOURCES.get(type);
    if (definition === undefined) return []; // the configuration's check has reported it
    const { cluster } = parts;
    const isEverywhere = cluster !== undefined && definition.readsOwnMachine === true;
    const own = isEverywhere ? `${name}/${cluster.node}` : name;
    const entry = cluster === undefined || isEverywhere ? undefined : cluster.directory.partition(stream, 0);
    return [{ name, entry, actor: actorOf(name, own, stream, definition, options, parts, troubles) }];
  });
  const root = parts.system.spawn<{ readonly type: "look" } | { readonly type: "rest"; onRest(): void }>({
    name: "sources",
    supervision: SUPERVISION,
    start(context) {
      const running = new Map<string, ActorReference<never>>();
      let isResting = false;
      const look = async () => {
        if (isResting) return;
        for (const { name, entry, actor } of placed) {
          const isHere = entry === undefined || entry.feed !== undefined;
          const known = running.get(name);
          if (isHere && known === undefined) running.set(name, context.spawn(actor) as ActorReference<never>);
          if (isHere || known === undefined) continue;
          running.delete(name);
          troubles.tell(name, undefined);
          await context.stopChild(known);
        }
      };
      const listeners = placed.flatMap(({ entry }) => entry?.onChange(() => context.self.tell({ type: "look" })) ?? []);
      context.self.tell({ type: "look" });
      return {
        async receive(message) {
          if (message.type === "look") return look();
          isResting = true;
          await Promise.all([...running.values()].map((source) => context.stopChild(source)));
          message.onRest();
        },
        stop: () => {
          for (const listener of listeners) listener.stop();
        },
      };
    },
  });
  return {
    troubles: () => troubles.now(),
    async stop() {
      // All sources at once: each may have to wait for the acknowledgement of its events.
      const rested = new Promise<void>((onRest) => root.tell({ type: "rest", onRest }));
      await Promise.race([rested, parts.system.whenTerminated(root)]);
      await parts.system.stop(root as ActorReference<never>);
    },
  };
}

function actorOf(
  name: string,
  own: string,
  stream: string,
  definition: SourceDefinition<never>,
  options: Options,
  { metrics, connect, log, nodeLog }: SourceParts,
  troubles: Troubles,
): ActorDefinition<SourceMessage> {
  const rejected = metrics.counter("headrace_source_rejected_total", "Events of a source set aside", { source: name });
  return sourceActor({
    name: own,
    stream,
    definition,
    options: options as never,
    connect,
    log,
    report: (level, message, fields) => nodeLog(level, message, { source: name, ...fields }),
    trouble: (code) => troubles.tell(name, code),
    onRejected: () => rejected.add(1),
  });
}
