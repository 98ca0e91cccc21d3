import { test } from "uvu";
import * as assert from "uvu/assert";
import type { ActorReference, Termination } from "../../../../actors/kernel/actor.ts";
import { terminationSourceOf } from "../../../../actors/kernel/termination_source.ts";
import { PEER_LIMITS } from "../../../../actors/transport/peer/peer_frames.ts";
import { FencedError } from "../../../../protocols/errors.ts";
import { nodeId } from "../../../../protocols/position.ts";
import { linkUp, type PeerNode, startPeerNode, untilSo } from "../../../support/fakes/peer_node.ts";
import { seededRandom } from "../../../support/seeded_random.ts";

const [A, B, C] = [nodeId("a"), nodeId("b"), nodeId("c")];

/** A gate at which a handler waits, so that its mailbox fills. */
function gate() {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open };
}

async function pair(over: Parameters<typeof startPeerNode>[1] = {}): Promise<[PeerNode, PeerNode]> {
  const nodes = [await startPeerNode("a", over), await startPeerNode("b", over)] as [PeerNode, PeerNode];
  await linkUp(...nodes);
  return nodes;
}

const closeAll = (...nodes: readonly PeerNode[]) => Promise.all(nodes.map((node) => node.close()));

const isWhole = (node: PeerNode, other: typeof A): boolean => {
  const sizes = node.links.sizes(other);
  return sizes !== undefined && sizes.creditTargets === 0 && sizes.bytesUnderWay === 0 && sizes.inboundBytes === 0;
};

test("three nodes make one link between each two, and each side is told up once", async () => {
  const nodes = [await startPeerNode("a"), await startPeerNode("b"), await startPeerNode("c")];
  await linkUp(...nodes);
  assert.equal(
    nodes.map(({ events }) => [...events].sort()),
    [
      ["up b#1", "up c#1"],
      ["up a#1", "up c#1"],
      ["up a#1", "up b#1"],
    ],
  );
  await closeAll(...nodes);
});

test("transport T1: messages to one actor arrive in the order of the calls, in each lane", async () => {
  const [a, b] = await pair();
  const heard: { lane: string; n: number }[] = [];
  b.actor<{ lane: string; n: number }>("owner", (message) => void heard.push(message));
  const owner = a.links.reference<{ lane: string; n: number }>(B, "owner");
  const sent: Promise<boolean>[] = [];
  for (let n = 0; n < 3_000; n += 1) {
    owner.tell({ lane: "control", n });
    sent.push(owner.send({ lane: "data", n }, 5_000)); // 15 MB: most waits for credit
  }
  assert.ok((await Promise.all(sent)).every(Boolean));
  await untilSo(() => heard.length === 6_000, "all of it arrives");
  for (const lane of ["control", "data"]) {
    const numbers = heard.filter((message) => message.lane === lane).map(({ n }) => n);
    assert.equal(
      numbers,
      Array.from({ length: 3_000 }, (_, n) => n),
    );
  }
  await untilSo(() => isWhole(a, B) && isWhole(b, A), "credit comes back");
  await closeAll(a, b);
});

// Also shows N1: control leaves at once, and data waits for its actor's credit.
test("transport T2: control overtakes data that waits for credit, and the sender of data waits", async () => {
  const [a, b] = await pair();
  const { opened, open } = gate();
  const heard: string[] = [];
  b.actor<{ type: string }>(
    "owner",
    async ({ type }) => {
      heard.push(type);
      await opened;
    },
    { messagesMax: 1, weightBytesMax: 1 },
  );
  const owner = a.links.reference<{ type: string }>(B, "owner");
  const weight = PEER_LIMITS.targetBytesMax / 4;
  let taken = 0;
  const sent = Array.from({ length: 40 }, () => owner.send({ type: "data" }, weight).then(() => (taken += 1)));
  await untilSo(() => heard.length === 1, "the first is in hand");
  await untilSo(() => taken === 5, "the first gives its credit back, and the next four wait there");
  assert.not(owner.trySend({ type: "data" }, 1));
  const { creditTargets, bytesUnderWay } = a.links.sizes(B) ?? {};
  assert.equal([creditTargets, bytesUnderWay], [1, PEER_LIMITS.targetBytesMax]);
  await untilSo(() => b.links.sizes(A)?.inboundBytes === PEER_LIMITS.targetBytesMax, "the rest waits there");
  owner.tell({ type: "control" });
  open();
  await Promise.all(sent);
  await untilSo(() => heard.length === 41, "all of it arrives");
  assert.ok(heard.indexOf("control") <= 6, `control came at ${heard.indexOf("control")}`);
  await untilSo(() => isWhole(a, B) && isWhole(b, A), "credit comes back");
  await closeAll(a, b);
});

