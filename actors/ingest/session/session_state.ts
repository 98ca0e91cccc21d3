/** The state of the session machine, and the frames that its parts have in common. */
import { type HeadraceError, OverloadedError } from "../../../protocols/errors.ts";
import { cutText, FIELD_LIMITS } from "../../../protocols/limits.ts";
import type { Sequence } from "../../../protocols/sequence.ts";
import { closeCodeOf, closeReasonOf } from "../../../protocols/wire/closing.ts";
import {
  type ErrorFrame,
  type HelloFrame,
  MOVING_SINCE_MINOR,
  type MovingFrame,
  type NodeFrame,
  type WireVerdict,
} from "../../../protocols/wire/frames.ts";
import type { Permissions, SessionEnvironment } from "../session.ts";
import type { Draft } from "./append_draft.ts";
import type { CreditGrant } from "./credit_pool.ts";
import type { RecordsGrant } from "./records_budget.ts";
import type { About, SessionEffect } from "./session_messages.ts";
import type { Subscription } from "./subscription_machine.ts";

/** Bytes whose decoding is as much work as a small frame that is answered at once (N7). */
export const BYTES_OF_COST = 1_024;

export const costOfBytes = (wireBytes: number): number => Math.floor(wireBytes / BYTES_OF_COST);

export const SESSION_LIMITS = {
  /** Milliseconds from the upgrade to `hello`: a slow or silent client holds no place for longer. */
  helloWithinMs: 10_000,
  /**
   * The share of a connection's credit that one partition may hold while others are open (E19). Clients keep to three
   * quarters (docs/protocol.md). This is a little more, as the credit may shrink while their appends are on the way.
   */
  partitionShare: 7 / 8,
  subscriptionsMax: 64,
  /** Calls without an answer on one connection, besides appends: no credit bounds an `open`. */
  callsUnderWayMax: 4_096,
  subscriptionCreditBytesMax: 67_108_864,
} as const;

export type Awaited =
  | {
      readonly kind: "append";
      readonly chain: Chain;
      /** Bytes of credit that the joined frames took. */
      creditBytes: number;
      last: Sequence;
      readonly verdicts: readonly WireVerdict[];
    }
  | { readonly kind: "open" }
  | { readonly kind: "lost"; readonly to: Sequence };

/** A producer's chain in one partition, as this connection knows it since its `opened`. */
export interface Chain extends About {
  /** The sequence that the partition holds once all sent to it is written; undefined where that is not sure. */
  tail: Sequence | null | undefined;
  /** Appends without an answer, oldest first: a partition answers them in this order. */
  readonly unanswered: number[];
  /** Appends of this turn, on their way to the partition (N3). */
  gathered: Draft[];
  underWayBytes: number;
  /** The next owner's address that the producer was told, while the session watches the owner (N6). */
  toldNext: string | undefined;
}

export interface SessionProducer {
  readonly id: string;
  readonly epoch: number;
  /** The principal that the producer's places in partitions are counted for. */
  readonly owner?: string;
}

export interface SessionState {
  readonly environment: Pick<SessionEnvironment, "node" | "limits" | "directory" | "inspect" | "passesOn">;
  readonly credit: CreditGrant;
  /** Room for records on their way to this connection. */
  readonly records: RecordsGrant;
  phase: "greeting" | "welcoming" | "open" | "closing" | "closed";
  /** True after `goodbye`: the connection is then closed as done, and the client does not go to another node. */
  hasSaidGoodbye: boolean;
  permissions: Permissions | undefined;
  hello: HelloFrame | undefined;
  producer: SessionProducer | undefined;
  readonly awaited: Map<number, Awaited>;
  /** The chains that this connection has opened, by stream and partition. */
  readonly chains: Map<string, Map<number, Chain>>;
  /** Entries of `awaited` that no credit bounds. */
  callsUnderWay: number;
  nextRequestId: number;
  underWayBytes: number;
  /** Chains with appends of this turn. */
  readonly gathering: Chain[];
  readonly subscriptions: Map<number, Subscription>;
  /** A `records_overdue` is on its way. */
  isRecordsTimed: boolean;
}

/** @param credit append credit set aside for this connection */
export function createSession(
  environment: SessionState["environment"],
  credit: CreditGrant,
  records: RecordsGrant,
): SessionState {
  return {
    environment,
    credit,
    records,
    phase: "greeting",
    hasSaidGoodbye: false,
    permissions: undefined,
    hello: undefined,
    producer: undefined,
    awaited: new Map(),
    chains: new Map(),
    callsUnderWay: 0,
    nextRequestId: 1,
    underWayBytes: 0,
    gathering: [],
    subscriptions: new Map(),
    isRecordsTimed: false,
  };
}

export const chainOf = ({ chains }: SessionState, { stream, partition }: About): Chain | undefined =>
  chains.get(stream)?.get(partition);

export function addChain({ chains }: SessionState, chain: Chain): void {
  const ofStream = chains.get(chain.stream) ?? new Map<number, Chain>();
  chains.set(chain.stream, ofStream.set(chain.partition, chain));
}

export const isOnlyChain = ({ chains }: SessionState, { stream }: Chain): boolean =>
  chains.size === 1 && chains.get(stream)?.size === 1;

/** The partition as a client that follows owners sees it; undefined for a client whose frames are passed on. */
const followed = ({ environment, hello }: SessionState, { stream, partition }: About) =>
  environment.passesOn === true || hello?.forward === true
    ? undefined
    : environment.directory.partition(stream, partition);

/** The owner's address, for a client that follows owners. Undefined where the partition is served here or passed on. */
export const addressElsewhere = (state: SessionState, about: About) => followed(state, about)?.ownerAddress;

/** The next owner's address of a partition that is about to move, for a client that follows owners (N6). */
export const nextAddress = (state: SessionState, about: About): string | undefined =>
  (state.hello?.minor ?? 0) < MOVING_SINCE_MINOR ? undefined : followed(state, about)?.nextAddress;

export const movingFrame = ({ stream, partition }: About, address: string): MovingFrame => ({
  type: "moving",
  stream,
  partition,
  address,
});

/** `moved` carries no credit: a `credit` frame behind it gives the append's credit back. */
export function movedFrames(about: About, address: string | undefined, creditBytes: number): readonly NodeFrame[] {
  const { stream, partition } = about;
  const moved: NodeFrame = { type: "moved", stream, partition, ...(address === undefined ? {} : { address }) };
  return creditBytes === 0 ? [moved] : [moved, { type: "credit", creditBytes }];
}

export function errorFrame(error: HeadraceError, about?: About, creditBytes = 0): ErrorFrame {
  return {
    type: "error",
    code: error.code,
    message: cutText(error.message, FIELD_LIMITS.messageCharactersMax),
    ...(error instanceof OverloadedError ? { retryAfterMs: error.retryAfterMs } : {}),
    ...(about === undefined ? {} : { stream: about.stream, partition: about.partition }),
    ...(creditBytes === 0 ? {} : { creditBytes }),
  };
}

/** Tells the client the error, and ends the connection. */
export function refuseConnection(state: SessionState, error: HeadraceError): readonly SessionEffect[] {
  state.phase = "closing";
  return [
    { type: "send", frame: errorFrame(error) },
    { type: "close", code: closeCodeOf(error), reason: closeReasonOf(error) },
  ];
}
