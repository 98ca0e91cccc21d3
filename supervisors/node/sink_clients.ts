/** The clients that sinks share between their partitions on this node, one for each sink that has any (sink S11). */
import type { NodeLog } from "../../actors/observers/node_log.ts";
import { CountedClient } from "../../actors/sinks/delivery/counted_client.ts";
import type { SinkClient, SinkClientContext } from "../../actors/sinks/sink.ts";
import { reasonOf } from "../../protocols/errors.ts";
import type { Configuration } from "../configuration/configuration_schema.ts";
import { sinkOf } from "../configuration/kinds.ts";

type Shared = CountedClient<SinkClient | undefined>;

export class SinkClients {
  readonly #configuration: Pick<Configuration, "sinks" | "node" | "own">;
  readonly #log: NodeLog;
  readonly #clients = new Map<string, Shared>();

  constructor(configuration: Pick<Configuration, "sinks" | "node" | "own">, log: NodeLog) {
    this.#configuration = configuration;
    this.#log = log;
  }

  /** Undefined for a sink whose kind shares nothing. */
  of(name: string): Shared | undefined {
    const sink = this.#configuration.sinks[name];
    const definition = sinkOf(this.#configuration, sink?.type ?? "");
    const known = this.#clients.get(name);
    if (known !== undefined || sink === undefined || definition?.connect === undefined) return known;
    const context = sinkClientContext(name, this.#configuration, this.#log);
    const made = new CountedClient(
      async () => definition.connect?.(sink.options as never, context),
      (error) => this.#log("warn", `Cannot close the client of a sink: ${reasonOf(error)}`, { sink: name }),
    );
    this.#clients.set(name, made);
    return made;
  }

  /** Waits for the clients whose last delivery has ended. */
  async closed(): Promise<void> {
    await Promise.all([...this.#clients.values()].map((one) => one.closed()));
  }
}

export const sinkClientContext = (
  name: string,
  { node }: Pick<Configuration, "node">,
  log: NodeLog,
): SinkClientContext => ({
  folder: node.data,
  name,
  nowMs: () => Date.now(),
  log: (level, message, fields) => log(level, message, { sink: name, ...fields }),
});
