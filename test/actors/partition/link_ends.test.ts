import { test } from "uvu";
import * as assert from "uvu/assert";
import { createActorSystem } from "../../../actors/kernel/actor_system.ts";
import { LocalReference, watch } from "../../../actors/partition/link_ends.ts";
import { until } from "../../support/until.ts";

test("a reference without an actor takes each message at once, in each lane", async () => {
  const taken: number[] = [];
  const reference = new LocalReference<number>("here", (message) => taken.push(message));
  reference.tell(1);
  assert.ok(await reference.send(2));
  assert.ok(reference.trySend(3));
  assert.equal(taken, [1, 2, 3]);
});

test("the end of a reference is told once to each that watches it then", () => {
  const reference = new LocalReference<number>("here", () => undefined);
  const told: string[] = [];
  reference.onTerminated(({ kind }) => told.push(`first ${kind}`));
  const endWatch = reference.onTerminated(() => told.push("second"));
  endWatch();
  reference.end();
  reference.end();
  assert.equal(told, ["first stopped"]);
});

test("a watch ends with the actor, is ended by its owner, or was too late", async () => {
  const system = await createActorSystem();
  const spawn = () => system.spawn<never>({ name: "it", start: () => ({ receive: () => undefined }) });
  let ends = 0;
  const first = spawn();
  assert.ok(watch(first, () => (ends += 1)));
  await system.stop(first);
  await until(() => ends === 1);
  assert.is(
    watch(first, () => (ends += 1)),
    undefined,
    "the actor had ended",
  );
  assert.is(ends, 2);
  const second = spawn();
  watch(second, () => (ends += 1))?.();
  await system.stop(second);
  assert.is(ends, 2);
  await system.shutdown();
});

test.run();
