/** The producer's machine among several nodes: partitions move while batches, answers and connections are under way. */
import * as fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { SILENCE_ELSEWHERE_MS, SILENCE_MS, SILENT_LOOKS } from "../../../../protocols/client/link.ts";
import { allLinks, HOME } from "../../../../protocols/client/links.ts";
import { stepProducer } from "../../../../protocols/client/producer/producer_machine.ts";
import type { ProducerEffect, ProducerMessage } from "../../../../protocols/client/producer/producer_messages.ts";
import { createProducer, type ProducerState } from "../../../../protocols/client/producer/producer_state.ts";
import { encodeEvents } from "../../../../protocols/values/event_codec.ts";
import type { ClientFrame, NodeFrame } from "../../../../protocols/wire/frames.ts";
import { ClientHarness } from "../../../support/clients/client_harness.ts";
import { ModelCluster } from "../../../support/fakes/model_cluster.ts";

/** A frame on its way to the cluster, and its size in bytes of the connection's credit. */
interface Sent {
  readonly frame: ClientFrame;
  readonly bytes: number;
}

/** The machine against the cluster, whose nodes are known by their addresses. */
class Harness extends ClientHarness<Sent, string> {
  readonly cluster: ModelCluster;
  readonly state: ProducerState;
  readonly settled: { readonly id: number; readonly how: string }[] = [];
  readonly moves: (string | undefined)[] = [];
  linksMax = 0;
  private nextId = 0;

  constructor(
    cluster: ModelCluster,
    options: { addresses?: readonly string[]; ownersMax?: number; forward?: boolean } = {},
  ) {
    super();
    this.cluster = cluster;
    const { addresses = cluster.addresses.slice(0, 1), ownersMax, forward } = options;
    this.state = createProducer({
      client: "test",
      producerId: "p",
      instance: "i",
      addresses,
      dedupeWindowMs: 86_400_000,
      forward,
      ...(ownersMax === undefined ? {} : { ownersMax }),
    });
    this.step({ type: "start" });
  }

  step(message: ProducerMessage): void {
    const [, effects] = stepProducer(this.state, message, this.nowMs);
    for (const effect of effects) this.perform(effect);
    this.linksMax = Math.max(this.linksMax, allLinks(this.state.links).length);
  }

  private perform(effect: ProducerEffect): void {
    switch (effect.type) {
      case "connect":
      case "disconnect":
      case "set_timer":
        this.performLink(effect);
        break;
      case "send":
        this.wires.get(effect.link)?.toNode.push({ frame: effect.frame, bytes: 0 });
        break;
      case "send_append": {
        const { link, frame, estimatedBytes } = effect;
        const wireBytes = frame.events.length + 200;
        this.wires.get(link)?.toNode.push({ frame, bytes: wireBytes });
        this.step({ type: "sent", link, frame, wireBytes, estimatedBytes });
        break;
      }
      case "acked":
        for (const { id } of effect.batches) this.settled.push({ id, how: "acked" });
        break;
      case "in_doubt":
        for (const { id } of effect.batches) this.settled.push({ id, how: "in_doubt" });
        break;
      case "refused":
        this.settled.push({ id: effect.batch.id, how: "refused" });
        break;
      case "moved":
        this.moves.push(effect.address);
        break;
      default:
        break;
    }
  }

  batch(partition: number, events: readonly object[]): void {
    const id = this.nextId++;
    const bytes = encodeEvents(events, { asRecords: true });
    this.step({
      type: "batch",
      batch: { id, stream: "readings", partition, events: bytes, count: events.length },
    });
  }

  protected open(address: string): string {
    return address;
  }

  protected answers(address: string, { frame, bytes }: Sent): readonly NodeFrame[] {
    return this.cluster.take(address, frame, bytes);
  }

  stored(partition = 0): number[] {
    return this.cluster.log.log("readings", partition).map(({ event }) => event.n as number);
  }

  linkOf(partition: number): string | undefined {
    return this.state.chains.get(`readings/${partition}`)?.link;
  }
}

const numbers = (count: number): number[] => Array.from({ length: count }, (_, n) => n);

