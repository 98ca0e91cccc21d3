/**
 * Appends the events of HTTP requests, by producers within the node. Requests without a key share a few producers and
 * their batches: at least once. A request with an `Idempotency-Key` has a short-lived producer of its own (E5).
 *
 *   K1. The producer's name is a hash of the key, its instance a hash of the payload. So the log takes one payload
 *       under a key and fences another, on whichever node they arrive.
 *   K2. An event's sequence is its index, and its partition depends on the request alone. So a retry meets the same
 *       chains, completes the missing events and is answered with the stored verdicts (E4).
 *   K3. Requests with one key may run at the same time: the chains store each event once.
 *   K4. A node that stops takes no new request, and answers those under way within a second: as stored, or as unknown.
 *
 * A partition that refuses appends for now (its store is full, or it knows too many producers) is not waited for. The
 * producer has `refusedGraceMs` for its other partitions and is then closed, and the request is answered with the
 * refusal.
 */
import { Producer, type ProducerOptions } from "../../../protocols/client/producer/producer.ts";
import type { Connect } from "../../../protocols/connection.ts";
import { FencedError, RejectedError, UnavailableError } from "../../../protocols/errors.ts";
import { keyOf, parsePointer, partitionOfKey } from "../../../protocols/partitioner.ts";
import { isEvent } from "../../../protocols/values/unreadable.ts";
import type { StreamDirectory } from "../session.ts";
import { answerOf, type IngestAnswer, type Outcome, outcomesWithin, UNKNOWN } from "./http_answer.ts";
import { REQUEST_EVENTS_MAX, type RequestEvent } from "./http_events.ts";
import { PartitionRefusals } from "./http_refusals.ts";
import { Turns } from "./http_turns.ts";
import { type IdempotentRequest, producerOf } from "./idempotency_key.ts";

export const INGEST_LIMITS = {
  /** Producers that requests without a key share. */
  sharedProducers: 2,
  /** Milliseconds that a shared batch waits for events of other requests. */
  sharedLingerMs: 2,
  sharedBufferBytesMax: 33_554_432,
  /** Requests with a key under way: each holds a session and its credit. */
  underWayMax: 64,
  /** Requests with a key that wait for their turn. */
  waitingMax: 1_024,
  /** Milliseconds until a request is answered with the events whose outcome is known by then. */
  answerWithinMs: 30_000,
  retryAfterMs: 1_000,
  /** Milliseconds for a producer's appends to other partitions, once one partition has refused its events. */
  refusedGraceMs: 250,
  /** Names that shared producers use in turn: one that is given up shares no chain with its successor. */
  sharedNames: 8,
} as const;

export interface IngestOptions {
  readonly node: string;
  readonly connect: Connect;
  /** Connects for a request with a key: its places in partitions count for `principal`. */
  readonly connectFor: (principal: string) => Connect;
  readonly directory: Pick<StreamDirectory, "describe">;
  readonly newId: () => string;
  readonly answerWithinMs?: number;
  readonly nowMs?: () => number;
}

export interface IngestRequest {
  readonly stream: string;
  readonly events: readonly RequestEvent[];
  readonly traceparent: string | undefined;
  readonly idempotency: IdempotentRequest | undefined;
}

export class HttpIngest {
  readonly #options: IngestOptions;
  readonly #shared = new Map<string, Producer>();
  readonly #turns = new Turns(INGEST_LIMITS);
  readonly #refusals: PartitionRefusals;
  /** Producers that this class closed, as a partition refused their events or the node stops: they were not fenced. */
  readonly #givenUp = new WeakSet<Producer>();
  /** Producers whose events may be under way. */
  readonly #open = new Set<Producer>();
  #isClosed = false;
  #turn = 0;
  #sharedCount = 0;

  constructor(options: IngestOptions) {
    this.#options = options;
    this.#refusals = this.#newRefusals();
  }

  #newRefusals(): PartitionRefusals {
    return new PartitionRefusals(this.#options.nowMs ?? Date.now);
  }

