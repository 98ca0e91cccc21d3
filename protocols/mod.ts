/** The public API of Headrace's clients, for Node, Deno and browsers. docs/protocol.md describes their protocol. */

export type { ConnectionState } from "./client/connection_state.ts";
export {
  type ConsumedItem,
  Consumer,
  type ConsumerOptions,
  type SubscribeOptions,
} from "./client/consumer/consumer.ts";
export type { ConsumedRecord } from "./client/consumer/read_records.ts";
export type { Confirmation } from "./client/producer/event_batcher.ts";
export {
  type InDoubtEvent,
  type OpenedPartition,
  Producer,
  type ProducerOptions,
  type ProducerOutcome,
  type RejectedEvent,
  type SendOptions,
} from "./client/producer/producer.ts";
export {
  connectWebSocket,
  type WebSocketConstructor,
  type WebSocketLike,
  type WebSocketOptions,
} from "./client/websocket_connection.ts";
export { type Clock, SYSTEM_CLOCK } from "./clock.ts";
export type { Connect, Connection, ConnectionEvents } from "./connection.ts";
export * from "./errors.ts";
export type { Event, Verdict } from "./event.ts";
export { formatPointer, keyOf, murmur3, parsePointer, partitionOfKey } from "./partitioner.ts";
export { comparePositions, type Epoch, type Offset, type Position, position } from "./position.ts";
export { compareSequences, type Sequence, type Sequences } from "./sequence.ts";
export {
  countEvents,
  type DecodedEvents,
  decodeEvents,
  EVENT_LIMITS,
  type EventLimits,
  encodeEvents,
} from "./values/event_codec.ts";
export { eventJson, jsonEvent } from "./values/json_event.ts";
export { sliceEvent, sliceEvents } from "./values/slice_events.ts";
export { type EventInput, UnreadableInput } from "./values/unreadable.ts";
export { decodeFrame, encodeFrame, FRAME_LIMITS, type FrameLimits, wireBytes } from "./wire/codec.ts";
export * from "./wire/frames.ts";
