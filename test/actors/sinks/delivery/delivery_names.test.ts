import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  cutCheckpoint,
  deliveryName,
  deliveryTarget,
  deliveryText,
  lettersChannel,
  positionCheckpoint,
  setAsideCheckpoint,
  sinkProducerId,
} from "../../../../actors/sinks/delivery/delivery_names.ts";
import { partitionId } from "../../../../protocols/position.ts";

const PARTITION = { stream: "orders", partition: partitionId(3) };

test("a delivery without a name of its own keeps the names that it had before deliveries had names", () => {
  const of = { name: "hook" };
  assert.equal(
    [
      positionCheckpoint(of),
      setAsideCheckpoint(of),
      cutCheckpoint(of),
      sinkProducerId(of, PARTITION),
      lettersChannel(of),
    ],
    ["sink/hook", "sink/hook/set_aside", "sink/hook/cut", "sink/hook/3", "dead_letters/hook"],
  );
  assert.is(positionCheckpoint({ name: "hook", replay: "r" }), "sink/hook/replay/r");
});

test("deliveries that differ in sink, name or replay share no name of their state", () => {
  const all = ["hook", "hook.slow", "slow"].flatMap((name) =>
    [undefined, "slow", "replay"].flatMap((as) =>
      [undefined, "slow", "r"].map((replay) => ({
        ...{ name },
        ...(as === undefined ? {} : { as }),
        ...(replay === undefined ? {} : { replay }),
      })),
    ),
  );
  const names = all.flatMap((of) => [
    ...[positionCheckpoint(of), setAsideCheckpoint(of), cutCheckpoint(of)],
    ...[`producer ${sinkProducerId(of, PARTITION)}`, deliveryName(of)],
  ]);
  assert.is(new Set(names).size, names.length);
});

test("the text of a delivery leads back to its sink and name", () => {
  for (const target of [{ sink: "hook" }, { sink: "hook", as: "slow" }]) {
    assert.equal(deliveryTarget(deliveryText(target)), target);
  }
});

test.run();