test("a moved partition is followed to its owner in order, and nothing is stored twice", () => {
  const cluster = new ModelCluster(["a", "b"], 1);
  const harness = new Harness(cluster);
  for (const n of [0, 1, 2]) harness.batch(0, [{ n }]);
  harness.settle();
  for (const n of [3, 4, 5]) harness.batch(0, [{ n }]);
  cluster.move(0, "b");
  for (const address of cluster.addresses) cluster.learn(address);
  for (const n of [6, 7]) harness.batch(0, [{ n }]);
  harness.settle();
  assert.equal(harness.stored(), numbers(8));
  assert.equal(
    harness.settled.map(({ id }) => id),
    numbers(8),
  );
  assert.is(harness.linkOf(0), "b");
  assert.ok(harness.moves.includes("b"));
  assert.is(harness.nowMs, 1_000_000); // followed at once
});

const moving = (partition: number, address: string): NodeFrame => ({
  type: "moving",
  stream: "readings",
  partition,
  address,
});

test("an announced move has its connection before it happens; until then appends go to the owner of now (links L6)", () => {
  const cluster = new ModelCluster(["a", "b"], 1);
  const harness = new Harness(cluster);
  harness.batch(0, [{ n: 0 }]);
  harness.settle();
  harness.say(HOME, moving(0, "b"));
  harness.say(HOME, moving(0, "b")); // a second announcement makes no second connection
  harness.settle();
  assert.equal(
    harness.attempts.map(({ address }) => address),
    ["a", "b"],
  );
  harness.batch(0, [{ n: 1 }]);
  harness.settle();
  assert.is(harness.linkOf(0), HOME);
  assert.is(cluster.appends.at(-1)?.address, "a");
  cluster.move(0, "b");
  for (const address of cluster.addresses) cluster.learn(address);
  harness.batch(0, [{ n: 2 }]);
  harness.settle();
  assert.is(harness.linkOf(0), "b");
  assert.is(harness.attempts.length, 2, "no connection was made for it");
  assert.equal(harness.stored(), numbers(3));
});

test("an announced move makes no connection for a client that stays, is at its limit, or has no chain there (links L6)", () => {
  const attemptsAfter = (options: ConstructorParameters<typeof Harness>[1], partition: number): number => {
    const cluster = new ModelCluster(["a", "b", "c"], 2);
    cluster.namesOwners = true;
    cluster.move(1, "b");
    for (const address of cluster.addresses) cluster.learn(address);
    const harness = new Harness(cluster, options);
    harness.batch(0, [{ n: 0 }]);
    if (options?.forward !== true) harness.batch(1, [{ n: 1 }]);
    harness.settle();
    const before = harness.attempts.length;
    harness.say(HOME, moving(partition, "c"));
    harness.settle();
    return harness.attempts.length - before;
  };
  assert.is(attemptsAfter({}, 0), 1);
  assert.is(attemptsAfter({ forward: true }, 0), 0);
  assert.is(attemptsAfter({ ownersMax: 1 }, 0), 0);
  assert.is(attemptsAfter({}, 1), 0);
});

test("a chain whose `moved` named no owner waits, and follows the owner once a node names it", () => {
  const cluster = new ModelCluster(["a", "b"], 1);
  const harness = new Harness(cluster);
  harness.batch(0, [{ n: 0 }]);
  harness.settle();
  cluster.move(0, "b");
  const about = { stream: "readings", partition: 0 } as const;
  harness.say(HOME, { type: "moved", ...about }); // home has given the partition up, and does not know the next owner
  const waitedUntilMs = harness.timers.get("chain readings/0") ?? Number.NaN;
  for (const address of cluster.addresses) cluster.learn(address);
  harness.batch(0, [{ n: 1 }]);
  harness.settle();
  assert.equal(harness.stored(), [0, 1]);
  assert.is(harness.nowMs, waitedUntilMs);
});

test("P8: a frozen owner is given up within 4 s, and its partitions go to their next owner", () => {
  const cluster = new ModelCluster(["a", "b", "c"], 1);
  cluster.namesOwners = true;
  cluster.move(0, "b");
  for (const address of cluster.addresses) cluster.learn(address);
  const harness = new Harness(cluster);
  harness.batch(0, [{ n: 0 }]);
  harness.settle();
  harness.batch(0, [{ n: 1 }]); // the frozen node never reads it
  const frozenAtMs = harness.nowMs;
  cluster.move(0, "c");
  for (const address of cluster.addresses) cluster.learn(address);
  for (let look = 0; look <= SILENT_LOOKS; look += 1) {
    const dueMs = harness.timers.get("silence b") ?? Number.NaN;
    harness.timers.delete("silence b");
    harness.nowMs = dueMs;
    harness.step({ type: "timer", timer: "silence b" });
  }
  assert.ok(harness.nowMs - frozenAtMs <= 4_000, `${harness.nowMs - frozenAtMs} ms`);
  harness.settle();
  assert.is(harness.linkOf(0), "c");
  assert.equal(harness.stored(), numbers(2));
});

