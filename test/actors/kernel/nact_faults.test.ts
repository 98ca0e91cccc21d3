/**
 * Shows the eight faults of bare nact that the kernel exists for, and that each is absent behind the kernel. A test on bare
 * nact that fails means that nact has mended the fault.
 */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { ActorContext, ActorReference, Supervision } from "../../../actors/kernel/actor.ts";
import { createActorSystem } from "../../../actors/kernel/actor_system.ts";
import { loadDriver } from "../../../deps.ts";
import { fakeWorld } from "../../support/fakes/fake_world.ts";
import { atRest, until } from "../../support/until.ts";

const nact = await loadDriver("nact");
type Word = string;
type Crash = (message: unknown, error: unknown, context: Record<string, symbol>) => symbol;
const spawn = nact.spawn as unknown as (
  parent: unknown,
  f: unknown,
  name: string,
  more?: { onCrash?: Crash; afterStop?: () => void },
) => never;
const gate = () => {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { open, opened };
};
const supervision = (over: Partial<Supervision> = {}): Supervision => ({
  strategy: "one_for_one",
  intensity: { restartsMax: 3, withinMs: 10_000 },
  backoff: { firstMs: 10, maxMs: 10 },
  ...over,
});

/** A parent with two children, "a" and "b", whose handlers log and obey: "boom" throws, "hold" waits for the gate. */
async function family(over: Partial<Supervision>) {
  const world = fakeWorld();
  const system = await createActorSystem({ world });
  const log: string[] = [];
  const { open, opened } = gate();
  const children: Record<string, ActorReference<Word>> = {};
  const child = (name: string) => ({
    name,
    start: () => ({
      async receive(word: Word) {
        log.push(`${name} begins ${word}`);
        if (word === "boom") throw new Error(word);
        if (word === "hold") await opened;
        log.push(`${name} ends ${word}`);
      },
      stop: () => void log.push(`${name} stops`),
    }),
  });
  let context: ActorContext<Word> | undefined;
  const parent = system.spawn<Word>({
    name: "parent",
    supervision: supervision(over),
    start: (own) => {
      context = own;
      for (const name of ["a", "b"]) children[name] = own.spawn<Word>(child(name));
      return { receive: () => undefined };
    },
  });
  await until(() => children.b !== undefined);
  return { world, system, log, open, a: children.a!, b: children.b!, parent, context: context! };
}

test("bare nact, fault 1: a reset during an asynchronous handler runs two handlers of one actor at once", async () => {
  const system = nact.start();
  let running = 0;
  let most = 0;
  const { open, opened } = gate();
  const parent = spawn(system, () => undefined, "p", { onCrash: (_m, _e, context) => context.resetAllChildren! });
  const b = spawn(
    parent,
    async () => {
      running += 1;
      most = Math.max(most, running);
      await opened;
      running -= 1;
    },
    "b",
  );
  const a = spawn(
    parent,
    () => {
      throw new Error("boom");
    },
    "a",
    { onCrash: (_m, _e, context) => context.escalate! },
  );
  nact.dispatch(b, 1 as never);
  nact.dispatch(b, 2 as never);
  await until(() => running === 1);
  nact.dispatch(a, 1 as never);
  await atRest();
  open();
  assert.is(most, 2);
  nact.stop(system);
});

test("behind the kernel a restart of all children waits for the handler in hand (actor K1)", async () => {
  const { world, system, log, open, a, b } = await family({ strategy: "one_for_all" });
  b.tell("hold");
  b.tell("next");
  await until(() => log.includes("b begins hold"));
  a.tell("boom");
  await atRest();
  world.advance(100);
  await atRest();
  assert.not(log.includes("b begins next"));
  open();
  await until(() => world.timersWaiting > 0);
  world.advance(100);
  await until(() => log.includes("b ends next"));
  assert.ok(log.indexOf("b ends hold") < log.indexOf("b stops"));
  assert.ok(log.indexOf("b stops") < log.indexOf("b begins next"));
  await system.shutdown();
});

test("bare nact, fault 2: an onCrash that throws wedges the actor for ever", async () => {
  const unhandled: unknown[] = [];
  const onRejection = (error: unknown) => unhandled.push(error);
  process.on("unhandledRejection", onRejection);
  const system = nact.start();
  const heard: unknown[] = [];
  const actor = spawn(
    system,
    (_: unknown, word: string) => {
      heard.push(word);
      if (word === "boom") throw new Error(word);
    },
    "a",
    {
      onCrash: () => {
        throw new Error("policy");
      },
    },
  );
  nact.dispatch(actor, "boom" as never);
  await until(() => unhandled.length > 0);
  nact.dispatch(actor, "after" as never);
  await atRest();
  process.off("unhandledRejection", onRejection);
  assert.equal(heard, ["boom"]);
  nact.stop(system);
});

test("behind the kernel a decide that throws escalates", async () => {
  const { system, world, log, a, parent } = await family({
    decide: () => {
      throw new Error("policy");
    },
  });
  a.tell("boom");
  await until(() => world.timersWaiting > 0); // the root restarts the parent
  world.advance(1_000);
  await until(() => log.includes("b stops"));
  assert.ok(system.statistics.read().find((one) => one.kind === parent.path)!.crashes === 1);
  await system.shutdown();
});

test("bare nact, fault 3: a child that escalates to a parent that resumes stays wedged", async () => {
  const system = nact.start();
  const heard: unknown[] = [];
  const parent = spawn(system, () => undefined, "p", { onCrash: (_m, _e, context) => context.resume! });
  const child = spawn(
    parent,
    (_: unknown, word: string) => {
      heard.push(word);
      if (word === "boom") throw new Error(word);
    },
    "a",
    { onCrash: (_m, _e, context) => context.escalate! },
  );
  nact.dispatch(child, "boom" as never);
  await atRest();
  nact.dispatch(child, "after" as never);
  await atRest();
  assert.equal(heard, ["boom"]);
  nact.stop(system);
});

