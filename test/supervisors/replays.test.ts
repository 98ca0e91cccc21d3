import { test } from "uvu";
import * as assert from "uvu/assert";
import { createMemoryLog } from "../../actors/log/memory_log.ts";
import { type ReplayParts, Replays } from "../../supervisors/replays.ts";

/** A replay as version 1 stores it. */
const SAMPLE = `{"version":1,"name":"monday","stream":"orders","channel":"records","from":{"offset":10},"sink":"out",
"ranges":[{"partition":0,"after":{"epoch":3,"offset":9},"last":{"epoch":4,"offset":29}},{"partition":1,"after":null,"last":null}],
"state":"done","createdAtMs":1764000000000,"counts":{"deliveredRecords":19,"deadLetters":1,"skippedLetters":0}}`;

async function started(stored: string): Promise<Replays> {
  const log = createMemoryLog({ clock: () => 0 });
  await log.writeMetadata("replay/monday", new TextEncoder().encode(stored), 0);
  // A replay that is done starts nothing, and needs nothing else.
  return await Replays.start({ log } as unknown as ReplayParts);
}

test("a replay stored in format 1 is read, and one that is done starts nothing", async () => {
  const replays = await started(SAMPLE);
  const { state, records, doneRecords, deliveredRecords, deadLetters } = replays.get("monday");
  assert.equal([state, records, doneRecords, deliveredRecords, deadLetters], ["done", 20, 20, 19, 1]);
  assert.is(replays.list().length, 1);
});

test("a replay of a newer format is refused", async () => {
  const error = await started(SAMPLE.replace('"version":1', '"version":2')).then(
    () => assert.unreachable(),
    (thrown: Error & { code?: string }) => thrown,
  );
  assert.is(error?.code, "FORMAT_TOO_NEW");
});

test.run();