test("P8: a client that knows one node waits 30 s for an answer; one that knows several waits 3 s", () => {
  const silence = (addresses: readonly string[], namesOwners = false): number => {
    const cluster = new ModelCluster(["a", "b"], 1);
    cluster.namesOwners = namesOwners;
    cluster.move(0, "b");
    for (const address of cluster.addresses) cluster.learn(address);
    const harness = new Harness(cluster, { addresses });
    harness.settle();
    return harness.state.links.home.silenceMs;
  };
  assert.is(silence(["a"]), SILENCE_MS);
  assert.is(silence(["a", "b"]), SILENCE_ELSEWHERE_MS);
  assert.is(silence(["a"], true), SILENCE_ELSEWHERE_MS);
});

test("batches go to each partition's owner, over one connection for each owner", () => {
  const cluster = new ModelCluster(["a", "b", "c"], 6);
  for (const partition of numbers(6)) cluster.move(partition, cluster.addresses[partition % 3] ?? "");
  for (const address of cluster.addresses) cluster.learn(address);
  const harness = new Harness(cluster);
  for (const n of numbers(60)) harness.batch(n % 6, [{ n }]);
  harness.settle();
  for (const partition of numbers(6)) {
    assert.equal(
      harness.stored(partition),
      numbers(60).filter((n) => n % 6 === partition),
    );
  }
  assert.equal(
    harness.attempts.map(({ address }) => address),
    ["a", "b", "c"],
  );
  assert.ok(cluster.appends.every(({ address, partition }) => address === cluster.owners[partition]));
});

test("a chain goes straight to the owner that the welcome names", () => {
  const cluster = new ModelCluster(["a", "b"], 3);
  cluster.namesOwners = true;
  cluster.move(1, "b");
  cluster.move(2, "b");
  cluster.learn("a");
  cluster.learn("b");
  const harness = new Harness(cluster);
  harness.batch(1, [{ n: 0 }]); // before the welcome
  harness.settle();
  harness.batch(0, [{ n: 1 }]);
  harness.batch(2, [{ n: 2 }]);
  harness.settle();
  assert.equal(harness.moves, []);
  assert.equal(cluster.opens.map(({ address, partition }) => `${partition} at ${address}`).sort(), [
    "0 at a",
    "1 at b",
    "2 at b",
  ]);
});

test("a partition without a known owner is opened again on the same link, after growing waits", () => {
  const cluster = new ModelCluster(["a"], 1);
  cluster.believe("a", 0, undefined);
  const harness = new Harness(cluster);
  harness.batch(0, [{ n: 0 }]);
  harness.settle(5);
  assert.ok(harness.nowMs - 1_000_000 >= 20 + 40 + 80 + 160 + 320);
  assert.is(harness.attempts.length, 1);
  cluster.learn("a");
  harness.settle();
  assert.equal(harness.stored(), [0]);
});

test("nodes that point at each other are asked after growing waits, until one of them owns the partition", () => {
  const cluster = new ModelCluster(["a", "b"], 1);
  cluster.believe("a", 0, "b");
  cluster.believe("b", 0, "a");
  const harness = new Harness(cluster);
  harness.batch(0, [{ n: 0 }]);
  harness.settle(10);
  assert.ok(harness.nowMs - 1_000_000 >= 600, `${harness.nowMs}`);
  assert.ok(harness.moves.length <= 12, `${harness.moves.length}`); // both are asked, then it waits
  cluster.learn("a");
  harness.settle();
  assert.equal(harness.stored(), [0]);
});

