import { test } from "uvu";
import * as assert from "uvu/assert";
import type {
  ActorContext,
  ActorDefinition,
  ActorReference,
  Supervision,
  Termination,
} from "../../../actors/kernel/actor.ts";
import { createActorSystem } from "../../../actors/kernel/actor_system.ts";
import { CHILDREN_MAX } from "../../../actors/kernel/runtime/actor_name.ts";
import { kindOf } from "../../../actors/kernel/runtime/kernel_statistics.ts";
import { fakeWorld } from "../../support/fakes/fake_world.ts";
import { atRest, until } from "../../support/until.ts";

const quick: Supervision = {
  strategy: "one_for_one",
  intensity: { restartsMax: 2, withinMs: 10_000 },
  backoff: { firstMs: 10, maxMs: 10 },
};
async function fixture(supervision = quick) {
  const world = fakeWorld();
  const system = await createActorSystem({ world, supervision });
  const log: string[] = [];
  /** Logs its lives and messages; obeys "boom". Given children, it starts them. */
  const logger = (
    name: string,
    over: Partial<ActorDefinition<string>> = {},
    ...children: ActorDefinition<string>[]
  ) => ({
    name,
    start: (context: ActorContext<string>) => {
      log.push(`${name} starts`);
      for (const child of children) references[child.name] = context.spawn(child);
      return {
        receive: (word: string) => {
          if (word === "boom") throw new Error(`${name} went boom`);
          log.push(`${name} hears ${word}`);
        },
        stop: () => void log.push(`${name} stops`),
      };
    },
    ...over,
  });
  const references: Record<string, ActorReference<string>> = {};
  return { world, system, log, logger, references };
}

test("K2: control is handled before data that came earlier", async () => {
  const { system, log, logger } = await fixture();
  const actor = system.spawn(logger("a"));
  await actor.send("batch", 10);
  actor.tell("fence");
  await until(() => log.includes("a hears batch"));
  assert.equal(log, ["a starts", "a hears fence", "a hears batch"]);
  await system.shutdown();
});

test("a crash is reported once, at its own actor, whether it is restarted, escalated or at its start", async () => {
  const { world, system, logger, references } = await fixture();
  const escalating: Partial<ActorDefinition<string>> = { supervision: { ...quick, decide: () => "escalate" } };
  const top = system.spawn(logger("top", {}, logger("middle", escalating, logger("leaf"))));
  system.spawn({
    name: "unborn",
    start: () => {
      throw new Error("no start");
    },
  });
  await until(() => references.middle !== undefined && world.crashes.length > 0);
  top.tell("boom");
  await until(() => world.crashes.length > 1);
  assert.equal(
    world.crashes.slice(0, 2).map(({ path, error }) => [path, (error as Error).message]),
    [
      ["unborn", "no start"],
      ["top", "top went boom"],
    ],
  );
  await system.shutdown();
});

test("K6: the context takes time, timers, randomness and ids from the world", async () => {
  const world = fakeWorld();
  const system = await createActorSystem({
    world: { ...world, nowMs: () => 1_234, random: () => 0.25, newId: () => "id-of-the-world" },
  });
  const heard: unknown[] = [];
  system.spawn<string>({
    name: "a",
    start: (context) => {
      context.after(10, "the world's timer rang");
      heard.push(context.nowMs(), context.random(), context.newId());
      return { receive: (word) => void heard.push(word) };
    },
  });
  await until(() => world.timersWaiting === 1);
  assert.equal(heard, [1_234, 0.25, "id-of-the-world"]);
  world.advance(10);
  await until(() => heard.length === 4);
  assert.is(heard[3], "the world's timer rang");
  await system.shutdown();
});

// Also shows actor cell C1.
test("K1: an asynchronous handler ends before the next one begins", async () => {
  const { system } = await fixture();
  let running = 0;
  let most = 0;
  let handled = 0;
  const actor = system.spawn<number>({
    name: "a",
    start: () => ({
      async receive() {
        running += 1;
        most = Math.max(most, running);
        await new Promise((resolve) => setImmediate(resolve));
        running -= 1;
        handled += 1;
      },
    }),
  });
  for (let index = 0; index < 20; index += 1) actor.tell(index);
  await until(() => handled === 20);
  assert.is(most, 1);
  await system.shutdown();
});