test("E19: an actor that takes nothing holds up no other actor of its node (N1)", async () => {
  const [a, b] = await pair();
  const { opened, open } = gate();
  b.actor("stuck", () => opened, { messagesMax: 1, weightBytesMax: 1 });
  let done = 0;
  b.actor("busy", () => {
    done += 1;
  });
  const stuck = a.links.reference<object>(B, "stuck");
  const busy = a.links.reference<object>(B, "busy");
  const waiting = Array.from({ length: 200 }, () => stuck.send({ bytes: new Uint8Array(50_000) }, 50_000));
  for (let n = 0; n < 200; n += 1) await busy.send({ bytes: new Uint8Array(50_000) }, 50_000);
  await untilSo(() => done === 200, "the other one goes on");
  await untilSo(() => a.links.sizes(B)?.creditTargets === 1, "its credit comes back");
  open();
  assert.ok((await Promise.all(waiting)).every(Boolean));
  await closeAll(a, b);
});

test("E19: two owners full of each other's appends still acknowledge", async () => {
  const [a, b] = await pair();
  type Append = { readonly type: "append"; readonly n: number; readonly bytes: Uint8Array; readonly replyTo: Replies };
  type Replies = ActorReference<{ readonly type: "ack"; readonly n: number }>;
  const acked = new Map<PeerNode, number>();
  const gates = [gate(), gate()] as const;
  const sides = [
    [a, b, gates[0]],
    [b, a, gates[1]],
  ] as const;
  const sends: Promise<boolean>[] = [];
  for (const [node, , { opened }] of sides) {
    // A tiny mailbox and an owner that waits first: everything is full in both directions before anything moves.
    node.actor<Append>(
      "owner",
      async ({ n, replyTo }) => {
        await opened;
        replyTo.tell({ type: "ack", n });
      },
      { messagesMax: 1, weightBytesMax: 1 },
    );
  }
  for (const [node, other] of sides) {
    const session = node.system.spawn<{ type: "ack"; n: number }>({
      name: "session",
      start: () => ({ receive: () => void acked.set(node, (acked.get(node) ?? 0) + 1) }),
    });
    const owner = node.links.reference<Append>(other.peer.node, "owner");
    for (let n = 0; n < 100; n += 1) {
      const bytes = new Uint8Array(100_000);
      sends.push(owner.send({ type: "append", n, bytes, replyTo: session }, 100_000));
    }
  }
  await untilSo(
    () => sides.every(([node, other]) => (node.links.sizes(other.peer.node)?.bytesUnderWay ?? 0) > 900_000),
    "both directions are full",
  );
  for (const { open } of gates) open();
  await untilSo(() => acked.get(a) === 100 && acked.get(b) === 100, "every append is acknowledged");
  assert.ok((await Promise.all(sends)).every(Boolean));
  await untilSo(() => isWhole(a, B) && isWhole(b, A), "credit comes back");
  await closeAll(a, b);
});