test("P10: the chain of an owner that cannot be reached goes home, and the owner is tried after growing waits", () => {
  const cluster = new ModelCluster(["a", "b"], 2);
  cluster.move(0, "b");
  cluster.learn("a");
  const harness = new Harness(cluster);
  harness.down.add("b");
  harness.batch(0, [{ n: 0 }]);
  harness.batch(1, [{ n: 1 }]);
  harness.settle(10);
  assert.equal(harness.stored(1), [1]); // another partition does not wait for it
  const tries = harness.attempts.filter(({ address }) => address === "b").map(({ atMs }) => atMs);
  const gaps = tries.slice(1).map((atMs, index) => atMs - (tries[index] ?? 0));
  assert.ok(gaps.length >= 5 && gaps.slice(1).every((gap, index) => gap >= (gaps[index] ?? 0)), gaps.join());
  cluster.move(0, "a");
  cluster.learn("a");
  harness.settle();
  assert.equal(harness.stored(0), [0]);
});

test("a chain whose link to its owner breaks goes home, then to the owner again, and stores each event once (links L2)", () => {
  const cluster = new ModelCluster(["a", "b"], 1);
  cluster.move(0, "b");
  cluster.learn("a");
  cluster.learn("b");
  const harness = new Harness(cluster);
  harness.batch(0, [{ n: 0 }]);
  harness.settle();
  harness.batch(0, [{ n: 1 }]);
  harness.nodeTakesOne("b"); // stored; the ack is lost
  harness.cut("b");
  harness.settle();
  assert.equal(harness.stored(), [0, 1]);
  assert.is(harness.linkOf(0), "b");
  assert.equal(
    harness.settled.map(({ how }) => how),
    ["acked", "acked"],
  );
});

test("batches still reach their owners while every given address is down", () => {
  const cluster = new ModelCluster(["a", "b"], 1);
  cluster.move(0, "b");
  cluster.learn("a");
  cluster.learn("b");
  const harness = new Harness(cluster);
  harness.batch(0, [{ n: 0 }]);
  harness.settle();
  harness.down.add("a");
  harness.cut(HOME);
  harness.batch(0, [{ n: 1 }]);
  harness.settle(5);
  assert.equal(harness.stored(), [0, 1]);
});

test("where home never comes back, home tries a node that it named; a client that stays knows none (links L1)", () => {
  for (const forward of [false, true]) {
    const cluster = new ModelCluster(["a", "b"], 2);
    cluster.namesOwners = true;
    cluster.move(1, "b");
    cluster.learn("a");
    cluster.learn("b");
    const harness = new Harness(cluster, { forward });
    harness.settle(2);
    harness.down.add("a");
    harness.cut(HOME);
    cluster.move(0, "b");
    cluster.learn("b");
    harness.batch(0, [{ n: 0 }]);
    harness.settle(20);
    assert.equal(harness.stored(), forward ? [] : [0]);
  }
});

test("a client that stays follows no owner (links L5)", () => {
  const cluster = new ModelCluster(["a", "b"], 1);
  cluster.namesOwners = true;
  cluster.move(0, "b");
  cluster.learn("a");
  cluster.learn("b");
  const harness = new Harness(cluster, { forward: true });
  harness.batch(0, [{ n: 0 }]);
  harness.settle(20);
  assert.is(harness.linksMax, 1);
  assert.is(harness.linkOf(0), HOME);
});

test("a client has no more links to owners than its limit, and every partition is served (links L3)", () => {
  const addresses = ["a", "b", "c", "d", "e", "f"];
  const cluster = new ModelCluster(addresses, 12);
  for (const partition of numbers(12)) cluster.move(partition, addresses[partition % 6] ?? "");
  for (const address of addresses) cluster.learn(address);
  const harness = new Harness(cluster, { ownersMax: 2 });
  for (const n of numbers(120)) harness.batch(n % 12, [{ n }]);
  harness.settle();
  assert.is(harness.linksMax, 3);
  for (const partition of numbers(12)) {
    assert.equal(
      harness.stored(partition),
      numbers(120).filter((n) => n % 12 === partition),
    );
  }
});

test("a connection that no partition uses any more is closed", () => {
  const cluster = new ModelCluster(["a", "b"], 1);
  cluster.move(0, "b");
  cluster.learn("a");
  cluster.learn("b");
  const harness = new Harness(cluster);
  harness.batch(0, [{ n: 0 }]);
  harness.settle();
  cluster.move(0, "a");
  cluster.learn("a");
  cluster.learn("b");
  harness.batch(0, [{ n: 1 }]);
  harness.settle();
  assert.equal([...harness.wires.keys()], [HOME]); // home is the owner's own address: no second connection to it
  assert.equal(harness.stored(), [0, 1]);
});

