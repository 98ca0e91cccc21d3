/**
 * Events that no decoder can read, among good events: each is set aside alone, and the events beside it can be read.
 */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import WebSocket from "ws";
import { Consumer, connectWebSocket, SUBPROTOCOL_MSGPACK } from "../../../protocols/mod.ts";
import { RawClient } from "../../support/clients/raw_client.ts";
import { eventually, runningNode } from "../../support/processes/running_node.ts";

const YAML = `
log: { type: memory }
streams: { s: { partitions: 1, durability: memory } }
pipelines:
  plain: { from: s, to: [straight] }
  steps: { from: s, steps: [{ map: { n: event.n } }], to: [mapped] }
sinks:
  straight: { type: file, directory: straight, format: ndjson, segmentBytesMax: 1 }
  mapped: { type: file, directory: mapped, format: ndjson, segmentBytesMax: 1 }
`;

/** Bytes of one event each, as another client sends them. */
const UNREADABLE: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    [0x00, 0x01, 0x42, 0x62, 0x65, 0x69, 0x70, 0x73, 0x74, 0x78, 0x7f, 0x80, 0xfe].flatMap((type) => {
      const hex = type.toString(16).padStart(2, "0");
      return [
        [`extension ${hex} of 1 byte`, `81a178d4${hex}40`],
        [`extension ${hex} of 4 bytes`, `81a178d6${hex}91a16101`],
        [`extension ${hex} of 3 bytes`, `81a178c703${hex}91a161`],
      ];
    }),
  ),
  "an extension alone": "d40100",
  "a key of bytes": "81c4016101",
  "a key that is nil": "81c001",
  "a key that is a list": "81910101",
  "a key that is a map": "8181010101",
  "a key that is an integer": "810101",
  "a key twice": "82a16101a16102",
  "bytes that are no UTF-8": "81a161a1ff",
};

test("an event that no decoder can read keeps no other event from sinks and readers", async () => {
  const node = await runningNode(YAML);
  const client = await RawClient.open(node.endpoint);
  const producerEpoch = await client.produceTo("raw", "s", 0);
  const hexes = Object.entries(UNREADABLE);
  const good = (n: number) => `81a16ecd${n.toString(16).padStart(4, "0")}`;
  for (const [n, [what, hex]] of hexes.entries()) {
    const answer = await client.ask({
      ...{ type: "append", stream: "s", partition: 0, producerEpoch },
      previousSequence: n === 0 ? null : [0, n * 3 - 1, 0],
      sequences: { first: [0, n * 3, 0], count: 3 },
      events: Buffer.from(`93${good(n * 2)}${hex}${good(n * 2 + 1)}`, "hex"),
    });
    assert.is(answer?.type, "ack", what);
    if (answer?.type !== "ack") continue;
    const refused = answer.verdicts?.map(({ sequence }) => sequence);
    assert.equal(refused, [[0, n * 3 + 1, 0]], what);
  }
  client.end();
  const expected = Array.from({ length: hexes.length * 2 }, (_, n) => n);

  const { records } = (await (await fetch(`${node.address}/v1/streams/s/partitions/0/records?limit=1000`)).json()) as {
    readonly records: readonly { readonly event: { readonly n: number } }[];
  };
  assert.equal(
    records.map(({ event }) => event.n),
    expected,
  );
  const consumer = new Consumer({
    connect: connectWebSocket({ subprotocol: SUBPROTOCOL_MSGPACK, webSocket: WebSocket as never }),
    addresses: [node.endpoint],
  });
  const seen: unknown[] = [];
  for await (const item of consumer.subscribe({ stream: "s", partitions: [0], from: "earliest" })) {
    if (item.kind === "records") seen.push(...item.records.map(({ event }) => event.n));
    if (seen.length >= expected.length) break;
  }
  consumer.close();
  assert.equal(seen, expected);
  await eventually(async () => {
    const { sinks } = (await (await fetch(`${node.address}/v1/sinks`)).json()) as {
      readonly sinks: readonly { readonly deliveredRecords: number }[];
    };
    return sinks.every(({ deliveredRecords }) => deliveredRecords === expected.length) ? true : undefined;
  });
  assert.equal(await node.stop(10_000), []);
  for (const sink of ["straight", "mapped"]) {
    const folder = join(node.folder, "data", sink, "s", "0");
    const names = (await readdir(folder)).filter((name) => name.endsWith(".ndjson")).sort();
    const texts = await Promise.all(names.map((name) => readFile(join(folder, name), "utf8")));
    const lines = texts.join("").trim().split("\n");
    assert.equal(
      lines.map((line) => (JSON.parse(line) as { n: number }).n),
      expected,
      sink,
    );
  }
  await node.end();
});

test.run();
