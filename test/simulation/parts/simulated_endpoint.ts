/**
 * An HTTP endpoint outside the node that honours `Idempotency-Key` and keeps no position: the idempotent sink of a
 * simulated node, with the product's own key (E15). It remembers every request, repetitions included.
 */
import { idempotencyKey } from "../../../actors/sinks/http/http_sink.ts";
import type { SinkBatch, SinkContext, SinkDefinition } from "../../../actors/sinks/sink.ts";
import type { OutsideCalls } from "./outside_calls.ts";
import { sinkError } from "./simulated_sink.ts";

export class Endpoint {
  readonly name = "endpoint";
  /** Ids of the events of each key, in the order of the requests. */
  readonly requests = new Map<string, string[]>();
  readonly #takesKeyFromBatch: boolean;

  /** @param bugs a planted bug: the key is taken from the batch, which may be cut in another way next time */
  constructor(bugs: { readonly takesKeyFromBatch?: boolean } = {}) {
    this.#takesKeyFromBatch = bugs.takesKeyFromBatch === true;
  }

  definition(node: OutsideCalls): SinkDefinition<unknown> {
    return {
      type: "endpoint",
      delivery: "idempotent",
      optionsSchema: {},
      open: async (_options: unknown, { partition }: SinkContext) => ({
        position: async () => undefined,
        write: (batch: SinkBatch) =>
          node.operate("sink write", undefined, sinkError, async () => {
            for (const record of batch.records)
              this.#take(
                idempotencyKey(partition, this.#takesKeyFromBatch ? batch.records : [record]),
                String(record.event.id),
              );
            return { value: { kind: "written" } as const, onAnswer: () => {} };
          }),
        close: async () => {},
      }),
    };
  }

  #take(key: string, id: string): void {
    const ids = this.requests.get(key) ?? [];
    ids.push(id);
    this.requests.set(key, ids);
  }
}
