import { test } from "uvu";
import * as assert from "uvu/assert";
import { createActorSystem } from "../../../actors/kernel/actor_system.ts";
import type { OutboxReport } from "../../../actors/pipeline/outbox/outbox_messages.ts";
import { outboxActor, outboxChannel } from "../../../actors/pipeline/outbox_actor.ts";
import { FakePartition } from "../../../supervisors/conformance/parts/fake_feed.ts";
import { fakePipeline } from "../../support/fakes/fake_pipeline.ts";
import { fakeWorld } from "../../support/fakes/fake_world.ts";
import { atRest, until } from "../../support/until.ts";

test("a step that never answers is told with its record, and the record is run again from the stored state (B3)", async () => {
  const world = fakeWorld();
  const system = await createActorSystem({ world });
  const partition = new FakePartition();
  partition.store("records", 1, [{ n: 0 }, { n: 1 }]);
  const hanging: (() => void)[] = [];
  let runs = 0;
  const pipeline = fakePipeline("slow", () => ({
    run: async (event) => {
      runs += 1;
      if (event.n === 1 && hanging.length === 0) await new Promise<void>((resolve) => hanging.push(resolve));
      return [event];
    },
  }));
  const reports: OutboxReport[] = [];
  const feed = partition.feed(1);
  system.spawn(
    outboxActor({
      pipeline,
      feed,
      timeOf: (_, appendedAtMs) => appendedAtMs,
      observe: (report) => reports.push(report),
    }),
  );
  await until(() => hanging.length === 1);
  for (let times = 0; times < 3; times += 1) {
    world.advance(30_000);
    await atRest();
  }
  const retry = reports.find(({ kind }) => kind === "retry");
  assert.match(
    retry?.kind === "retry" ? retry.reason : "",
    /Cannot run pipeline slow on .* at offset 1 as its steps must answer within 30000 ms/,
  );
  world.advance(60_000);
  await until(() => partition.batches.has(outboxChannel("slow")));
  assert.is(partition.end(outboxChannel("slow")), 2, "each output once");
  const before = runs;
  hanging[0]?.(); // the answer that comes too late goes nowhere
  await atRest();
  assert.is(runs, before);
  await system.shutdown();
});

test.run();