test("K3: a message that waits for an actor when it ends is a dead letter, and its sender is told false", async () => {
  const { system, world } = await fixture();
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  const actor = system.spawn<{ type: string }>({
    name: "a",
    mailbox: { messagesMax: 1, weightBytesMax: 1 },
    start: () => ({ receive: () => opened }),
  });
  const first = actor.send({ type: "held" }, 1);
  const second = actor.send({ type: "waits" }, 1);
  await atRest();
  actor.tell({ type: "queued" });
  const stopped = system.stop(actor);
  open();
  await stopped;
  assert.equal([await first, await second], [true, false]);
  const letter = (messageKind: string) => ({ path: "a", reason: "stopped", messageKind, atMs: world.nowMs() });
  assert.equal(system.deadLetters.recent(), [letter("queued"), letter("waits")]);
});

// Also shows actor cell C2: no message is handled between the crash and the restart.
test("K4: a restart keeps the mailbox and moves the message in hand to the dead letters", async () => {
  const { world, system, log, logger } = await fixture();
  const actor = system.spawn(logger("a"));
  for (const word of ["one", "boom", "two"]) actor.tell(word);
  await until(() => log.includes("a stops"));
  assert.not(log.includes("a hears two"));
  world.advance(10);
  await until(() => log.includes("a hears two"));
  assert.equal(log, ["a starts", "a hears one", "a stops", "a starts", "a hears two"]);
  assert.equal(
    system.deadLetters.recent().map((letter) => letter.reason),
    ["crashed"],
  );
  await system.shutdown();
});

test("K4: an error that escalates past the top is reported, and that root actor alone is stopped as failed", async () => {
  const { world, system, log, logger } = await fixture();
  const bad = system.spawn(
    logger("bad", {
      start: () => {
        throw new Error("never starts");
      },
    }),
  );
  const good = system.spawn(logger("good"));
  for (let restart = 0; restart < 2; restart += 1) {
    await until(() => world.timersWaiting > 0);
    world.advance(10);
  }
  const termination = await system.whenTerminated(bad);
  assert.is(termination.kind, "failed");
  assert.equal(
    world.unhandled.map((one) => one.path),
    ["bad"],
  );
  good.tell("still here");
  await until(() => log.includes("good hears still here"));
  await system.shutdown();
});

// Also shows actor cell C4.
test("K5: a stop ends the children first, the newest first, and watchers are told last", async () => {
  const { system, log, logger, references } = await fixture();
  const parent = system.spawn(logger("p", {}, logger("a"), logger("b", {}, logger("c"))));
  await until(() => log.includes("c starts"));
  void system.whenTerminated(parent).then((termination: Termination) => log.push(`heard ${termination.kind}`));
  await system.stop(parent);
  await atRest();
  assert.equal(log.slice(4), ["c stops", "b stops", "a stops", "p stops", "heard stopped"]);
  references.c!.tell("late");
  assert.is(system.deadLetters.countFor("p/b/c"), 1);
});

// Also shows actor cell C2: the crashed child is suspended at once, before its later siblings.
test("rest_for_one restarts the crashed child and the later ones, in order", async () => {
  const { world, system, log, logger, references } = await fixture();
  system.spawn(
    logger(
      "p",
      { supervision: { ...quick, strategy: "rest_for_one" } },
      logger("a"),
      logger("b"),
      logger("c"),
      logger("d"),
    ),
  );
  await until(() => log.includes("d starts"));
  references.b!.tell("boom");
  await until(() => world.timersWaiting > 0);
  world.advance(10);
  await until(() => log.filter((line) => line === "d starts").length === 2);
  assert.equal(log.slice(5), ["b stops", "d stops", "c stops", "b starts", "c starts", "d starts"]);
  await system.shutdown();
});

