/** The public API of Headrace's clients: runs in Node, Deno and browsers. docs/protocol.md is what they speak. */
export { type Clock, SYSTEM_CLOCK } from "./clock.ts";
export { decodeFrame, encodeFrame, FRAME_LIMITS, type FrameLimits, wireBytes } from "./codec.ts";
export type { Connect, Connection, ConnectionEvents } from "./connection.ts";
export type { ConnectionState } from "./connection_state.ts";
export { type ConsumedItem, Consumer, type ConsumerOptions, type SubscribeOptions } from "./consumer.ts";
export * from "./errors.ts";
export type { Event, Verdict } from "./event.ts";
export type { Confirmation } from "./event_batcher.ts";
export {
  countEvents,
  type DecodedEvents,
  decodeEvents,
  EVENT_LIMITS,
  type EventLimits,
  encodeEvents,
} from "./event_codec.ts";
export * from "./frames.ts";
export { eventJson, jsonEvent } from "./json_event.ts";
export { formatPointer, keyOf, murmur3, parsePointer, partitionOfKey } from "./partitioner.ts";
export { comparePositions, type Epoch, type Offset, type Position, position } from "./position.ts";
export {
  type InDoubtEvent,
  type OpenedPartition,
  Producer,
  type ProducerOptions,
  type ProducerOutcome,
  type RejectedEvent,
  type SendOptions,
} from "./producer.ts";
export type { ConsumedRecord } from "./read_records.ts";
export { compareSequences, type Sequence, type Sequences } from "./sequence.ts";
export { sliceEvent, sliceEvents } from "./slice_events.ts";
export { type EventInput, UnreadableInput } from "./unreadable.ts";
export {
  connectWebSocket,
  type WebSocketConstructor,
  type WebSocketLike,
  type WebSocketOptions,
} from "./websocket_connection.ts";
