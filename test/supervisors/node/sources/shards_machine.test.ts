import { test } from "uvu";
import * as assert from "uvu/assert";
import { partitionOfKey } from "../../../../protocols/partitioner.ts";
import {
  createShards,
  SHARD_LIMITS,
  type ShardsEffect,
  type ShardsMessage,
  stepShards,
} from "../../../../supervisors/node/sources/shards_machine.ts";

const PARTITIONS = 4;
const ALL = new Set([0, 1, 2, 3]);

class Machine {
  readonly state = createShards(PARTITIONS);
  do(message: ShardsMessage): readonly ShardsEffect[] {
    return stepShards(this.state, message, 0)[1];
  }
  owns(partitions: ReadonlySet<number>) {
    return this.do({ type: "owned", partitions });
  }
  lists(...shards: string[]) {
    return this.do({ type: "listed", shards });
  }
}

const of = (effects: readonly ShardsEffect[], type: "start" | "stop") =>
  effects.flatMap((effect) => (effect.type === type ? [effect.shard] : []));
const kinds = (effects: readonly ShardsEffect[]) => effects.map(({ type }) => type);

test("G1: a shard runs where its partition is owned, and only there", () => {
  const machine = new Machine();
  const partition = partitionOfKey("orders", PARTITIONS);
  machine.owns(new Set([...ALL].filter((one) => one !== partition)));
  assert.equal(of(machine.lists("orders"), "start"), []);
  assert.equal(of(machine.owns(new Set([partition])), "start"), ["orders"]);
  assert.equal(of(machine.owns(new Set()), "stop"), ["orders"]);
});

test("G1: of two nodes with all partitions between them, exactly one runs each shard", () => {
  const shards = Array.from({ length: 200 }, (_, at) => `shard-${at}`);
  const started = [new Set([0, 3]), new Set([1, 2])].flatMap((owned) => {
    const machine = new Machine();
    machine.owns(owned);
    return of(machine.lists(...shards), "start");
  });
  assert.equal(started.sort(), [...shards].sort());
});

test("G1: a new shard starts and a vanished one stops", () => {
  const machine = new Machine();
  machine.owns(ALL);
  assert.equal(of(machine.lists("a", "b"), "start"), ["a", "b"]);
  const effects = machine.lists("b", "c");
  assert.equal([of(effects, "start"), of(effects, "stop")], [["c"], ["a"]]);
});

test("G2: a shard that comes back waits until its earlier reader has ended", () => {
  const machine = new Machine();
  machine.owns(ALL);
  machine.lists("a");
  machine.lists();
  assert.equal(of(machine.lists("a"), "start"), []);
  assert.equal(of(machine.do({ type: "ended", shard: "a" }), "start"), ["a"]);
});

test("G3: the place is asked once something is owned, then every minute, by one question at a time", () => {
  const machine = new Machine();
  assert.equal(kinds(machine.owns(new Set())), []);
  assert.equal(kinds(machine.owns(ALL)), ["list"]);
  assert.equal(kinds(machine.owns(new Set([0]))), []);
  assert.equal(machine.lists(), [{ type: "ask_later", delayMs: SHARD_LIMITS.listEveryMs }]);
  assert.equal(kinds(machine.owns(ALL)), []);
  assert.equal(kinds(machine.do({ type: "ask_again" })), ["list"]);
  machine.lists();
  machine.owns(new Set());
  assert.equal(kinds(machine.do({ type: "ask_again" })), []);
  assert.equal(kinds(machine.owns(ALL)), ["list"]);
});

test("G3: a question that fails stops no shard, and is asked again after a growing wait", () => {
  const machine = new Machine();
  machine.owns(ALL);
  machine.lists("a");
  const delays = Array.from({ length: 8 }, () => {
    const effects = machine.do({ type: "list_failed", reason: "gone" });
    assert.equal(kinds(effects), ["trouble", "ask_later"]);
    return effects.flatMap((effect) => (effect.type === "ask_later" ? [effect.delayMs] : []))[0];
  });
  assert.equal(delays, [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
  assert.equal(kinds(machine.lists("a")), ["trouble", "ask_later"]);
  assert.equal(machine.state.running.get("a"), "reading");
});

test("G4: a list with too many shards or a wrong name is refused as a whole", () => {
  const many = Array.from({ length: SHARD_LIMITS.shardsMax + 1 }, (_, at) => `s${at}`);
  const wrong: readonly unknown[] = [
    many,
    [""],
    ["x".repeat(SHARD_LIMITS.nameCharactersMax + 1)],
    ["a\n"],
    ["\ud800"],
    [7],
    [undefined],
    ["b", "b"],
    "b",
  ];
  for (const shards of wrong) {
    const machine = new Machine();
    machine.owns(ALL);
    machine.lists("a");
    const effects = machine.do({ type: "listed", shards: shards as string[] });
    assert.equal(kinds(effects), ["trouble", "ask_later"], String(shards).slice(0, 50));
    assert.equal([...machine.state.running.keys()], ["a"]);
  }
  const machine = new Machine();
  machine.owns(ALL);
  assert.is(of(machine.lists(...many.slice(1)), "start").length, SHARD_LIMITS.shardsMax);
});

test("a rest ends all shards, starts none, and is told once none is left", () => {
  const machine = new Machine();
  machine.owns(ALL);
  machine.lists("a", "b");
  assert.equal(kinds(machine.do({ type: "rest" })), ["stop", "stop"]);
  assert.equal(kinds(machine.do({ type: "ended", shard: "a" })), []);
  assert.equal(kinds(machine.do({ type: "ended", shard: "b" })), ["rested"]);
  assert.equal(of(machine.lists("a"), "start"), []);
});

test.run();
