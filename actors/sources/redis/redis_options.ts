/** The options of the sources `redis` and `redis_group`. */

export interface RedisStreamOptions {
  readonly url: string;
  readonly streams: readonly string[];
  readonly from?: "beginning" | "end";
  readonly payload?: string;
  readonly key?: string;
}

export interface RedisGroupOptions extends RedisStreamOptions {
  readonly group: string;
  readonly claimAfterMs?: number;
}

export const CLAIM_AFTER_MS = 60_000;

const PROPERTIES = {
  url: {
    type: "string",
    pattern: "^rediss?://",
    description:
      "Address of the Redis (7 or newer), such as `redis://127.0.0.1:6379`, with user and password where it asks for them.",
  },
  streams: {
    type: "array",
    items: { type: "string", minLength: 1, maxLength: 128 },
    minItems: 1,
    maxItems: 1_024,
    uniqueItems: true,
    description: "Keys of the streams to read. Each is a shard of the source; it need not exist yet.",
  },
  from: {
    enum: ["beginning", "end"],
    default: "beginning",
    description: "Where reading begins in a stream that was never read.",
  },
  payload: {
    type: "string",
    minLength: 1,
    description:
      "Field of an entry that holds the event, as JSON or MessagePack; the others are its headers. Without it, the event is a map of the entry's fields.",
  },
  key: {
    type: "string",
    minLength: 1,
    description: "Field of an entry that chooses the partition, where the stream to append to has no key.",
  },
} as const;

export const REDIS_OPTIONS = {
  type: "object",
  required: ["url", "streams"],
  properties: PROPERTIES,
  additionalProperties: false,
} as const;

export const REDIS_GROUP_OPTIONS = {
  type: "object",
  required: ["url", "streams", "group"],
  properties: {
    ...PROPERTIES,
    from: {
      ...PROPERTIES.from,
      description: "Where reading begins in a stream that does not have the group yet.",
    },
    group: {
      type: "string",
      minLength: 1,
      maxLength: 128,
      description: "Consumer group to read by. It is made where the stream does not have it.",
    },
    claimAfterMs: {
      type: "integer",
      minimum: 100,
      default: CLAIM_AFTER_MS,
      description:
        "Milliseconds after which entries that another consumer of the group has not acknowledged are taken over.",
    },
  },
  additionalProperties: false,
} as const;