test("a move gives back the credit of the appends that it answers", () => {
  const cluster = new ModelCluster(["a", "b"], 2);
  cluster.log.creditBytes = 5_000;
  const harness = new Harness(cluster);
  harness.batch(0, [{ n: 0 }]);
  harness.batch(1, [{ n: 1 }]);
  harness.settle();
  for (const n of [2, 3, 4]) harness.batch(0, [{ n, text: "x".repeat(700) }]);
  cluster.move(0, "b");
  cluster.learn("a");
  cluster.learn("b");
  harness.settle();
  assert.equal(harness.stored(0), [0, 2, 3, 4]);
  for (const link of allLinks(harness.state.links)) assert.is(link.credit.availableBytes, 5_000, link.name);
});

test("P11: a connection with a lower epoch greets again before a chain goes back to it", () => {
  const cluster = new ModelCluster(["a", "b"], 2);
  const harness = new Harness(cluster);
  harness.batch(0, [{ n: 0 }]);
  harness.batch(1, [{ n: 1 }]);
  harness.settle();
  for (const [to, n] of [["b", 2] as const, ["a", 3] as const, ["b", 4] as const]) {
    cluster.move(0, to);
    cluster.learn("a");
    cluster.learn("b");
    harness.batch(0, [{ n }]);
    harness.settle();
  }
  assert.equal(harness.stored(0), [0, 2, 3, 4]);
  assert.is(harness.state.isStopped, false);
});

test("P9: frames of a former owner about a chain give their credit back and change nothing else", () => {
  const cluster = new ModelCluster(["a", "b"], 1);
  const harness = new Harness(cluster);
  harness.batch(0, [{ n: 0 }]);
  harness.settle();
  cluster.move(0, "b");
  cluster.learn("a");
  cluster.learn("b");
  harness.batch(0, [{ n: 1 }]);
  harness.settle();
  harness.batch(0, [{ n: 2 }]); // under way at b
  const about = { stream: "readings", partition: 0 } as const;
  const { credit } = harness.state.links.home;
  const beforeBytes = credit.availableBytes;
  harness.say(HOME, { type: "ack", ...about, lastSequence: [0, 2, 0], creditBytes: 100 });
  assert.is(credit.availableBytes, beforeBytes + 100);
  harness.say(HOME, { type: "gap", ...about, storedSequence: null, creditBytes: 0 });
  harness.say(HOME, { type: "moved", ...about, address: "a" });
  harness.say(HOME, { type: "error", ...about, code: "STALE_PRODUCER_EPOCH", message: "as it opened at b" });
  assert.is(harness.settled.length, 2);
  harness.settle();
  assert.equal(harness.stored(), [0, 1, 2]);
  assert.is(harness.linkOf(0), "b");
  assert.equal(
    cluster.opens.map(({ address }) => address),
    ["a", "b"],
  );
});

test("an answer from before a move is not taken for a loss (E6)", () => {
  const cluster = new ModelCluster(["a", "b"], 2);
  cluster.keepsEpoch = true;
  const harness = new Harness(cluster);
  harness.batch(0, [{ n: 0 }]);
  harness.batch(1, [{ n: 100 }]);
  harness.settle();
  const about = { stream: "readings", partition: 0 } as const;
  harness.say(HOME, { type: "gap", ...about, storedSequence: [0, 0, 0], creditBytes: 0 });
  harness.wires.get(HOME)?.toNode.splice(0); // the answer to this `open` comes late
  cluster.move(0, "b");
  cluster.learn("b");
  harness.say(HOME, { type: "moved", ...about, address: "b" });
  harness.batch(0, [{ n: 1 }]);
  harness.settle();
  cluster.move(0, "a");
  cluster.learn("b");
  harness.say("b", { type: "moved", ...about, address: "a" });
  harness.say(HOME, { type: "opened", ...about, lastSequence: [0, 0, 0] });
  harness.batch(0, [{ n: 2 }]);
  harness.settle();
  assert.equal(harness.stored(), [0, 1, 2]);
  assert.equal(cluster.log.lost, []);
});

test("a real loss is declared after a move as well (E6)", () => {
  const cluster = new ModelCluster(["a", "b"], 1);
  const harness = new Harness(cluster);
  for (const n of [0, 1, 2]) harness.batch(0, [{ n }]);
  harness.settle();
  cluster.log.loseTail("readings", 0, 2);
  cluster.move(0, "b");
  cluster.learn("a");
  cluster.learn("b");
  harness.batch(0, [{ n: 3 }]);
  harness.settle();
  assert.equal(harness.stored(), [0, 3]);
  assert.equal(cluster.log.lost, [{ from: [0, 0, 0], to: [0, 2, 0] }]);
});

