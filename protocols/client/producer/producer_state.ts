/** What the producer's machine holds: its links, its chains and their batches. */

import type { Sequence } from "../../sequence.ts";
import { createLink, type Link, SILENCE_ELSEWHERE_MS, SILENCE_MS } from "../link.ts";
import { createLinks, HOME, type Links } from "../links.ts";
import { AppendCredit } from "./append_credit.ts";
import type { QueuedBatch } from "./queued_batch.ts";

export const PRODUCER_LIMITS = {
  /** Appends under way on one chain: enough to cover a long round trip with batches of ordinary size. */
  appendsInFlightMax: 64,
  retryFirstMs: 20,
  retryMaxMs: 2_000,
} as const;

export interface ProducerLink extends Link {
  /** As its node gave it; the same at every node that shares a log. */
  producerEpoch: number | undefined;
  readonly credit: AppendCredit;
  /** A chain could not send for want of credit. */
  isStarved: boolean;
}

export interface Chain {
  readonly key: string;
  readonly stream: string;
  readonly partition: number;
  /** Name of the link that it is sent on. */
  link: string;
  phase: "closed" | "opening" | "open" | "waiting";
  /** Where it goes once it has waited, if elsewhere. */
  nextAddress: string | undefined;
  /** Where it was asked for since it last waited, or got on: not gone to again at once. */
  readonly askedAt: Set<string>;
  /** It was on another link before: an answer of then may still be under way. */
  hasMoved: boolean;
  /** The highest producer epoch that it was opened with. */
  openedEpoch: number;
  /** Not acknowledged yet, in order; the first `sent` of them are under way on this link. */
  readonly queue: QueuedBatch[];
  sent: number;
  /** The sequence that the head of the queue follows: acknowledged by, or found in, the log. */
  previous: Sequence | undefined;
  /** When the log was last known to hold this chain. */
  touchedAtMs: number;
  /** Last position given to a batch of a plain producer; undefined before the chain was first opened. */
  counted: Sequence | undefined;
  isCounting: boolean;
  /** One append at a time, to learn which one is refused. */
  isProbing: boolean;
  isWanted: boolean;
  tries: number;
}

export interface ProducerState {
  isStopped: boolean;
  readonly client: string;
  readonly producerId: string;
  readonly instance: string;
  readonly token: string | undefined;
  /** The highest that this instance was given. */
  producerEpoch: number | undefined;
  dedupeWindowMs: number;
  readonly links: Links<ProducerLink>;
  readonly chains: Map<string, Chain>;
}

export interface ProducerIdentity {
  readonly client: string;
  readonly producerId: string;
  readonly instance: string;
  readonly addresses: readonly string[];
  readonly token?: string | undefined;
  readonly producerEpoch?: number | undefined;
  readonly dedupeWindowMs: number;
  readonly ownersMax?: number;
  readonly forward?: boolean | undefined;
}

/** An owner's link, or home where there are several addresses: there is elsewhere to go. */
export const createProducerLink = (name: string, silenceMs: number = SILENCE_ELSEWHERE_MS): ProducerLink => ({
  ...createLink(name, silenceMs),
  producerEpoch: undefined,
  credit: new AppendCredit(),
  isStarved: false,
});

export function initialProducer(identity: ProducerIdentity): ProducerState {
  const { client, producerId, instance, token, producerEpoch, dedupeWindowMs, addresses, ownersMax, forward } =
    identity;
  const home = createProducerLink(HOME, addresses.length > 1 ? SILENCE_ELSEWHERE_MS : SILENCE_MS);
  const links = createLinks(home, addresses, { ownersMax, isStaying: forward });
  return {
    isStopped: false,
    client,
    producerId,
    instance,
    token,
    producerEpoch,
    dedupeWindowMs,
    links,
    chains: new Map(),
  };
}

export const chainKey = (stream: string, partition: number): string => `${stream}/${partition}`;

export const createChain = (stream: string, partition: number): Chain => ({
  key: chainKey(stream, partition),
  stream,
  partition,
  link: HOME,
  phase: "closed",
  nextAddress: undefined,
  askedAt: new Set(),
  hasMoved: false,
  openedEpoch: 0,
  queue: [],
  sent: 0,
  previous: undefined,
  touchedAtMs: 0,
  counted: undefined,
  isCounting: false,
  isProbing: false,
  isWanted: false,
  tries: 0,
});
