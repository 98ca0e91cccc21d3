/** The state of the consumer's machine: its links and its subscriptions, each with one part for each link. */
import type { SubscribeFrom } from "../../wire/frames.ts";
import { createLink, type Link, SILENCE_ELSEWHERE_MS, SILENCE_MS } from "../link.ts";
import { createLinks, HOME, type Links } from "../links.ts";
import type { SubscriptionRequest } from "./consumer_messages.ts";

export const CONSUMER_LIMITS = {
  retryFirstMs: 100,
  retryMaxMs: 5_000,
} as const;

/** The partitions of a subscription that are read on one link. */
export interface Part {
  readonly link: string;
  readonly partitions: number[];
  /** The part's number on its connection; undefined while the part is not subscribed. */
  wireId: number | undefined;
  /** Credit given and not yet used. The last frame may exceed it, so it may lie below 0. */
  outstandingBytes: number;
}

/** One subscription of the application, over all its partitions. */
export interface Subscription {
  readonly request: SubscriptionRequest;
  /** Where each partition resumes; filled once the stream's partitions are known. */
  readonly cursors: Map<number, SubscribeFrom>;
  /** The link that each partition is read on. */
  readonly links: Map<number, string>;
  /** Partitions that moved again before a record was read: the owner's address after the wait, or undefined to stay. */
  readonly waiting: Map<number, string | undefined>;
  /** Moves of a partition since its last record was read. */
  readonly moves: Map<number, number>;
  parts: readonly Part[];
  /** Received, and not yet consumed by the application. */
  heldBytes: number;
  tries: number;
}

export interface ConsumerState {
  isStopped: boolean;
  readonly client: string;
  readonly token: string | undefined;
  readonly links: Links<Link>;
  readonly subscriptions: Map<number, Subscription>;
  nextWireId: number;
  partitionCounts: ReadonlyMap<string, number>;
}

export function createConsumer(identity: {
  readonly client: string;
  readonly token: string | undefined;
  readonly addresses: readonly string[];
  readonly ownersMax?: number;
  readonly forward?: boolean | undefined;
}): ConsumerState {
  const { client, token, addresses, ownersMax, forward } = identity;
  const home = createLink(HOME, addresses.length > 1 ? SILENCE_ELSEWHERE_MS : SILENCE_MS);
  return {
    isStopped: false,
    client,
    token,
    links: createLinks(home, addresses, { ownersMax, isStaying: forward }),
    subscriptions: new Map(),
    nextWireId: 1,
    partitionCounts: new Map(),
  };
}

export const createSubscription = (request: SubscriptionRequest): Subscription => ({
  request,
  cursors: new Map(request.partitions.map(({ partition, from }) => [partition, from])),
  links: new Map(),
  waiting: new Map(),
  moves: new Map(),
  parts: [],
  heldBytes: 0,
  tries: 0,
});