test("a client whose home uses TLS follows no owner without TLS (links L4)", () => {
  const cluster = new ModelCluster(["wss://a", "ws://b", "wss://c"], 2);
  cluster.namesOwners = true;
  cluster.believe("wss://a", 0, "ws://b");
  cluster.believe("wss://a", 1, "wss://c");
  const harness = new Harness(cluster);
  harness.batch(0, [{ n: 0 }]);
  harness.batch(1, [{ n: 1 }]);
  harness.settle(5);
  assert.equal([...new Set(harness.attempts.map(({ address }) => address))], ["wss://a", "wss://c"]);
});

test("whatever moves, breaks or is told late, every event is stored exactly once and in order", () => {
  const addresses = ["a", "b", "c"];
  const partitions = 3;
  const address = fc.constantFrom(...addresses);
  const partition = fc.nat({ max: partitions - 1 });
  const link = fc.nat({ max: 3 });
  const action = fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({ kind: fc.constant("batch" as const), partition, count: fc.integer({ min: 1, max: 3 }) }),
    },
    { weight: 10, arbitrary: fc.record({ kind: fc.constant("node" as const), link }) },
    { weight: 10, arbitrary: fc.record({ kind: fc.constant("client" as const), link }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant("connect" as const), link }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("cut" as const), link }) },
    { weight: 3, arbitrary: fc.constant({ kind: "timer" as const }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("move" as const), partition, address }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("announce" as const), link, partition, address }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant("learn" as const), address }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("down" as const), address }) },
  );
  const seen = { moves: 0, links: 0 };
  fc.assert(
    fc.property(
      fc.array(action, { minLength: 40, maxLength: 300 }),
      fc.boolean(),
      fc.boolean(),
      (actions, namesOwners, keepsEpoch) => {
        const cluster = new ModelCluster(addresses, partitions);
        cluster.namesOwners = namesOwners;
        cluster.keepsEpoch = keepsEpoch;
        const harness = new Harness(cluster, { addresses: ["a", "b"], ownersMax: 2 });
        const given: number[][] = numbers(partitions).map(() => []);
        let n = 0;
        for (const act of actions) {
          if (act.kind === "batch") {
            const events = Array.from({ length: act.count }, () => ({ n: n++ }));
            given[act.partition]?.push(...events.map((event) => event.n));
            harness.batch(act.partition, events);
          } else if (act.kind === "node") harness.nodeTakesOne(harness.linkAt(act.link));
          else if (act.kind === "client") harness.clientTakesOne(harness.linkAt(act.link));
          else if (act.kind === "connect") harness.connect(harness.linkAt(act.link));
          else if (act.kind === "cut") harness.cut(harness.linkAt(act.link));
          else if (act.kind === "timer") harness.fireTimer();
          else if (act.kind === "move") cluster.move(act.partition, act.address);
          else if (act.kind === "announce")
            harness.say(harness.linkAt(act.link) ?? HOME, moving(act.partition, act.address));
          else if (act.kind === "learn") cluster.learn(act.address);
          else if (!harness.down.delete(act.address)) harness.down.add(act.address);
        }
        harness.down.clear();
        for (const one of addresses) cluster.learn(one);
        harness.settle();
        for (const one of numbers(partitions)) assert.equal(harness.stored(one), given[one]);
        const ids = harness.settled.map(({ id }) => id);
        assert.is(new Set(ids).size, ids.length);
        assert.ok(harness.settled.every(({ how }) => how === "acked"));
        assert.is(given.flat().length === 0 || ids.length > 0, true);
        assert.equal(cluster.log.lost, []);
        assert.ok(harness.linksMax <= 3);
        for (const one of allLinks(harness.state.links)) {
          if (one.phase === "online") assert.is(one.credit.availableBytes, cluster.log.creditBytes, one.name);
        }
        seen.moves += harness.moves.filter((to) => to !== undefined).length;
        seen.links = Math.max(seen.links, harness.linksMax);
      },
    ),
    { numRuns: 600 },
  );
  assert.ok(seen.moves > 300 && seen.links === 3, JSON.stringify(seen));
});

test.run();