test("memory is bounded by the link's credit, whatever the number of actors: senders wait, and everything arrives", async () => {
  const limits = { targetBytesMax: 200_000, targetMessagesMax: 1_024, linkBytesMax: 600_000 };
  const [a, b] = await pair({ limits });
  const { opened, open } = gate();
  let arrived = 0;
  for (let n = 0; n < 10; n += 1) {
    b.actor(
      `owner-${n}`,
      async () => {
        await opened;
        arrived += 1;
      },
      { messagesMax: 1, weightBytesMax: 1 },
    );
  }
  const sends = Array.from({ length: 300 }, (_, n) =>
    a.links.reference(B, `owner-${n % 10}`).send({ bytes: new Uint8Array(50_000) }, 50_000),
  );
  await untilSo(() => a.links.sizes(B)?.bytesUnderWay === 600_000, "the link's credit is used up");
  await untilSo(() => b.links.sizes(A)?.inboundBytes === 600_000, "all that may be there is there");
  open();
  assert.ok((await Promise.all(sends)).every(Boolean));
  await untilSo(() => arrived === 300, "all of it arrives");
  await untilSo(() => isWhole(a, B) && isWhole(b, A), "credit comes back");
  await closeAll(a, b);
});

test("transport T4: a reference in a message can be answered to, stays the same, and is forgotten when its actor ends", async () => {
  const [a, b] = await pair();
  const seen = new Set<ActorReference<unknown>>();
  b.actor<{ replyTo: ActorReference<unknown>; n: number }>("owner", ({ replyTo, n }) => {
    seen.add(replyTo);
    replyTo.tell({ n });
  });
  const owner = a.links.reference<{ replyTo: ActorReference<{ n: number }>; n: number }>(B, "owner");
  const answers: number[] = [];
  const session = a.system.spawn<{ n: number }>({
    name: "session",
    start: () => ({ receive: ({ n }) => void answers.push(n) }),
  });
  for (let n = 0; n < 50; n += 1) owner.tell({ replyTo: session, n });
  await untilSo(() => answers.length === 50, "every answer arrives");
  assert.is(seen.size, 1);
  assert.equal([a.links.sizes(B)?.exports, b.links.sizes(A)?.imports], [1, 1]);
  const [remote] = seen;
  assert.match(remote?.path ?? "", /^a:.*session$/);
  const told: Termination[] = [];
  terminationSourceOf(remote as ActorReference<never>).onTerminated((termination) => told.push(termination));
  await a.system.stop(session);
  await untilSo(() => told.length === 1, "its end is told");
  assert.equal(told, [{ kind: "stopped" }]);
  assert.equal([a.links.sizes(B)?.exports, b.links.sizes(A)?.imports], [0, 0]);
  assert.not(await remote?.send({ n: 1 }, 1));
  assert.equal(b.deadLetters, ["a:1 stopped object"]);
  owner.tell({ replyTo: session, n: 50 }); // ended before it was sent: told after
  await untilSo(() => seen.size === 2, "it arrives as another");
  await untilSo(() => b.links.sizes(A)?.imports === 0, "and is forgotten");
  await closeAll(a, b);
});

test("transport T4: a reference sent back to its node is the actor itself, and one sent to a third node leads there", async () => {
  const nodes = [await startPeerNode("a"), await startPeerNode("b"), await startPeerNode("c")] as const;
  await linkUp(...nodes);
  const [a, b, c] = nodes;
  type Carrier = { readonly actor: ActorReference<string> };
  const heard: string[] = [];
  const session = a.system.spawn<string>({ name: "s", start: () => ({ receive: (word) => void heard.push(word) }) });
  const back: ActorReference<string>[] = [];
  a.actor<Carrier>("home", ({ actor }) => void back.push(actor));
  b.actor<Carrier>("mirror", ({ actor }) => {
    b.links.reference<Carrier>(A, "home").tell({ actor });
    b.links.reference<Carrier>(C, "far").tell({ actor });
  });
  c.actor<Carrier>("far", ({ actor }) => actor.tell("from afar"));
  a.links.reference<Carrier>(B, "mirror").tell({ actor: session });
  await untilSo(() => back.length === 1 && heard.length === 1, "both arrive");
  assert.is(back[0], session);
  assert.equal(heard, ["from afar"]);
  b.actor<Carrier>("named", ({ actor }) => void back.push(actor));
  const named = a.links.reference<Carrier>(B, "named");
  named.tell({ actor: named as never });
  await untilSo(() => back.length === 2, "a reference by name goes back too");
  assert.is(back[1]?.path, "named");
  await closeAll(...nodes);
});

