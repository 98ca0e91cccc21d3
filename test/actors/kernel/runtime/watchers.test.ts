import { test } from "uvu";
import * as assert from "uvu/assert";
import { Watchers } from "../../../../actors/kernel/runtime/watchers.ts";

const STOPPED = { kind: "stopped" } as const;

test("each watcher is told once, a late one at once, and a listener that watches twice twice", () => {
  const watchers = new Watchers();
  let told = 0;
  const listener = () => {
    told += 1;
  };
  watchers.add(listener);
  watchers.add(listener);
  watchers.tell(STOPPED);
  assert.is(told, 2);
  watchers.add(listener);
  assert.is(told, 3);
});

test("a watch that has been ended hears nothing, and ends no other", () => {
  const watchers = new Watchers();
  const told: string[] = [];
  const endFirst = watchers.add(() => told.push("first"));
  watchers.add(() => told.push("second"));
  endFirst();
  endFirst();
  watchers.tell(STOPPED);
  assert.equal(told, ["second"]);
});

test.run();
