/** The places that the sources of the house read: a file, and a redis-server of the test's own. */
import { appendFile, mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type AnySource, SOURCES } from "../../../actors/sources/registry.ts";
import { loadDriver } from "../../../deps.ts";
import type { SourceHarness, SourcePlace } from "../../../supervisors/conformance/conformance.ts";
import type { RedisServer } from "../../support/redis/redis_server.ts";

function ofRegistry(type: string): AnySource {
  const source = SOURCES.get(type);
  if (source === undefined) throw new Error(`no source ${type}`);
  return source;
}

export const fileHarness: SourceHarness = {
  name: "file",
  definition: ofRegistry("file"),
  async open() {
    const folder = await mkdtemp(join(tmpdir(), "headrace-sources-"));
    const path = join(folder, "app.log");
    return {
      options: { path, format: "ndjson", everyMs: 10 },
      put: (numbers) => appendFile(path, numbers.map((n) => `{"n":${n}}\n`).join("")),
      putMalformed: () => appendFile(path, "{ not JSON\n"),
      numberOf: (event) => Number(event.n),
      async goAway() {
        await rename(path, `${path}.away`);
        await mkdir(path);
        return async () => {
          await rm(path, { recursive: true });
          await rename(`${path}.away`, path);
        };
      },
      close: () => rm(folder, { recursive: true }),
    };
  },
};

/** A client for the test's part, as of the application whose streams are read. */
export async function applicationOf({ url }: Pick<RedisServer, "url">) {
  const { createClient } = await loadDriver("redis");
  const client = createClient({ url, socket: { reconnectStrategy: 10 } });
  client.on("error", () => undefined);
  await client.connect();
  return client;
}

export type Application = Awaited<ReturnType<typeof applicationOf>>;

let streams = 0;

/** Each trial has a stream of its own. A place that goes away is a server that is killed and started again. */
export function redisHarness(type: "redis" | "redis_group", server: RedisServer, app: Application): SourceHarness {
  return {
    name: type,
    definition: ofRegistry(type),
    async open(): Promise<SourcePlace> {
      const stream = `orders:${++streams}`;
      const common = {
        options: { url: server.url, streams: [stream], payload: "event", ...(type === "redis" ? {} : { group: "g" }) },
        shard: stream,
        put: async (numbers: readonly number[]) => {
          await Promise.all(numbers.map((n) => app.xAdd(stream, "*", { event: JSON.stringify({ n }) })));
        },
        putMalformed: async () => void (await app.xAdd(stream, "*", { event: "{ not JSON" })),
        numberOf: (event: { readonly n?: unknown }) => Number(event.n),
        goAway: async () => {
          await server.kill();
          return async () => {
            await server.restart();
            await until(() => app.isReady);
          };
        },
        close: async () => {},
      };
      if (type === "redis") return common;
      return {
        ...common,
        unacknowledged: async () => Number(((await app.xPending(stream, "g")) as { pending: number }).pending),
      };
    },
  };
}

async function until(isDone: () => boolean): Promise<void> {
  while (!isDone()) await new Promise((resolve) => setImmediate(resolve));
}