type Question = { readonly n: number; readonly replyTo: ActorReference<number> };

test("a reply address of ask is forgotten with its answer; of references that cannot be watched the newest are kept", async () => {
  const [a, b] = await pair({ limits: { unwatchableExportsMax: 20 } });
  b.actor<Question>("oracle", ({ n, replyTo }) => replyTo.tell(n * 2));
  const oracle = a.links.reference<Question>(B, "oracle");
  for (let n = 0; n < 50; n += 1) {
    const ask = (replyTo: ActorReference<number>): Question => ({ n, replyTo });
    assert.is(await a.system.ask<Question, number>(oracle, ask, { timeoutMs: 10_000 }), n * 2);
  }
  assert.is(a.links.sizes(B)?.exports, 0);
  for (let n = 0; n < 200; n += 1) {
    const answer = await new Promise<number>((tell) => {
      const replyTo = { path: "unwatchable", tell, send: async () => false, trySend: () => false };
      oracle.tell({ n, replyTo });
    });
    assert.is(answer, n * 2);
  }
  assert.is(a.links.sizes(B)?.exports, 20);
  await untilSo(() => b.links.sizes(A)?.imports === 20, "the other side forgets them too");
  await closeAll(a, b);
});

test("a message with one reference too many is refused, and the link goes on", async () => {
  const [a, b] = await pair({ limits: { exportsMax: 3 } });
  const heard: number[] = [];
  b.actor<{ n: number }>("owner", ({ n }) => void heard.push(n));
  const owner = a.links.reference<{ n: number; of?: ActorReference<never> }>(B, "owner");
  const actors = [0, 1, 2, 3].map((n) =>
    a.system.spawn<never>({ name: `s${n}`, start: () => ({ receive: () => undefined }) }),
  );
  for (const n of [0, 1, 2]) owner.tell({ n, of: actors[n] as ActorReference<never> });
  assert.throws(() => owner.tell({ n: 3, of: actors[3] as ActorReference<never> }), /may have at most 3 references/);
  assert.throws(() => owner.send({ n: 3, of: actors[3] as ActorReference<never> }, 10), /may have at most 3/);
  owner.tell({ n: 4 });
  await untilSo(() => heard.includes(4), "the link goes on");
  assert.equal(heard, [0, 1, 2, 4]);
  assert.ok(isWhole(a, B));
  await closeAll(a, b);
});

test("a message that waited and then cannot be encoded is a dead letter, and the link goes on", async () => {
  const [a, b] = await pair();
  const { opened, open } = gate();
  b.actor("owner", () => opened, { messagesMax: 1, weightBytesMax: 1 });
  const owner = a.links.reference<object>(B, "owner");
  const weight = PEER_LIMITS.targetBytesMax;
  const sends = [{}, {}, { type: "bad", run: () => undefined }, {}].map((message) => owner.send(message, weight));
  open();
  assert.equal(await Promise.all(sends), [true, true, false, true]);
  assert.equal([a.deadLetters, a.problems], [["b:owner stopped bad"], ["INVARIANT_VIOLATED"]]);
  await untilSo(() => isWhole(a, B) && isWhole(b, A), "credit comes back");
  assert.equal(a.events, ["up b#1"]);
  await closeAll(a, b);
});

test("N2: senders that wait for an actor which ends get false, and the credit comes back", async () => {
  const [a, b] = await pair();
  const { opened, open } = gate();
  const session = a.system.spawn<object>({
    name: "session",
    mailbox: { messagesMax: 1, weightBytesMax: 1 },
    start: () => ({ receive: () => opened }),
  });
  let remote: ActorReference<object> | undefined;
  b.actor<{ replyTo: ActorReference<object> }>("owner", ({ replyTo }) => {
    remote = replyTo;
  });
  a.links.reference<object>(B, "owner").tell({ replyTo: session });
  await untilSo(() => remote !== undefined, "the reference arrives");
  const sends = Array.from({ length: 9 }, () => remote?.send({ type: "records" }, PEER_LIMITS.targetBytesMax));
  await untilSo(() => a.links.sizes(B)?.inboundBytes === PEER_LIMITS.targetBytesMax, "it takes no more");
  const stopped = a.system.stop(session);
  open();
  await stopped;
  const results = await Promise.all(sends);
  assert.equal(results.slice(0, 2), [true, true]);
  assert.equal(results.slice(2), new Array(7).fill(false));
  assert.is(b.deadLetters.length, 7);
  await untilSo(() => isWhole(a, B) && isWhole(b, A), "credit comes back");
  await closeAll(a, b);
});