  /**
   * Appends the events of a request. Throws `RejectedError` `IDEMPOTENCY_KEY_REUSED`, `OverloadedError` where no event
   * was taken, and `UnavailableError` `STOPPING`.
   */
  async append(request: IngestRequest): Promise<IngestAnswer> {
    this.#refuseClosed(request);
    const partitions = this.#placesOf(request);
    for (const partition of partitions) {
      const refusal = partition === undefined ? undefined : this.#refusals.of(request.stream, partition);
      if (refusal !== undefined) throw refusal;
    }
    return request.idempotency === undefined
      ? this.#appendShared(request, partitions)
      : this.#appendKeyed(request, partitions, request.idempotency);
  }

  /** K4. Resolves once all producers are closed, after `timeoutMs` at most. */
  async close(timeoutMs = 1_000): Promise<void> {
    this.#isClosed = true;
    this.#shared.clear();
    this.#turns.dismiss();
    const producers = [...this.#open];
    for (const producer of producers) this.#givenUp.add(producer);
    await Promise.all(producers.map((producer) => producer.close({ timeoutMs })));
  }

  #refuseClosed({ stream }: IngestRequest): void {
    if (!this.#isClosed) return;
    throw new UnavailableError("STOPPING", `Cannot append to ${stream} as the node must take requests: it is stopping`);
  }

  /** Each event's partition; undefined where the producer chooses one. With a key none is undefined (K2). */
  #placesOf({ stream, events, idempotency }: IngestRequest): readonly (number | undefined)[] {
    const description = this.#options.directory.describe()[stream];
    const count = description?.partitions ?? 1;
    const pointer = description?.key === undefined ? undefined : parsePointer(description.key);
    const otherwise = idempotency === undefined ? undefined : partitionOfKey(idempotency.key, count);
    return events.map(({ event }) => {
      const key = pointer === undefined || !isEvent(event) ? undefined : keyOf(event, pointer);
      return key === undefined ? otherwise : partitionOfKey(key, count);
    });
  }

  // Without a key ---------------------------------------------------------------------------------------------------

  async #appendShared(request: IngestRequest, partitions: readonly (number | undefined)[]): Promise<IngestAnswer> {
    this.#turn += 1;
    const { stream, traceparent } = request;
    const confirmations = request.events.map(({ event, isBulky }, index) => {
      const partition = partitions[index];
      const name = isBulky ? "bulky" : String(this.#turn % INGEST_LIMITS.sharedProducers);
      const producer = this.#sharedProducer(name);
      return producer
        .sendAndConfirm(event, {
          stream,
          ...(partition === undefined ? {} : { partition }),
          ...(traceparent === undefined ? {} : { traceparent }),
        })
        .catch(() => {
          // The producer has stopped: the next request makes another.
          if (this.#shared.get(name) === producer) this.#shared.delete(name);
          this.#open.delete(producer);
          return UNKNOWN;
        });
    });
    return this.#answer(request, partitions, await this.#inTime(confirmations), false);
  }

  #sharedProducer(name: string): Producer {
    const known = this.#shared.get(name);
    if (known !== undefined) return known;
    this.#sharedCount += 1;
    const producer = this.#producer(
      {
        producerId: `ingest/${this.#options.node}/${name}/${this.#sharedCount % INGEST_LIMITS.sharedNames}`,
        instance: this.#options.newId(),
        lingerMs: INGEST_LIMITS.sharedLingerMs,
        tracesApart: true, // requests of other principals share the producer
        bufferBytesMax: INGEST_LIMITS.sharedBufferBytesMax,
        ...(name === "bulky" ? { batchEventsMax: 1 } : {}),
      },
      (refused) => {
        if (this.#shared.get(name) === refused) this.#shared.delete(name);
      },
    );
    this.#shared.set(name, producer);
    return producer;
  }

