/** The part of the store on Redis that belongs to no partition: welcomed producers, and metadata. */
import type { Log, Metadata } from "../log.ts";
import { EPOCH_AHEAD_MS_MAX, producerKeptMs } from "../rules/welcome.ts";
import type { RedisConnection } from "./redis_connection.ts";
import { fieldsOf } from "./redis_replies.ts";

export class RedisRegistry {
  readonly #redis: RedisConnection;
  readonly #metadata: string;

  constructor(redis: RedisConnection) {
    this.#redis = redis;
    this.#metadata = `${redis.prefix}metadata`;
  }

  readonly welcomeProducer: Log["welcomeProducer"] = async (producerId, instance, heldEpoch, _nowMs, owner) => {
    const { prefix } = this.#redis;
    const keptMs = String(producerKeptMs(producerId));
    if (owner !== undefined) {
      // Names are counted without a bound too, so that a bound configured later counts the existing names.
      const { subject, producersMax: max = Number.MAX_SAFE_INTEGER } = owner;
      const place = [producerId, keptMs, String(max)];
      const taken = await this.#redis.write("take_place", [`${prefix}producers-of:${subject}`], place);
      if (String((taken as Buffer[])[0]) === "crowded") return { kind: "crowded", max };
    }
    const args = [instance, String(heldEpoch ?? ""), keptMs, owner?.subject ?? "", String(EPOCH_AHEAD_MS_MAX)];
    const reply = await this.#redis.write("welcome_owned", [`${prefix}producer:${producerId}`], args);
    const [status, value] = reply as Buffer[];
    switch (String(status)) {
      case "ok":
        return { kind: "welcomed", producerEpoch: Number(value) };
      case "fenced":
        return { kind: "fenced", current: Number(value) };
      case "unknown":
        return { kind: "unknown_epoch", max: Number(value) };
      default:
        return { kind: "owned" };
    }
  };

  readonly readMetadata: Log["readMetadata"] = async (key) => {
    const text = (await this.#redis.read(["HGET", this.#metadata, key])) as Buffer | null;
    return text === null ? undefined : metadataOf(text);
  };

  readonly listMetadata: Log["listMetadata"] = async (prefix) => {
    const fields = (await this.#redis.read(["HGETALL", this.#metadata])) as Buffer[];
    const found = [...fieldsOf(fields)].filter(([name]) => name.startsWith(prefix));
    return new Map(found.map(([name, value]) => [name, metadataOf(value)]));
  };

  readonly writeMetadata: Log["writeMetadata"] = async (key, value, expectedVersion) => {
    const args = [key, String(expectedVersion), Buffer.from(value)];
    const [status, version] = (await this.#redis.write("write_metadata", [this.#metadata], args)) as Buffer[];
    return String(status) === "ok" ? Number(version) : undefined;
  };
}

/** Reads a version and a value, as the function `write_metadata` joins them. */
function metadataOf(text: Buffer): Metadata {
  const space = text.indexOf(0x20);
  return { version: Number(text.subarray(0, space).toString()), value: text.subarray(space + 1) };
}