test("behind the kernel a child that crashed handles its next message after the restart", async () => {
  const { world, system, log, a } = await family({});
  a.tell("boom");
  a.tell("after");
  await until(() => world.timersWaiting > 0);
  world.advance(10);
  await until(() => log.includes("a ends after"));
  await system.shutdown();
});

test("bare nact, fault 4: afterStop runs before the handler in hand has ended", async () => {
  const system = nact.start();
  const log: string[] = [];
  const { open, opened } = gate();
  const actor = spawn(
    system,
    async () => {
      log.push("begins");
      await opened;
      log.push("ends");
    },
    "a",
    { afterStop: () => void log.push("stops") },
  );
  nact.dispatch(actor, 1 as never);
  await until(() => log.length === 1);
  nact.stop(actor);
  await atRest();
  open();
  await until(() => log.length === 3);
  assert.equal(log, ["begins", "stops", "ends"]);
  nact.stop(system);
});

test("behind the kernel a stop waits for the message in hand (actor K5)", async () => {
  const { system, log, open, a, context } = await family({});
  a.tell("hold");
  await until(() => log.includes("a begins hold"));
  const stopped = context.stopChild(a);
  await atRest();
  assert.not(log.includes("a stops"));
  open();
  await stopped;
  assert.equal(log, ["a begins hold", "a ends hold", "a stops"]);
  await system.shutdown();
});

test("bare nact, fault 5: a message to a stopped actor is dropped in silence", async () => {
  const system = nact.start();
  const heard: unknown[] = [];
  const actor = spawn(system, (_: unknown, word: string) => void heard.push(word), "a");
  nact.stop(actor);
  assert.not.throws(() => nact.dispatch(actor, "lost" as never));
  await atRest();
  assert.equal(heard, []);
  nact.stop(system);
});

test("behind the kernel a message to a stopped actor is a dead letter (actor K3)", async () => {
  const { system, a, context } = await family({});
  await context.stopChild(a);
  a.tell("late");
  assert.is(await a.send("late", 1), false);
  assert.is(system.deadLetters.countFor("parent/a"), 2);
  await system.shutdown();
});

test("bare nact, fault 6: spawnStateless ignores onCrash", async () => {
  const system = nact.start();
  let asked = 0;
  const stateless = nact.spawnStateless as unknown as typeof spawn;
  const actor = stateless(
    system,
    () => {
      throw new Error("boom");
    },
    "a",
    {
      onCrash: (_m, _e, context) => {
        asked += 1;
        return context.stop!;
      },
    },
  );
  nact.dispatch(actor, 1 as never);
  await atRest();
  assert.is(asked, 0);
  nact.stop(system);
});

test("behind the kernel every crash is decided by the parent's supervision", async () => {
  const asked: unknown[] = [];
  const { system, a } = await family({
    decide: (error) => {
      asked.push((error as Error).message);
      return "stop";
    },
  });
  a.tell("boom");
  const termination = await system.whenTerminated(a);
  assert.is(termination.kind, "failed");
  assert.equal(asked, ["boom"]);
  await system.shutdown();
});

test("bare nact, fault 7: an actor may be reset without end", async () => {
  const system = nact.start();
  let crashes = 0;
  const actor = spawn(
    system,
    () => {
      crashes += 1;
      throw new Error("boom");
    },
    "a",
    { onCrash: (_m, _e, context) => context.reset! },
  );
  for (let index = 0; index < 500; index += 1) nact.dispatch(actor, index as never);
  await until(() => crashes === 500);
  nact.stop(system);
});

test("behind the kernel more restarts than the intensity allows escalate", async () => {
  const { world, system, a, parent } = await family({});
  for (let crash = 1; crash <= 4; crash += 1) {
    a.tell("boom");
    await until(() => world.timersWaiting > 0);
    if (crash < 4) world.advance(10);
    await atRest();
  }
  assert.is(system.statistics.read().find((one) => one.kind === parent.path)!.crashes, 1);
  await system.shutdown();
});

test("bare nact, fault 8: the mailbox has no bound", async () => {
  const system = nact.start();
  let handled = 0;
  const { open, opened } = gate();
  const actor = spawn(
    system,
    async () => {
      await opened;
      handled += 1;
    },
    "a",
  );
  for (let index = 0; index < 3_000; index += 1) nact.dispatch(actor, index as never); // none of it waits, none is refused
  open();
  for (let rest = 0; handled < 3_000 && rest < 300; rest += 1) await atRest();
  assert.is(handled, 3_000);
  nact.stop(system);
});

test("behind the kernel a full mailbox makes the sender wait and drops nothing", async () => {
  const system = await createActorSystem({ world: fakeWorld() });
  const { open, opened } = gate();
  const heard: number[] = [];
  const actor = system.spawn<number>({
    name: "narrow",
    mailbox: { messagesMax: 2, weightBytesMax: 100 },
    start: () => ({
      async receive(message) {
        await opened;
        heard.push(message);
      },
    }),
  });
  let taken = 0;
  const sends = [1, 2, 3, 4, 5].map((message) => actor.send(message, 1).then(() => (taken += 1)));
  await atRest();
  assert.is(taken, 2);
  assert.is(actor.trySend(6, 1), false);
  open();
  await Promise.all(sends);
  await until(() => heard.length === 5);
  assert.equal(heard, [1, 2, 3, 4, 5]);
  await system.shutdown();
});

test.run();
