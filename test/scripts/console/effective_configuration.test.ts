import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type ConfigurationOptions, effectiveConfiguration } from "../../../scripts/console/effective_configuration.ts";
import { EXIT, exitCodeOf } from "../../../scripts/console/exit_codes.ts";

let folder: string;
test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), "headrace-effective-"));
});
test.after(() => rm(folder, { recursive: true, force: true }));

const REDIS = "redis://127.0.0.1:6380";

async function effective(yaml: string, options: ConfigurationOptions) {
  const config = join(folder, "headrace.yaml");
  await writeFile(config, yaml);
  return await effectiveConfiguration({ config, ...options });
}

const refusal = (attempt: Promise<unknown>) =>
  attempt.then(
    () => "no error",
    (error: Error) => `${exitCodeOf(error)} ${error.message}`,
  );

test("a configuration for one node serves a cluster once --cluster names the shared Redis", async () => {
  const alone = await effective("log: { type: lmdb }\nstreams: { orders: { partitions: 3 } }\n", { cluster: REDIS });
  assert.equal(alone.log, { type: "redis", prefix: "headrace", url: REDIS });
  assert.is(alone.cluster?.zone, "default");
  assert.is(alone.streams.orders?.partitions, 3);
  assert.is(alone.folder, folder);
  const empty = await effective("", { cluster: REDIS });
  assert.is(empty.log.url, REDIS);
  assert.ok(empty.cluster !== undefined);
});

test("a configuration keeps its cluster section and its prefix under another Redis", async () => {
  const yaml = "log: { type: redis, url: 'redis://elsewhere', prefix: mine }\ncluster: { zone: east, capacity: 2 }\n";
  const { log, cluster } = await effective(yaml, { cluster: REDIS });
  assert.equal(log, { type: "redis", prefix: "mine", url: REDIS });
  assert.is(cluster?.zone, "east");
  assert.is(cluster?.capacity, 2);
});

test("a Redis on the command line replaces any address of Redis in the configuration", async () => {
  const cluster = "log: { type: redis, urls: ['redis://a:1', 'redis://b:1'] }\n";
  assert.equal((await effective(cluster, { cluster: REDIS })).log, { type: "redis", prefix: "headrace", url: REDIS });
  const sentinel = "log: { type: redis, sentinel: { master: m, urls: ['redis://a:1'] } }\n";
  assert.equal((await effective(sentinel, { cluster: REDIS })).log, { type: "redis", prefix: "headrace", url: REDIS });
});

test("without --cluster the configuration's own log is used", async () => {
  const { log, cluster } = await effective("log: { type: memory }\n", {});
  assert.is(log.type, "memory");
  assert.is(cluster, undefined);
});

test("a name on the command line is the node's", async () => {
  assert.is((await effective("node: { name: a }\n", { name: "b" })).node.name, "b");
  assert.is((await effective("node: { name: a }\n", {})).node.name, "a");
});

test("an invalid Redis address, an invalid name and an invalid configuration are refused, each with its code", async () => {
  assert.match(await refusal(effective("", { cluster: "127.0.0.1:6379" })), /^64 .*redis:\/\//);
  for (const address of ["http://u:geheim@h:1", "u:geheim@h:6379", "//u:geheim@h"]) {
    const said = await refusal(effective("", { cluster: address }));
    assert.match(said, /^64 .*…@h/);
    assert.not.match(said, /geheim/);
  }
  assert.match(await refusal(effective("", { name: "no/name" })), /^64 .*no\/name/);
  const faulty = await refusal(effective("streams: { s: { partitons: 1 } }\n", { cluster: REDIS }));
  assert.match(faulty, new RegExp(`^${EXIT.configuration} .*did you mean partitions`));
  assert.match(await refusal(effective("streams: [\n", { cluster: REDIS })), new RegExp(`^${EXIT.configuration} `));
  assert.match(
    await refusal(effectiveConfiguration({ config: join(folder, "none"), cluster: REDIS })),
    /^78 .*readable/,
  );
});

test.run();