test("transport T3: without a link every message is a dead letter at once; with the link messages arrive", async () => {
  const [a, b] = [await startPeerNode("a"), await startPeerNode("b")];
  const heard: object[] = [];
  b.actor<object>("owner", (message) => void heard.push(message));
  const owner = a.links.reference<{ type: string }>(B, "owner");
  owner.tell({ type: "told" });
  assert.not(await owner.send({ type: "sent" }, 10));
  assert.not(owner.trySend({ type: "tried" }, 10));
  assert.equal(
    a.deadLetters,
    ["told", "sent", "tried"].map((type) => `b:owner unknown_actor ${type}`),
  );
  const told: Termination[] = [];
  terminationSourceOf(owner as ActorReference<never>).onTerminated((termination) => told.push(termination));
  assert.is(told[0]?.kind === "failed" && (told[0].error as { code?: string }).code, "CONNECTION_LOST");
  await linkUp(a, b);
  owner.tell({ type: "later" });
  await untilSo(() => heard.length === 1, "it arrives");
  assert.equal(heard, [{ type: "later" }]);
  await closeAll(a, b);
});

test("a message to a name that has no actor is a dead letter there, and its credit comes back (N2)", async () => {
  const [a, b] = await pair();
  const nobody = a.links.reference<{ type: string }>(B, "nobody");
  nobody.tell({ type: "told" });
  for (let n = 0; n < 50; n += 1) assert.ok(await nobody.send({ type: "sent" }, PEER_LIMITS.targetBytesMax));
  await untilSo(() => b.deadLetters.length === 51, "each is counted");
  assert.equal(b.deadLetters.slice(0, 2), ["nobody unknown_actor told", "nobody unknown_actor sent"]);
  await untilSo(() => isWhole(a, B) && isWhole(b, A), "credit comes back");
  await closeAll(a, b);
});

test("a watch over a link tells the end of an actor, its withdrawal, and its absence", async () => {
  const [a, b] = await pair();
  const told: string[] = [];
  const watch = (name: string) =>
    terminationSourceOf(a.links.reference<never>(B, name)).onTerminated((termination) =>
      told.push(
        `${name} ${termination.kind} ${termination.kind === "failed" ? (termination.error as Error).message : ""}`.trim(),
      ),
    );
  const ended = b.actor("ended", () => undefined);
  const failing = b.actor("failing", () => {
    throw new FencedError("NOT_OWNER", "not mine");
  });
  const withdrawn = b.links.publish(
    "withdrawn",
    b.actor("kept", () => undefined),
  );
  watch("absent");
  watch("ended");
  watch("withdrawn");
  watch("failing");
  const unwatch = watch("kept");
  await untilSo(() => told.length === 1, "that nobody is there");
  await untilSo(() => b.links.sizes(A)?.watches === 4, "the watches stand");
  unwatch();
  await untilSo(() => b.links.sizes(A)?.watches === 3, "one is withdrawn");
  await b.system.stop(ended);
  withdrawn.stop();
  failing.tell({});
  await untilSo(() => told.length === 4, "all ends are told");
  assert.equal(told.sort(), ["absent stopped", "ended stopped", "failing failed not mine", "withdrawn stopped"]);
  assert.equal([a.links.sizes(B)?.watches, b.links.sizes(A)?.watches], [0, 0]);
  await closeAll(a, b);
});