  /** A producer that is closed once a partition has refused its events. */
  #producer(
    options: Omit<ProducerOptions, "connect" | "addresses">,
    onRefused: (producer: Producer) => void = () => undefined,
    of: { readonly connect: Connect; readonly refusals?: PartitionRefusals } = this.#options,
  ): Producer {
    const giveUp = () => {
      onRefused(producer);
      this.#givenUp.add(producer);
      void producer.close({ timeoutMs: INGEST_LIMITS.refusedGraceMs }).finally(() => this.#open.delete(producer));
    };
    const connect = this.#refusals.hear(of.connect, giveUp, of.refusals);
    const producer = new Producer({ connect, addresses: ["this node"], client: "http", ...options });
    this.#open.add(producer);
    return producer;
  }

  #answer(
    request: IngestRequest,
    places: readonly (number | undefined)[],
    outcomes: readonly Outcome[],
    isReplayed: boolean,
    own?: PartitionRefusals,
  ): IngestAnswer {
    const refusalOf = (partition: number | undefined) =>
      partition === undefined
        ? this.#refusals.anyOf(request.stream)
        : (this.#refusals.of(request.stream, partition) ?? own?.of(request.stream, partition));
    const answer = answerOf(request.events, places, outcomes, refusalOf, isReplayed);
    if (answer.refusal !== undefined && answer.refused.length === request.events.length) throw answer.refusal;
    return answer;
  }

  // With a key ------------------------------------------------------------------------------------------------------

  async #appendKeyed(
    request: IngestRequest,
    partitions: readonly (number | undefined)[],
    idempotency: IdempotentRequest,
  ): Promise<IngestAnswer> {
    await this.#turns.enter();
    try {
      this.#refuseClosed(request);
      const { connect, connectFor } = this.#options;
      const refusals = this.#newRefusals();
      const options = {
        ...producerOf(request.stream, idempotency), // K1
        stream: request.stream,
        lingerMs: 0,
        bufferEventsMax: REQUEST_EVENTS_MAX,
      };
      const { owner } = idempotency;
      const of = { connect: owner === undefined ? connect : connectFor(owner), refusals };
      const producer = this.#producer(options, undefined, of);
      try {
        return await this.#appendWith(producer, request, partitions, refusals);
      } finally {
        void producer.close({ timeoutMs: 0 });
        this.#open.delete(producer);
      }
    } finally {
      this.#turns.leave();
    }
  }

  async #appendWith(
    producer: Producer,
    request: IngestRequest,
    partitions: readonly (number | undefined)[],
    refusals: PartitionRefusals,
  ): Promise<IngestAnswer> {
    const { stream, traceparent } = request;
    let isReused = false;
    const lasts = new Map<number, number>();
    for (const [index, partition] of partitions.entries()) lasts.set(partition ?? 0, index);
    const replays = [...lasts].map(([partition, last]) =>
      producer.open(stream, partition).then(
        ({ lastSequence }) => lastSequence !== undefined && lastSequence[1] >= last,
        () => false,
      ),
    );
    const confirmations = request.events.map(({ event }, index) =>
      producer
        .sendAndConfirm(event, {
          partition: partitions[index] ?? 0,
          sequence: [0, index, 0], // K2
          ...(traceparent === undefined ? {} : { traceparent }),
        })
        .catch((error: unknown) => {
          const isFenced = error instanceof FencedError && error.code === "PRODUCER_FENCED";
          isReused ||= isFenced && !this.#givenUp.has(producer);
          return UNKNOWN;
        }),
    );
    const outcomes = await this.#inTime(confirmations);
    if (isReused) {
      throw new RejectedError(
        "IDEMPOTENCY_KEY_REUSED",
        "Cannot append as an Idempotency-Key must name one payload: it was used with another one within the last hour",
      );
    }
    const isSettled = outcomes.every(({ kind }) => kind !== "unknown");
    const isReplayed = isSettled && (await Promise.all(replays)).every((isStored) => isStored);
    return this.#answer(request, partitions, outcomes, isReplayed, refusals);
  }

  #inTime(confirmations: readonly Promise<Outcome>[]): Promise<readonly Outcome[]> {
    return outcomesWithin(confirmations, this.#options.answerWithinMs ?? INGEST_LIMITS.answerWithinMs);
  }
}
