/**
 * Writes ascending records to a file sink until it is killed, or for a number of commits: `file_sink_writer.ts <folder>
 * <owner epoch> [commits]`. Its checkpoint is a file replaced by rename. Prints each committed offset.
 */
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileSink } from "../../../actors/sinks/file/file_sink.ts";
import { epoch, partitionId } from "../../../protocols/position.ts";
import { sinkBatch } from "../fakes/fake_sink_context.ts";

const [folder = "", owner = "1", commits = "Infinity"] = process.argv.slice(2);
const file = join(folder, "checkpoint");
const checkpoint = {
  read: async () => (existsSync(file) ? new Uint8Array(readFileSync(file)) : undefined),
  write: async (value: Uint8Array) => {
    writeFileSync(`${file}.new`, value);
    renameSync(`${file}.new`, file);
  },
};
const sink = await fileSink.open(
  { directory: folder, segmentBytesMax: 2_000 },
  {
    name: "files",
    folder: "/",
    client: undefined,
    clusterId: "log-1",
    partition: { stream: "readings", partition: partitionId(0) },
    fence: epoch(Number(owner)),
    checkpoint,
    connect: () => Promise.reject(new Error("no node to connect to")),
    nowMs: () => Date.now(),
    setTimer: () => ({ cancel: () => {} }), // it is killed long before a segment is old
    log: () => {},
  },
);
for (let commit = 0; commit < Number(commits); commit += 1) {
  const predecessor = await sink.position();
  const from = (predecessor?.offset ?? -1) + 1;
  const batch = sinkBatch(Number(owner), from, from + 4);
  const outcome = await sink.write({ ...batch, predecessor });
  if (outcome.kind !== "written") throw new Error(outcome.kind);
  process.stdout.write(`${from + 4}\n`);
}
