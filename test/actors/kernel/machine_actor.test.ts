import { test } from "uvu";
import * as assert from "uvu/assert";
import type { MachineEffect, MachineObserver, MachineStep } from "../../../actors/kernel/actor.ts";
import { createActorSystem } from "../../../actors/kernel/actor_system.ts";
import { type MachineContext, machineActor, type Shell } from "../../../actors/kernel/machine_actor.ts";
import { fakeWorld } from "../../support/fakes/fake_world.ts";
import { atRest, until } from "../../support/until.ts";

type Message =
  | { type: "do"; effects: readonly string[] }
  | { type: "result"; of: string }
  | { type: "failed"; why: string };
interface Effect {
  readonly type: string;
}
type Life = Shell<string[], Message, Effect>;

async function fixture(
  over: Partial<Omit<Life, "perform">> & {
    perform(effect: string, context: MachineContext<Message>): void | Promise<void>;
  },
  observer?: MachineObserver,
) {
  const world = fakeWorld();
  if (observer !== undefined) Object.assign(world, { observer });
  const system = await createActorSystem({ world });
  let seen: string[] = [];
  const actor = system.spawn(
    machineActor<string[], Message, Effect>({
      machine: "doer",
      name: "m",
      life: () => {
        seen = [];
        return {
          machine: {
            initial: seen,
            step: (state, message) => {
              state.push(message.type === "result" ? message.of : message.type === "failed" ? message.why : "do");
              return [state, message.type === "do" ? message.effects.map((type) => ({ type })) : []];
            },
          },
          ...over,
          perform: ({ type }, context) => over.perform(type, context),
        };
      },
    }),
  );
  return { world, system, actor, seen: () => seen };
}
const failedAs: Pick<Life, "onEffectFailed"> = {
  onEffectFailed: ({ type }, error) => ({
    type: "failed",
    why: `${type}: ${(error as { code?: string }).code ?? (error as Error).message}`,
  }),
};

test("A1: effects are begun in their order, and their results come back as messages", async () => {
  const begun: string[] = [];
  const { system, actor, seen } = await fixture({
    perform: (effect, context) => {
      begun.push(effect);
      context.tell({ type: "result", of: effect });
    },
  });
  actor.tell({ type: "do", effects: ["x", "y"] });
  await until(() => seen().length === 3);
  assert.equal(
    [begun, seen()],
    [
      ["x", "y"],
      ["do", "x", "y"],
    ],
  );
  await system.shutdown();
});

test("A2: work under way keeps no message waiting", async () => {
  const { system, actor, seen } = await fixture({ perform: () => new Promise(() => undefined) });
  actor.tell({ type: "do", effects: ["never ends"] });
  actor.tell({ type: "do", effects: [] });
  await until(() => seen().length === 2);
  await system.shutdown();
});

test("a failed effect, thrown or rejected, is a message", async () => {
  const { system, actor, seen } = await fixture({
    ...failedAs,
    perform: (effect) => {
      if (effect === "throws") throw new Error("thrown");
      return Promise.reject(new Error("rejected"));
    },
  });
  actor.tell({ type: "do", effects: ["throws", "rejects"] });
  await until(() => seen().length === 3);
  assert.equal(seen(), ["do", "throws: thrown", "rejects: rejected"]);
  await system.shutdown();
});

test("A4: a failure that the shell does not map crashes the actor, and the next life begins from a fresh machine", async () => {
  const { world, system, actor, seen } = await fixture({ perform: () => Promise.reject(new Error("rejected")) });
  actor.tell({ type: "do", effects: ["x"] });
  await until(() => world.timersWaiting > 0);
  world.advance(10_000);
  actor.tell({ type: "do", effects: [] });
  await until(() => seen().length === 1);
  assert.is(system.statistics.read()[0]!.crashes, 1);
  await system.shutdown();
});

test("A3: an effect fails at its deadline, and a message that it tells later is ignored", async () => {
  let finish = (): void => undefined;
  const { world, system, actor, seen } = await fixture({
    ...failedAs,
    deadlineMs: () => 50,
    perform: async (effect, context) => {
      await new Promise<void>((resolve) => (finish = resolve));
      context.tell({ type: "result", of: effect });
    },
  });
  actor.tell({ type: "do", effects: ["slow"] });
  await until(() => world.timersWaiting === 1);
  world.advance(50);
  await until(() => seen().length === 2);
  finish();
  await atRest();
  assert.equal(seen(), ["do", "slow: TIMEOUT"]);
  await system.shutdown();
});

test("A3: an effect done in time meets no deadline, and one that has failed is not heard afterwards", async () => {
  const { world, system, actor, seen } = await fixture({
    ...failedAs,
    deadlineMs: () => 50,
    perform: (effect, context) => {
      if (effect === "at once") return undefined;
      if (effect === "in time") return Promise.resolve().then(() => context.tell({ type: "result", of: effect }));
      const failing = Promise.reject(new Error("failed"));
      void failing
        .catch(() => undefined)
        .then(() => setImmediate(() => context.tell({ type: "result", of: "too late" })));
      return failing;
    },
  });
  actor.tell({ type: "do", effects: ["at once", "in time", "failing"] });
  await until(() => seen().length === 3);
  await atRest();
  assert.equal(seen(), ["do", "in time", "failing: failed"]);
  assert.is(world.timersWaiting, 0);
  await system.shutdown();
});

