/** `headrace streams`: lists the streams of a node with their sizes. */
import type { Command } from "commander";
import { addNodeOptions, type NodeOptions, nodeClient, type StreamStanding } from "../console/node_client.ts";
import { type Column, print, printJson, sizeText, table } from "../console/output.ts";

interface StreamsOptions extends NodeOptions {
  readonly json?: boolean;
}

export function addStreams(program: Command): void {
  const streams = addNodeOptions(program.command("streams").description("List streams, or describe one."))
    .option("--json", "print one line of JSON for each")
    .addHelpText(
      "after",
      "\nExamples:\n  headrace streams\n  headrace streams describe orders\n  headrace streams --json",
    )
    .action(list);
  addNodeOptions(
    streams
      .command("describe")
      .description("Offsets, sizes, schema versions and rejected events of each partition.")
      .argument("<stream>", "stream to describe"),
  )
    .option("--json", "print one line of JSON")
    .addHelpText("after", "\nExample:\n  headrace streams describe orders")
    .action((stream: string, _options: StreamsOptions, command: Command) =>
      describe(stream, command.optsWithGlobals<StreamsOptions>()),
    );
}

const sum = (stream: StreamStanding, of: (partition: StreamStanding["partitions"][number]) => number): number =>
  stream.partitions.reduce((total, partition) => total + of(partition), 0);

const recordCount = ({ firstOffset = 0, endOffset = 0 }: StreamStanding["partitions"][number]): number =>
  endOffset - firstOffset;

const STREAM_COLUMNS: readonly Column<StreamStanding>[] = [
  { title: "stream", cell: ({ name }) => name },
  { title: "partitions", isNumber: true, cell: ({ partitions }) => partitions.length },
  { title: "records", isNumber: true, cell: (stream) => sum(stream, recordCount) },
  { title: "rejected", isNumber: true, cell: (stream) => sum(stream, ({ rejected = 0 }) => rejected) },
  { title: "size", isNumber: true, cell: (stream) => sizeText(sum(stream, ({ sizeBytes = 0 }) => sizeBytes)) },
  { title: "key", cell: ({ key }) => key },
  { title: "schema versions", cell: ({ schemaVersions }) => schemaVersions.join(", ") || undefined },
];

const PARTITION_COLUMNS: readonly Column<StreamStanding["partitions"][number]>[] = [
  { title: "partition", isNumber: true, cell: ({ partition }) => partition },
  { title: "state", cell: ({ state }) => state },
  { title: "epoch", isNumber: true, cell: ({ epoch }) => epoch },
  { title: "first", isNumber: true, cell: ({ firstOffset }) => firstOffset },
  { title: "end", isNumber: true, cell: ({ endOffset }) => endOffset },
  { title: "records", isNumber: true, cell: recordCount },
  { title: "rejected", isNumber: true, cell: ({ rejected }) => rejected },
  { title: "size", isNumber: true, cell: ({ sizeBytes = 0 }) => sizeText(sizeBytes) },
];

async function list(options: StreamsOptions): Promise<void> {
  const client = await nodeClient(options);
  const { streams } = await client.get<{ readonly streams: readonly StreamStanding[] }>("/v1/streams");
  if (options.json === true) for (const stream of streams) await printJson(stream);
  else await print(streams.length === 0 ? "no streams" : table(STREAM_COLUMNS, streams));
}

async function describe(name: string, options: StreamsOptions): Promise<void> {
  const stream = await (await nodeClient(options)).stream(name);
  if (options.json === true) return await printJson(stream);
  await print(
    `${stream.name}: key ${stream.key ?? "none"}, schema versions ${stream.schemaVersions.join(", ") || "none"}`,
  );
  await print(table(PARTITION_COLUMNS, stream.partitions));
}