test("a watch tells of an end and not of a restart, and tells at once where the actor has ended already", async () => {
  const { world, system, log, logger } = await fixture();
  const watched = system.spawn(logger("watched"));
  const watcher = (name: string): ActorDefinition<string> => ({
    name,
    start: (context) => {
      context.watch(watched, (termination) => `${name}: ${termination.kind}`);
      return { receive: (word) => void log.push(word) };
    },
  });
  system.spawn(watcher("early"));
  watched.tell("boom");
  await until(() => world.timersWaiting > 0);
  world.advance(10);
  await until(() => log.filter((line) => line === "watched starts").length === 2);
  assert.not(log.includes("early: stopped"));
  await system.stop(watched);
  await until(() => log.includes("early: stopped"));
  system.spawn(watcher("late"));
  await until(() => log.includes("late: stopped"));
  await system.shutdown();
});

test("timers end with the actor and with a restart", async () => {
  const { world, system } = await fixture();
  const heard: string[] = [];
  let lives = 0;
  const actor = system.spawn<string>({
    name: "a",
    start: (context) => {
      lives += 1;
      context.after(1_000, `of life ${lives}`);
      return {
        receive: (word) => {
          if (word === "boom") throw new Error(word);
          heard.push(word);
        },
      };
    },
  });
  actor.tell("boom");
  await until(() => world.timersWaiting > 0 && lives === 1 && system.deadLetters.count === 1);
  await atRest();
  world.advance(10);
  await until(() => lives === 2);
  assert.is(world.timersWaiting, 1);
  world.advance(1_000);
  await until(() => heard.length > 0);
  assert.equal(heard, ["of life 2"]);
  await system.shutdown();
  assert.is(world.timersWaiting, 0);
});

test("an ask resolves with the reply, rejects after its time, and counts a late reply as a dead letter", async () => {
  const { world, system } = await fixture();
  const replies: ActorReference<string>[] = [];
  const echo = system.spawn<{ word: string; replyTo: ActorReference<string> }>({
    name: "echo",
    start: () => ({
      receive: ({ word, replyTo }) => void (word === "wait" ? replies.push(replyTo) : replyTo.tell(word)),
    }),
  });
  const asking = (word: string) =>
    system.ask<{ word: string; replyTo: ActorReference<string> }, string>(echo, (replyTo) => ({ word, replyTo }), {
      timeoutMs: 50,
    });
  assert.is(await asking("hello"), "hello");
  const late = asking("wait").catch((error: { code: string }) => error.code);
  await until(() => replies.length === 1);
  world.advance(50);
  assert.is(await late, "TIMEOUT");
  replies[0]!.tell("too late");
  assert.is(system.deadLetters.recent().at(-1)?.reason, "unknown_actor");
  await system.shutdown();
});

test("names must be free and plain, and children are limited", async () => {
  const { system, logger } = await fixture();
  for (const name of ["", "a/b", "a\nb", "x".repeat(401)])
    assert.throws(() => system.spawn(logger(name)), /Cannot name an actor/);
  for (let index = 0; index < CHILDREN_MAX; index += 1) system.spawn(logger(`child-${index}`));
  assert.throws(() => system.spawn(logger("child-0")), /name must be free/);
  assert.throws(() => system.spawn(logger("one more")), /children must be at most/);
  await system.shutdown();
});

test("a name is free again once its actor has ended", async () => {
  const { system, logger, log } = await fixture();
  await system.stop(system.spawn(logger("a")));
  system.spawn(logger("a"));
  await until(() => log.at(-1) === "a starts");
  await system.shutdown();
});

test("statistics count by kind of actor", async () => {
  const { system, logger } = await fixture();
  for (const name of ["partition-1", "partition-2"]) system.spawn(logger(name)).tell("x");
  await atRest();
  const counted = system.statistics.read().find((one) => one.kind === "partition-*")!;
  assert.is(counted.messages, 2);
  assert.is(counted.mailboxMessages, 0);
  assert.is(kindOf("orders/session-3f2a-11b0/sink"), "orders/session-*/sink");
  await system.shutdown();
});

test("a long queue does not keep other actors from their turn (actor cell C3)", async () => {
  const { system, logger, log } = await fixture();
  let left = 20_000;
  const busy = system.spawn<number>({
    name: "busy",
    start: () => ({
      receive: () => {
        left -= 1;
      },
    }),
  });
  for (let index = 0; index < 20_000; index += 1) busy.tell(index);
  system.spawn(logger("other")).tell("hello");
  await until(() => log.includes("other hears hello"));
  assert.ok(left > 0);
  await until(() => left === 0);
  await system.shutdown();
});