test("a name that is published anew leads to the later actor, even after the former one is withdrawn", async () => {
  const [a, b] = await pair();
  const heard: string[] = [];
  const told: string[] = [];
  const actorOf = (name: string) =>
    b.system.spawn<string>({ name, start: () => ({ receive: (word) => void heard.push(`${name} hears ${word}`) }) });
  const member = a.links.reference<string>(B, "member");
  const [first, second] = [actorOf("first"), actorOf("second")];
  const former = b.links.publish("member", first);
  terminationSourceOf(member as ActorReference<never>).onTerminated(({ kind }) => told.push(kind));
  await untilSo(() => b.links.sizes(A)?.watches === 1, "the watch stands");
  const later = b.links.publish("member", second);
  await untilSo(() => told.length === 1, "the former's watchers are told");
  former.stop();
  await b.system.stop(first);
  member.tell("one");
  await untilSo(() => heard.length === 1, "it arrives");
  later.stop();
  member.tell("two");
  await untilSo(() => b.deadLetters.length === 1, "nobody is there");
  assert.equal([heard, told], [["second hears one"], ["stopped"]]);
  await closeAll(a, b);
});

test("names that come and go leave no listener with their actor", async () => {
  const a = await startPeerNode("a");
  const listeners = new Set<unknown>();
  const actor = {
    path: "partition",
    tell: () => undefined,
    send: async () => true,
    trySend: () => true,
    onTerminated: (listener: unknown) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  for (let n = 0; n < 10; n += 1) a.links.publish(`partition-${n}`, actor).stop();
  a.links.publish("again", actor);
  a.links.publish("again", actor).stop();
  assert.is(listeners.size, 0);
  await a.close();
});

test("an actor that watches an actor of another node is told when that node's sockets are gone (transport T3)", async () => {
  const [a, b] = await pair();
  const told: Termination[] = [];
  b.actor("owner", () => undefined);
  const owner = a.links.reference<never>(B, "owner");
  a.system.spawn<Termination>({
    name: "watcher",
    start: (context) => {
      context.watch(owner, (termination) => termination);
      return { receive: (termination) => void told.push(termination) };
    },
  });
  await untilSo(() => b.links.sizes(A)?.watches === 1, "the watch stands");
  b.kill();
  await untilSo(() => told.length === 1, "it is told");
  assert.is(told[0]?.kind === "failed" && (told[0].error as { code?: string }).code, "CONNECTION_LOST");
  await closeAll(a, b);
});

test("N3: when a link ends, senders that wait get false, and references that came by it lead to dead letters", async () => {
  const [a, b] = await pair();
  const { opened, open } = gate();
  const kept: ActorReference<unknown>[] = [];
  b.actor<{ replyTo?: ActorReference<unknown> }>(
    "owner",
    ({ replyTo }) => {
      if (replyTo !== undefined) kept.push(replyTo);
      return opened;
    },
    { messagesMax: 1, weightBytesMax: 1 },
  );
  const owner = a.links.reference<object>(B, "owner");
  const session = a.system.spawn<unknown>({ name: "session", start: () => ({ receive: () => undefined }) });
  owner.tell({ replyTo: session });
  await untilSo(() => kept.length === 1, "the reference arrives");
  const sends = Array.from({ length: 30 }, () => owner.send({ type: "append" }, PEER_LIMITS.targetBytesMax));
  b.kill();
  const results = await Promise.all(sends);
  assert.ok(results.includes(false) && !results.slice(results.indexOf(false)).includes(true));
  assert.is(a.deadLetters.length, results.filter((isSent) => !isSent).length);
  await untilSo(() => !b.links.isUp(A), "the other side notices");
  assert.not(await kept[0]?.send("too late", 1));
  assert.is(b.deadLetters.at(-1), "a:1 unknown_actor string");
  open();
  await closeAll(a, b);
});

test("N2: credit is whole again after many sends to many actors over links that break", async () => {
  const random = seededRandom(7);
  const limits = { targetBytesMax: 50_000, targetMessagesMax: 20, linkBytesMax: 150_000 };
  const [a, b] = await pair({ limits });
  let arrived = 0;
  for (let n = 0; n < 6; n += 1) {
    b.actor(
      `owner-${n}`,
      async () => {
        arrived += 1;
        if (random.chance(0.2)) await new Promise((resolve) => setImmediate(resolve));
      },
      { messagesMax: 3, weightBytesMax: 40_000 },
    );
  }
  for (let round = 0; round < 6; round += 1) {
    const before = arrived;
    const sends = Array.from({ length: 400 }, () => {
      const bytes = random.below(random.chance(0.05) ? 90_000 : 9_000);
      return a.links.reference(B, `owner-${random.below(6)}`).send({ bytes: new Uint8Array(bytes) }, bytes);
    });
    if (round % 2 === 0) {
      assert.ok((await Promise.all(sends)).every(Boolean));
      await untilSo(() => arrived === before + 400, "all of it arrives");
      await untilSo(() => isWhole(a, B) && isWhole(b, A), "credit comes back");
    } else {
      await untilSo(() => arrived > before + 50, "some of it arrives");
      a.links.keep([]); // in the midst
      const results = await Promise.all(sends);
      assert.ok(results.includes(false));
      await untilSo(() => !b.links.isUp(A), "the other side notices");
      await linkUp(a, b);
      assert.ok(isWhole(a, B) && isWhole(b, A));
    }
  }
  await closeAll(a, b);
});

test("each node tells its grant, so that nodes with different limits, as of other releases, count alike", async () => {
  const a = await startPeerNode("a", { limits: { targetBytesMax: 50_000, linkBytesMax: 120_000 } });
  const b = await startPeerNode("b");
  await linkUp(a, b);
  const { opened, open } = gate();
  let arrived = 0;
  for (const node of [a, b]) {
    node.actor(
      "owner",
      async () => {
        await opened;
        arrived += 1;
      },
      { messagesMax: 1, weightBytesMax: 1 },
    );
  }
  const sends = [a, b].flatMap((node) => {
    const owner = node.links.reference<object>(node === a ? B : A, "owner");
    return Array.from({ length: 30 }, () => owner.send({}, 200_000));
  });
  await untilSo(() => a.links.sizes(B)?.bytesUnderWay === 1_000_000, "the share that the larger one gives");
  await untilSo(() => b.links.sizes(A)?.bytesUnderWay === 50_000, "and the smaller one's");
  open();
  assert.ok((await Promise.all(sends)).every(Boolean));
  await untilSo(() => arrived === 60, "all of it arrives");
  await untilSo(() => isWhole(a, B) && isWhole(b, A), "credit comes back");
  assert.equal([a.events, b.events], [["up b#1"], ["up a#1"]]);
  await closeAll(a, b);
});

test("a group of appends of 3 MB arrives with its bytes unchanged", async () => {
  const [a, b] = await pair();
  const events = Uint8Array.from({ length: 3_000_000 }, (_, at) => at % 251);
  let arrived: Uint8Array | undefined;
  b.actor<{ items: { batch: { events: Uint8Array; rejects?: undefined } }[] }>("owner", ({ items }) => {
    arrived = items[1]?.batch.events;
  });
  const owner = a.links.reference<object>(B, "owner");
  const items = [{ batch: { events: Uint8Array.of(1) } }, { batch: { events, rejects: undefined } }];
  assert.ok(await owner.send({ type: "append", items }, 3_000_001));
  await untilSo(() => arrived !== undefined, "it arrives");
  assert.ok(Buffer.compare(arrived as Uint8Array, events) === 0);
  await closeAll(a, b);
});

test("a node reaches its own published actors by the same references", async () => {
  const a = await startPeerNode("a");
  const heard: string[] = [];
  const own = a.links.reference<string>(A, "member");
  own.tell("too early");
  assert.equal(a.deadLetters, ["member unknown_actor string"]);
  a.actor<string>("member", (word) => void heard.push(word));
  own.tell("hello");
  assert.ok(await own.send("data", 4));
  await untilSo(() => heard.length === 2, "both arrive");
  assert.ok(a.links.isUp(A));
  await closeAll(a);
});

test.run();
