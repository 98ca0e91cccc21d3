/** The state of the producer's machine: its links, its chains and their batches. */
import { partitionName } from "../../position.ts";
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
  /** The epoch in the node's welcome. All nodes that share a log give the same. */
  producerEpoch: number | undefined;
  readonly credit: AppendCredit;
  /** True where a chain on this link could not send for lack of credit. */
  isStarved: boolean;
}

/** A producer's chain in one partition, as its machine knows it. */
export interface Chain {
  readonly key: string;
  readonly stream: string;
  readonly partition: number;
  /** Name of the link that the chain's batches are sent on. */
  link: string;
  phase: "closed" | "opening" | "open" | "waiting";
  /** Address of the owner that the chain goes to after its wait; undefined to stay on its link. */
  nextAddress: string | undefined;
  /** Addresses asked since the chain last waited or had an ack: going to one of them again takes a wait. */
  readonly askedAt: Set<string>;
  /** True where the chain was on another link before: a late answer to an earlier `open` may still arrive. */
  hasMoved: boolean;
  /** The highest producer epoch that the chain was opened with. */
  openedEpoch: number;
  /** Batches without an ack, in order. The first `sent` of them were sent on this link. */
  readonly queue: QueuedBatch[];
  sent: number;
  /** The last sequence that the log is known to hold: the head of the queue follows it. */
  previous: Sequence | undefined;
  /** When the log was last known to hold this chain. */
  touchedAtMs: number;
  /** The last sequence given to a batch of a plain producer; undefined before the chain was first opened. */
  counted: Sequence | undefined;
  isCounting: boolean;
  /** True while appends go one at a time, to learn which batch the node refuses. */
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
  /** The highest producer epoch that a node gave this instance. */
  producerEpoch: number | undefined;
  dedupeWindowMs: number;
  readonly stopsAtLoss: boolean;
  readonly links: Links<ProducerLink>;
  readonly chains: Map<string, Chain>;
}

type ProducerIdentity = Pick<ProducerState, "client" | "producerId" | "instance" | "dedupeWindowMs"> & {
  readonly addresses: readonly string[];
  readonly token?: string | undefined;
  readonly producerEpoch?: number | undefined;
  readonly ownersMax?: number;
  readonly forward?: boolean | undefined;
  readonly stopsAtLoss?: boolean | undefined;
};

/** A link with nothing sent on it yet. The default time of silence is for a client that knows another node. */
export const createProducerLink = (name: string, silenceMs: number = SILENCE_ELSEWHERE_MS): ProducerLink => ({
  ...createLink(name, silenceMs),
  producerEpoch: undefined,
  credit: new AppendCredit(),
  isStarved: false,
});

export function createProducer(identity: ProducerIdentity): ProducerState {
  const { addresses, ownersMax, forward, token, producerEpoch, stopsAtLoss = false, ...about } = identity;
  const home = createProducerLink(HOME, addresses.length > 1 ? SILENCE_ELSEWHERE_MS : SILENCE_MS);
  const links = createLinks(home, addresses, { ownersMax, isStaying: forward });
  return { isStopped: false, ...about, token, producerEpoch, stopsAtLoss, links, chains: new Map() };
}

export const createChain = (stream: string, partition: number): Chain => ({
  key: partitionName({ stream, partition }),
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