test("after a shutdown nothing is started", async () => {
  const { system, logger } = await fixture();
  await system.shutdown();
  assert.throws(() => system.spawn(logger("a")), /must not be shut down/);
});

test("a turn is bounded in time as well (actor cell C3)", async () => {
  const world = fakeWorld();
  let stopwatchMs = 0;
  const system = await createActorSystem({ world: { ...world, stopwatchMs: () => ++stopwatchMs } });
  const order: string[] = [];
  const listener = (name: string) => ({ name, start: () => ({ receive: () => void order.push(name) }) });
  const slow = system.spawn<number>(listener("slow"));
  const other = system.spawn<number>(listener("other"));
  await atRest();
  for (let index = 0; index < 100; index += 1) slow.tell(index);
  other.tell(0);
  await until(() => order.length === 101);
  assert.ok(order.indexOf("other") < 50);
  await system.shutdown();
});

test("a child that crashes while its parent is stopping is not restarted", async () => {
  const { world, system, log, logger, references } = await fixture();
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  const slow = { name: "slow", start: () => ({ receive: () => undefined, stop: () => opened }) };
  const parent = system.spawn(logger("p", {}, logger("a"), slow));
  await until(() => log.includes("a starts"));
  await atRest();
  const end = system.whenTerminated(references.a!);
  const stopped = system.stop(parent);
  references.a!.tell("boom");
  await atRest();
  assert.is(world.timersWaiting, 0);
  open();
  await stopped;
  assert.is((await end).kind, "failed");
});

test("a stop during a suspension resolves only when the actor has ended", async () => {
  const { system } = await fixture();
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  let isStopping = false;
  const actor = system.spawn<string>({
    name: "a",
    start: () => ({
      receive: () => {
        throw new Error("boom");
      },
      stop: () => {
        isStopping = true;
        return opened;
      },
    }),
  });
  actor.tell("boom");
  await until(() => isStopping);
  let hasEnded = false;
  void system.whenTerminated(actor).then(() => {
    hasEnded = true;
  });
  const stopped = system.stop(actor);
  open();
  await stopped;
  await Promise.resolve();
  assert.ok(hasEnded);
});

test("a watch ends with the life that made it", async () => {
  const { world, system, log, logger } = await fixture();
  const watched = system.spawn(logger("watched"));
  let lives = 0;
  const watcher = system.spawn<string>({
    name: "watcher",
    start: (context) => {
      const life = ++lives;
      context.watch(watched, () => `gone, hears life ${life}`);
      return {
        receive: (word) => {
          if (word === "boom") throw new Error(word);
          log.push(word);
        },
      };
    },
  });
  watcher.tell("boom");
  await until(() => world.timersWaiting > 0);
  world.advance(10);
  await until(() => lives === 2);
  await system.stop(watched);
  await atRest();
  assert.equal(
    log.filter((line) => line.startsWith("gone")),
    ["gone, hears life 2"],
  );
  await system.shutdown();
});

test("a stop cancels the restarts that wait for their backoff", async () => {
  const { world, system, log, logger, references } = await fixture();
  const parent = system.spawn(logger("p", {}, logger("a")));
  await until(() => log.includes("a starts"));
  references.a!.tell("boom");
  await until(() => world.timersWaiting > 0);
  await system.stop(parent);
  assert.is(world.timersWaiting, 0);
});

test("a child that two restarts name is started once, by the newer restart", async () => {
  const { world, system, log, logger, references } = await fixture();
  system.spawn(logger("p", { supervision: { ...quick, strategy: "rest_for_one" } }, logger("a"), logger("b")));
  await until(() => log.includes("b starts"));
  references.b!.tell("boom");
  await until(() => world.timersWaiting === 1);
  world.advance(4);
  references.a!.tell("boom");
  await until(() => log.includes("a stops") && world.timersWaiting === 2);
  for (let stepMs = 0; stepMs < 10; stepMs += 1) {
    world.advance(1);
    await atRest();
  }
  await until(() => log.filter((line) => line === "b starts").length === 2);
  await atRest();
  assert.equal(log.slice(3), ["b stops", "a stops", "a starts", "b starts"]);
  await system.shutdown();
});

test.run();
