/**
 * For an application that can send acknowledged events again, such as a derived stream or a file: finds from where, after
 * the stream has lost some with its tail (E6).
 *
 *     const resending = new Resending<number>("readings", now);
 *     let producer = new Producer({ ...options, ...resending.options });
 *     resending.begin(place, firstSequence); // before each batch
 *     resending.settle(); // after each, in their order
 *     // once the producer has stopped and `resending.hasLost`:
 *     producer = new Producer({ ...options, ...resending.options });
 *     const way = await resending.wayBack(producer, async ({ place }) => store(place)); // read on from there
 */
import type { Sequence } from "../../sequence.ts";
import { Acknowledged, type OpenedChains, type WayBack } from "./acknowledged.ts";
import type { Producer } from "./producer.ts";
import type { ProducerOptions } from "./producer_options.ts";

interface Target {
  readonly partitions: number;
  readonly dedupeWindowMs: number;
}

export class Resending<Place> {
  /** True once the stream has lost events, until `wayBack` has answered. */
  hasLost = false;
  /** Of the producer that sends the events. */
  readonly options: Pick<ProducerOptions, "stopsAtLoss" | "onLost" | "onAck" | "onWelcome">;
  readonly #stream: string;
  readonly #nowMs: () => number;
  readonly #acknowledged = new Acknowledged<Place>();
  readonly #target: Promise<Target>;

  constructor(stream: string, nowMs: () => number) {
    this.#stream = stream;
    this.#nowMs = nowMs;
    let welcomed: (target: Target) => void;
    this.#target = new Promise((resolve) => (welcomed = resolve));
    this.options = {
      stopsAtLoss: true,
      onLost: () => (this.hasLost = true),
      onAck: ({ partition, lastSequence }) => {
        if (lastSequence !== undefined) this.#acknowledged.acknowledge(partition, lastSequence, nowMs());
      },
      onWelcome: ({ streams, limits }) => {
        const partitions = Math.max(1, streams[stream]?.partitions ?? 0);
        welcomed({ partitions, dedupeWindowMs: limits.dedupeWindowMs });
      },
    };
  }

  /** A batch is about to be sent, whose first sequence is `first`. Reading on from `place` repeats it. */
  begin(place: Place, first: Sequence): void {
    this.#acknowledged.begin(place, first, this.#nowMs());
  }

  /** The oldest batch that was begun is acknowledged, and the application will not send it again by itself. */
  settle(): void {
    this.#acknowledged.settle();
  }

  /** Opens the producer's chain in each partition. Rejects as `Producer.open` does. */
  async open(producer: Pick<Producer, "open">): Promise<void> {
    this.#acknowledged.restart(await this.#openAll(producer), this.#nowMs());
  }

  /**
   * Answers from where to send again; undefined where nothing is lost, or nothing can be sent again. Rejects as
   * `Producer.open` does, and may then be called again.
   *
   * @param producer a new one, as the other has stopped
   * @param store makes the answer durable before the loss is forgotten
   */
  async wayBack(
    producer: Pick<Producer, "open">,
    store: (way: WayBack<Place>) => Promise<void>,
  ): Promise<WayBack<Place> | undefined> {
    const opened = await this.#openAll(producer);
    const { dedupeWindowMs } = await this.#target;
    const way = this.#acknowledged.wayBack(opened, this.#nowMs(), dedupeWindowMs);
    if (way !== undefined) await store(way);
    this.#acknowledged.restart(opened, this.#nowMs());
    this.hasLost = false;
    return way;
  }

  async #openAll(producer: Pick<Producer, "open">): Promise<OpenedChains> {
    const { partitions } = await this.#target;
    const opening = Array.from({ length: partitions }, (_, partition) => producer.open(this.#stream, partition));
    return (await Promise.all(opening)).map(({ lastSequence }) => lastSequence);
  }
}
