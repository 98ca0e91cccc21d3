import { test } from "uvu";
import * as assert from "uvu/assert";
import { createActorSystem } from "../../../actors/kernel/actor_system.ts";
import { type MachineActorOptions, machineActor } from "../../../actors/kernel/machine_actor.ts";
import { fakeWorld } from "../../support/fakes/fake_world.ts";
import { atRest, until } from "../../support/until.ts";

type Message =
  | { type: "do"; effects: readonly string[] }
  | { type: "result"; of: string }
  | { type: "failed"; why: string };
type Options = MachineActorOptions<string[], Message, string>;

async function fixture(over: Partial<Options> & Pick<Options, "perform">) {
  const world = fakeWorld();
  const system = await createActorSystem({ world });
  let seen: string[] = [];
  const actor = system.spawn(
    machineActor<string[], Message, string>({
      name: "m",
      machine: () => {
        seen = [];
        return {
          initial: seen,
          step: (state, message) => {
            state.push(message.type === "result" ? message.of : message.type === "failed" ? message.why : "do");
            return [state, message.type === "do" ? message.effects : []];
          },
        };
      },
      ...over,
    }),
  );
  return { world, system, actor, seen: () => seen };
}
const failedAs: Pick<Options, "onEffectFailed"> = {
  onEffectFailed: (effect, error) => ({
    type: "failed",
    why: `${effect}: ${(error as { code?: string }).code ?? (error as Error).message}`,
  }),
};

test("A1: effects are begun in their order, and their results come back as messages", async () => {
  const begun: string[] = [];
  const { system, actor, seen } = await fixture({
    perform: (effect, context) => {
      begun.push(effect);
      context.self.tell({ type: "result", of: effect });
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
      context.self.tell({ type: "result", of: effect });
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

test("A3: an effect done in time meets no deadline, whether it gives a promise or a message", async () => {
  const { world, system, actor, seen } = await fixture({
    ...failedAs,
    deadlineMs: () => 50,
    perform: (effect, context) => {
      context.self.tell({ type: "result", of: effect });
      return effect === "promise" ? Promise.resolve() : undefined;
    },
  });
  actor.tell({ type: "do", effects: ["promise", "message"] });
  await until(() => seen().length === 3);
  await atRest();
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

test.run();