test("an effect that fails after a restart does not reach the next life", async () => {
  let fail = (): void => undefined;
  const { world, system, actor, seen } = await fixture({
    perform: (effect) =>
      effect === "now"
        ? Promise.reject(new Error("now"))
        : new Promise<void>((_resolve, reject) => {
            fail = () => reject(new Error("late"));
          }),
  });
  actor.tell({ type: "do", effects: ["late", "now"] });
  await until(() => world.timersWaiting > 0);
  world.advance(10_000);
  actor.tell({ type: "do", effects: [] });
  await until(() => seen().length === 1);
  fail();
  await atRest();
  assert.is(system.statistics.read()[0]!.crashes, 1);
  await system.shutdown();
});

test("A4: an effect that throws without a message for it ends the turn at once, with the effects behind it", async () => {
  const begun: string[] = [];
  const { world, system, actor } = await fixture({
    perform: (effect) => {
      begun.push(effect);
      if (effect === "throws") throw new Error("thrown");
    },
  });
  actor.tell({ type: "do", effects: ["throws", "behind it"] });
  await until(() => world.timersWaiting > 0);
  assert.equal([begun, system.statistics.read()[0]!.crashes], [["throws"], 1]);
  await system.shutdown();
});

test("A5: a life hears no answer, timer or call of the life before it", async () => {
  let former: MachineContext<Message> | undefined;
  const { world, system, actor, seen } = await fixture({
    perform: (effect, context) => {
      if (effect !== "begin") return Promise.reject(new Error("crash"));
      former ??= context;
    },
  });
  actor.tell({ type: "do", effects: ["begin"] });
  actor.tell({ type: "do", effects: ["crash"] });
  await until(() => world.timersWaiting > 0);
  former?.after(1, { type: "result", of: "timer" });
  former?.callAfter(1, () => former?.tell({ type: "result", of: "call" }));
  former?.tell({ type: "result", of: "answer" });
  world.advance(10_000);
  actor.tell({ type: "do", effects: ["begin"] });
  await until(() => seen().length === 1);
  await atRest();
  assert.equal(seen(), ["do"]);
  former?.tell({ type: "result", of: "late answer" });
  await atRest();
  assert.equal(seen(), ["do"]);
  await system.shutdown();
});

test("what comes from the mailbox is taken by the shell, and answers go by it", async () => {
  const { system, actor, seen } = await fixture({
    take: (message, step) => {
      step({ type: "result", of: "first" });
      step(message);
    },
    perform: (effect, context) => context.tell({ type: "result", of: effect }),
  });
  actor.tell({ type: "do", effects: ["x"] });
  await until(() => seen().length === 3);
  assert.equal(seen(), ["first", "do", "x"]);
  await system.shutdown();
});

test("an observer sees each step with its effects, and how each effect that took time or failed has ended (A6)", async () => {
  const steps: MachineStep[] = [];
  const ends: MachineEffect[] = [];
  let nowMs = 0;
  const observer: MachineObserver = {
    stopwatchMs: () => ++nowMs,
    onStep: (step) => steps.push(step),
    onEffect: (effect) => ends.push(effect),
  };
  const over: Parameters<typeof fixture>[0] = {
    ...failedAs,
    deadlineMs: ({ type }) => (type === "late" ? 50 : undefined),
    perform: (effect) => {
      if (effect === "throws") throw new Error("thrown");
      if (effect === "rejects") return Promise.reject(new Error("rejected"));
      if (effect === "done") return Promise.resolve();
      return effect === "late" ? new Promise(() => undefined) : undefined;
    },
  };
  const { world, system, actor, seen } = await fixture(over, observer);
  actor.tell({ type: "do", effects: ["done at once", "throws", "done", "rejects", "late"] });
  await until(() => seen().length === 3 && ends.length === 3);
  world.advance(50);
  await until(() => seen().length === 4);
  assert.equal(
    steps.map(({ machine, path, message, effects }) => [machine, path, message, effects]),
    [
      ["doer", "m", "do", 5],
      ["doer", "m", "failed", 0],
      ["doer", "m", "failed", 0],
      ["doer", "m", "failed", 0],
    ],
  );
  assert.equal(
    ends.map(({ effect, outcome }) => [effect, outcome]),
    [
      ["throws", "failed"],
      ["done", "done"],
      ["rejects", "failed"],
      ["late", "late"],
    ],
  );
  assert.ok([...steps, ...ends.slice(1)].every(({ tookMs }) => tookMs > 0));
  await system.shutdown();
});

test.run();
