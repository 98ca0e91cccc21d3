import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { deliveryFolder } from "../../../actors/sinks/file/file_layout.ts";
import { type AnySink, SINKS } from "../../../actors/sinks/registry.ts";
import { stdoutSinkTo } from "../../../actors/sinks/stdout_sink.ts";
import { loadDriver } from "../../../deps.ts";
import { partitionId } from "../../../protocols/position.ts";
import { visibleText } from "../../../protocols/values/visible_text.ts";
import { plainEvent, type SinkHarness, sinkCases } from "../../../supervisors/conformance/conformance.ts";
import { mixedUp } from "../../../supervisors/conformance/sinks/sink_apart.ts";
import { runningNode } from "../../support/processes/running_node.ts";
import { readFileSink } from "../../support/read_file_sink.ts";

const PARTITION = { stream: "readings", partition: partitionId(0) };

function ofRegistry(type: string): AnySink {
  const sink = SINKS.get(type);
  if (sink === undefined) throw new Error(`no sink ${type}`);
  return sink;
}

/** The text of an event that the http endpoint refuses. */
const REFUSED = "refuse this";

const linesOf = (text: string): string[] => text.split("\n").slice(0, -1);

function fileHarness(format: "ndjson" | "csv", read: (text: string) => Promise<unknown[]>): SinkHarness {
  return {
    name: `file, ${format}`,
    delivery: "transactional",
    expected: (odd) => (format === "csv" ? odd.csv : odd.json),
    async open() {
      const directory = mkdtempSync(join(tmpdir(), "headrace-sinks-"));
      return {
        sink: ofRegistry("file"),
        options: { directory, format, ...(format === "csv" ? { columns: ["odd", "toString", "__proto__"] } : {}) },
        held: async (checkpoint, as) => {
          const root = deliveryFolder(directory, as === undefined ? {} : { as });
          const texts = await readFileSink(root, PARTITION, checkpoint, format);
          return (await Promise.all(texts.map(read))).flat();
        },
        close: async () => rmSync(directory, { recursive: true }),
      };
    },
  };
}

/**
 * The first cell of each row. The other two columns are no fields of the events, though every object inherits such
 * names.
 */
async function cellsOf(text: string): Promise<unknown[]> {
  const { parse } = await loadDriver("csv-parse");
  const rows: string[][] = [];
  const parser = parse(text, { record_delimiter: "\r\n" });
  for await (const row of parser) rows.push(row as string[]);
  assert.equal(rows[0], ["odd", "toString", "__proto__"]);
  return rows.slice(1).map(([odd, inherited]) => {
    assert.is(inherited, "");
    return odd;
  });
}

const httpHarness = (recordsPerRequest: number): SinkHarness => ({
  name: `http, ${recordsPerRequest} a request`,
  delivery: "idempotent",
  expected: ({ json, traceparent }) => (traceparent === undefined ? json : undefined),
  refused: plainEvent(REFUSED),
  async open() {
    const lines: string[] = [];
    const keys = new Set<unknown>();
    let isAway = false;
    const server = createServer(async (request, response) => {
      let body = "";
      for await (const chunk of request.setEncoding("utf8")) body += chunk;
      if (isAway) return void request.socket.destroy();
      if (body.includes(REFUSED)) return void response.writeHead(422).end("refused");
      const key = request.headers["idempotency-key"];
      if (!keys.has(key)) lines.push(...linesOf(body));
      keys.add(key);
      response.end();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const close = async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    };
    const setAway = async (is: boolean) => {
      isAway = is;
    };
    return { sink: ofRegistry("http"), options: { url, recordsPerRequest }, setAway, held: async () => lines, close };
  },
});

/** The line as printed: characters that steer a terminal are escaped, and the JSON means the same. */
function asPrinted(json: string): string {
  const printed = visibleText(json);
  assert.equal(JSON.parse(printed), JSON.parse(json));
  return printed;
}

const stdoutHarness: SinkHarness = {
  name: "stdout",
  delivery: "at_least_once",
  expected: ({ json }) => (typeof json === "string" ? asPrinted(json) : json),
  async open() {
    let printed = "";
    const print = async (text: string) => {
      printed += text;
    };
    return {
      sink: stdoutSinkTo(print) as AnySink,
      options: {},
      held: async () => linesOf(printed),
      close: async () => {},
    };
  },
};

const streamHarness: SinkHarness = {
  name: "stream",
  delivery: "transactional",
  expected: ({ stream }) => stream,
  async open() {
    const node = await runningNode(
      "log: { type: memory }\nstreams: { derived: { partitions: 1, durability: memory } }\n",
    );
    const records = async () => {
      const path = "/v1/streams/derived/partitions/0/records?limit=1000";
      const answer = (await (await fetch(`${node.address}${path}`)).json()) as { records: { event: unknown }[] };
      return answer.records.map(({ event }) => event);
    };
    return {
      sink: ofRegistry("stream"),
      options: { stream: "derived" },
      connect: node.connectWithEpoch,
      held: records,
      close: async () => void (await node.end()),
    };
  },
};

const HARNESSES: Readonly<Record<string, readonly SinkHarness[]>> = {
  drop: [], // it keeps no record that a suite could look at
  file: [fileHarness("ndjson", async (text) => linesOf(text)), fileHarness("csv", cellsOf)],
  http: [httpHarness(1), httpHarness(7)],
  stdout: [stdoutHarness],
  stream: [streamHarness],
};

test("every kind of sink runs the suite", () => {
  assert.equal(Object.keys(HARNESSES).sort(), [...SINKS.keys()].sort());
});

for (const harness of [streamHarness, httpHarness(1)]) {
  test(`a ${harness.name} sink that does not look at the name of a delivery is caught (sink S12)`, async () => {
    const target = await harness.open();
    const { open } = target.sink;
    const sink: AnySink = {
      ...target.sink,
      open: (options, { as: _, ...context }, call) => open(options, context as never, call),
    } as AnySink;
    try {
      assert.type(await mixedUp(harness, { ...target, sink }), "string");
    } finally {
      await target.close();
    }
  });
}

test("every kind of sink of the house keeps deliveries apart (sink S12)", () => {
  for (const { keepsDeliveriesApart } of SINKS.values()) assert.is(keepsDeliveriesApart, true);
});

for (const { name, run } of Object.values(HARNESSES).flat().flatMap(sinkCases)) test(name, run);

test.run();
