/** The doctor's checks of the configured Redis: its version, and its settings against the streams' tiers. */

import { masterOf } from "../../../actors/log/redis/redis_sentinel.ts";
import { loadDriver } from "../../../deps.ts";
import { reasonOf } from "../../../protocols/errors.ts";
import type { Configuration } from "../../../supervisors/configuration/configuration_schema.ts";
import type { Check } from "./doctor_machine.ts";

const CONNECT_WITHIN_MS = 5_000;
const VERSION_MIN = 7;

/** One Redis, every named node of a Redis Cluster, or the master that sentinels name. */
export async function checkRedis(configuration: Configuration): Promise<readonly Check[]> {
  const { url, urls, sentinel } = configuration.log;
  if (sentinel === undefined) {
    const checks = await Promise.all((urls ?? [url ?? ""]).map((one) => checkServer(configuration, one)));
    return checks.flat();
  }
  try {
    return await checkServer(configuration, await masterOf(sentinel));
  } catch (error) {
    const detail = reasonOf(error);
    const advice = "start the sentinels, or correct log.sentinel";
    return [{ name: `redis ${sentinel.master}`, verdict: "fail", detail, advice }];
  }
}

async function checkServer(configuration: Configuration, url: string): Promise<readonly Check[]> {
  const name = `redis ${withoutPassword(url)}`;
  const { createClient } = await loadDriver("redis");
  const client = createClient({
    url,
    socket: { connectTimeout: CONNECT_WITHIN_MS, reconnectStrategy: false },
  });
  // connect() throws the error. Without this listener the event would end the process.
  client.on("error", () => undefined);
  try {
    await client.connect();
    const version = /(?:redis|valkey)_version:(\S+)/.exec(await client.info("server"))?.[1] ?? "unknown";
    const setting = async (key: string) => (await client.configGet(key))[key] ?? "unknown";
    const settings = {
      appendonly: await setting("appendonly"),
      appendfsync: await setting("appendfsync"),
      policy: await setting("maxmemory-policy"),
    };
    return [judgeVersion(name, version), ...judgeSettings(configuration, settings)];
  } catch (error) {
    const detail = `cannot be used: ${error instanceof Error ? error.message || (error as NodeJS.ErrnoException).code : error}`;
    return [{ name, verdict: "fail", detail, advice: "start it, or correct log.url" }];
  } finally {
    client.destroy();
  }
}

function withoutPassword(url: string): string {
  if (!URL.canParse(url)) return url;
  const parsed = new URL(url);
  return `${parsed.protocol}//${parsed.host}`;
}

function judgeVersion(name: string, version: string): Check {
  const detail = `answers, version ${version}`;
  if (Number.parseInt(version, 10) >= VERSION_MIN) return { name, verdict: "ok", detail };
  return { name, verdict: "fail", detail, advice: `Redis ${VERSION_MIN}.0 or newer is needed` };
}

interface RedisSettings {
  readonly appendonly: string;
  readonly appendfsync: string;
  readonly policy: string;
}

function judgeSettings(configuration: Configuration, { appendonly, appendfsync, policy }: RedisSettings): Check[] {
  const streams = Object.entries(configuration.streams);
  const durable = streams.filter(([, { durability }]) => durability !== "memory").map(([name]) => name);
  const flushed = streams.filter(([, { durability }]) => durability === "fsync").map(([name]) => name);
  const judge = (name: string, isRight: boolean, value: string, wanted: string, why: string): Check => {
    if (isRight) return { name, verdict: "ok", detail: value };
    return { name, verdict: "fail", detail: `is ${value}: ${why}`, advice: `redis-cli config set ${wanted}` };
  };
  return [
    judge(
      "redis maxmemory-policy",
      policy === "noeviction",
      policy,
      "maxmemory-policy noeviction",
      "records could be evicted",
    ),
    judge(
      "redis appendonly",
      appendonly === "yes" || durable.length === 0,
      appendonly,
      "appendonly yes",
      `streams ${durable.join(", ")} promise more than memory`,
    ),
    judge(
      "redis appendfsync",
      appendfsync === "always" || (flushed.length === 0 && (appendfsync === "everysec" || durable.length === 0)),
      appendfsync,
      `appendfsync ${flushed.length > 0 ? "always" : "everysec"}`,
      flushed.length > 0
        ? `streams ${flushed.join(", ")} promise fsync (or declare durability: everysec)`
        : "nothing flushes it in time",
    ),
  ];
}
