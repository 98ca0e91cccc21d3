import { test } from "uvu";
import * as assert from "uvu/assert";
import { createMemoryLog } from "../../../../actors/log/embedded/memory_log.ts";
import { readResumePoint } from "../../../../actors/sources/shard/resume_point.ts";

test("a life begins at the point that the last one stored", async () => {
  const log = createMemoryLog();
  const first = await readResumePoint(log, "s");
  assert.is(first.stored, undefined);
  await first.store({ at: 1 });
  await first.store({ at: 2 });
  assert.equal((await readResumePoint(log, "s")).stored, { at: 2 });
  assert.is((await readResumePoint(log, "s/shard")).stored, undefined);
});

test("of two nodes that run one source, the one that has not read the other's point cannot store its own", async () => {
  const log = createMemoryLog();
  const [one, two] = [await readResumePoint(log, "s"), await readResumePoint(log, "s")];
  await two.store({ at: 2 });
  const error = await one.store({ at: 1 }).catch((reason: Error) => reason);
  assert.match(String(error), /Cannot store where it resumes for s as one node alone may run it/);
  await two.store({ at: 3 });
  assert.equal((await readResumePoint(log, "s")).stored, { at: 3 });
});

test.run();
