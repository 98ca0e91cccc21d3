/** Checkpoints: written alone or with an append, kept for the next owner, and removed. */
import * as assert from "uvu/assert";
import { offset } from "../../../protocols/position.ts";
import { type batch, dense } from "./log_batches.ts";
import { type LogHarness, p0, scenariosOf } from "./log_harness.ts";

export function logCheckpoints(harness: LogHarness): void {
  const { claim, scenario } = scenariosOf(harness);

  scenario("an append of no batch writes its checkpoints, in a channel that is new too", async (log) => {
    const { ownership } = await claim(log);
    const checkpoints = new Map([
      ["progress", Buffer.from("p")],
      ["state", Buffer.from("s")],
    ]);
    const result = await log.append(ownership, { channel: "outbox/count", batches: [], checkpoints });
    assert.equal(result, { outcomes: [], endOffset: offset(0) });
    assert.equal([...(await log.readCheckpoints(p0)).keys()].sort(), ["progress", "state"]);
  });

  scenario("checkpoints are written with an append, unless a batch of it was refused", async (log) => {
    const { ownership } = await claim(log);
    const checkpoints = (value: string) => new Map([["task", Buffer.from(value)]]);
    const text = async () => Buffer.from((await log.readCheckpoints(p0)).get("task") ?? []).toString();
    const write = (value: string, ...batches: ReturnType<typeof batch>[]) =>
      log.append(ownership, { channel: "outbox/x", batches, checkpoints: checkpoints(value) });
    await write("one", dense("p", 0, 1));
    assert.is(await text(), "one");
    await write("two", dense("p", 5, 1));
    assert.is(await text(), "one");
    await write("three", dense("p", 0, 1));
    assert.is(await text(), "three");
    await write("four");
    assert.is(await text(), "four");
  });

  scenario("checkpoints are set, kept for the next owner and removed", async (log) => {
    const { ownership } = await claim(log);
    await log.checkpoint(
      ownership,
      new Map([
        ["a", Buffer.from([0, 255])],
        ["b", Buffer.from("b")],
      ]),
    );
    await log.checkpoint(ownership, new Map([["b", undefined]]));
    const { checkpoints } = await claim(log);
    assert.equal([...checkpoints.keys()], ["a"]);
    assert.equal([...(checkpoints.get("a") ?? [])], [0, 255]);
  });
}
