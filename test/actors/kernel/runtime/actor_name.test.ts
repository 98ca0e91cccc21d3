import { test } from "uvu";
import * as assert from "uvu/assert";
import { CHILDREN_MAX, checkName } from "../../../../actors/kernel/runtime/actor_name.ts";
import { deliveryName } from "../../../../actors/sinks/delivery/delivery_names.ts";
import { partitionId, partitionName } from "../../../../protocols/position.ts";

const siblings = (count: number) => new Map(Array.from({ length: count }, (_, n) => [`s${n}`, n] as const));
const refusal = (name: string, of = siblings(0)): string => {
  try {
    checkName(name, of);
    return "";
  } catch (error) {
    return (error as Error).message;
  }
};

test("a name has 1 to 400 characters, without slashes and control characters", () => {
  for (const name of ["a", "x".repeat(400), "delivery-files-s-0", "é"]) assert.is(refusal(name), "");
  for (const name of ["", "x".repeat(401), "a/b", "a\nb"])
    assert.match(refusal(name), /it must be 1 to 400 characters/);
});

test("the delivery of the longest names that a configuration and a replay may have is named", () => {
  const of = { name: "s".repeat(49), as: "a".repeat(50), replay: "r".repeat(120) };
  const partition = { stream: "o".repeat(100), partition: partitionId(1_023) };
  assert.is(refusal(`${deliveryName(of)}-${partitionName(partition)}`.replaceAll("/", "-")), "");
});

test("a name is free, and an actor has a bounded number of children", () => {
  assert.match(refusal("s1", siblings(2)), /its name must be free: current value is s1$/);
  assert.is(refusal("new", siblings(CHILDREN_MAX - 1)), "");
  assert.match(refusal("new", siblings(CHILDREN_MAX)), /children must be at most 100: current value is 100$/);
});

test.run();
