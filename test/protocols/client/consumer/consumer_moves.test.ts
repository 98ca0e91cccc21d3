/** The consumer's machine among several nodes: partitions move while records, credit and connections are under way. */
import * as fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { stepConsumer } from "../../../../protocols/client/consumer/consumer_machine.ts";
import type { ConsumerEffect, ConsumerMessage } from "../../../../protocols/client/consumer/consumer_messages.ts";
import { type ConsumerState, createConsumer } from "../../../../protocols/client/consumer/consumer_state.ts";
import { readRecords } from "../../../../protocols/client/consumer/read_records.ts";
import { SILENCE_ELSEWHERE_MS, SILENT_LOOKS } from "../../../../protocols/client/link.ts";
import { allLinks, HOME } from "../../../../protocols/client/links.ts";
import { encodeFrame, wireBytes } from "../../../../protocols/wire/codec.ts";
import type { ClientFrame, NodeFrame, SubscribeFrom, WireBatch } from "../../../../protocols/wire/frames.ts";
import { SUBPROTOCOL_MSGPACK } from "../../../../protocols/wire/frames.ts";
import { ClientHarness } from "../../../support/clients/client_harness.ts";
import { ModelStream } from "../../../support/fakes/model_stream.ts";

const WINDOW_BYTES = 3_000;
const numbers = (count: number): number[] => Array.from({ length: count }, (_, n) => n);

/** The node's side of a connection, with readings and credit of its own. */
interface Session {
  readonly address: string;
  readonly stream: ModelStream;
}

/** The machine and nodes over one log. */
class Harness extends ClientHarness<ClientFrame, Session> {
  readonly log: WireBatch[][];
  private readonly writer: ModelStream;
  readonly owners: string[];
  namesOwners = false;
  readonly state: ConsumerState;
  readonly subscribed: { readonly address: string; readonly frame: ClientFrame }[] = [];
  readonly seen: number[][];
  heldBytes: number[] = [];
  linksMax = 0;
  movesTold = 0;
  minor = 1;
  /** Address of a node whose connections stay open and that sends nothing. */
  frozen = "";
  private next = 0;

  constructor(addresses: readonly string[], partitions: number, ownersMax = 8) {
    super();
    this.log = numbers(partitions).map(() => []);
    this.seen = numbers(partitions).map(() => []);
    this.owners = numbers(partitions).map(() => addresses[0] ?? "");
    this.writer = new ModelStream(this.log);
    this.state = createConsumer({ client: "test", token: undefined, addresses: addresses.slice(0, 2), ownersMax });
    this.step({ type: "start" });
  }

  subscribe(from: SubscribeFrom = "earliest"): void {
    const request = { id: 1, stream: "readings", channel: "records", partitions: [], from } as const;
    this.step({ type: "subscribe", request: { ...request, windowBytes: WINDOW_BYTES } });
  }

  step(message: ConsumerMessage): void {
    const [, effects] = stepConsumer(this.state, message, this.nowMs);
    for (const effect of effects) this.perform(effect);
    this.linksMax = Math.max(this.linksMax, allLinks(this.state.links).length);
    for (const { parts, heldBytes } of this.state.subscriptions.values()) {
      const outstandingBytes = parts.reduce((sum, part) => sum + part.outstandingBytes, 0);
      assert.ok(outstandingBytes + heldBytes <= WINDOW_BYTES, `R3: ${outstandingBytes} + ${heldBytes}`);
    }
  }

  private perform(effect: ConsumerEffect): void {
    switch (effect.type) {
      case "connect":
      case "disconnect":
      case "set_timer":
        this.performLink(effect);
        break;
      case "send":
        this.wires.get(effect.link)?.toNode.push(effect.frame);
        break;
      case "records":
        this.heldBytes.push(effect.sizeBytes);
        for (const { event } of readRecords(effect.frame, effect.fromOffset))
          this.seen[effect.frame.partition]?.push(event.n as number);
        break;
      default:
        break;
    }
  }

  append(partition: number, count = 3): void {
    const events = Array.from({ length: count }, () => ({ n: this.next++ }));
    this.writer.append(partition, events);
    this.pump();
  }

  /** Puts the frames of all nodes on their connections. */
  pump(): void {
    for (const { session, toClient } of this.wires.values())
      if (session !== undefined) toClient.push(...session.stream.pump());
  }

  /** Moves a partition; its former owner tells its readers. */
  move(partition: number, to: string): void {
    const from = this.owners[partition] ?? "";
    this.owners[partition] = to;
    if (from === to) return;
    for (const { session, toClient } of this.wires.values())
      if (session?.address === from && session.stream.leave(partition)) toClient.push(this.movedFrame(partition));
  }

  private movedFrame(partition: number): NodeFrame {
    this.movesTold += 1;
    return { type: "moved", stream: "readings", partition, address: this.owners[partition] ?? "" };
  }

  protected open(address: string): Session {
    const stream = new ModelStream(this.log);
    stream.minor = this.minor;
    return { address, stream };
  }

  protected answers({ address, stream }: Session, frame: ClientFrame): NodeFrame[] {
    if (address === this.frozen) return [];
    if (frame.type === "hello") return stream.take(frame).map((answer) => this.withOwners(address, answer));
    if (frame.type !== "subscribe") return stream.take(frame);
    this.subscribed.push({ address, frame });
    const isHere = ({ partition }: { readonly partition: number }) => this.owners[partition] === address;
    const elsewhere = frame.partitions.filter((one) => !isHere(one)).map(({ partition }) => this.movedFrame(partition));
    return [...elsewhere, ...stream.take({ ...frame, partitions: frame.partitions.filter(isHere) })];
  }

  private withOwners(address: string, answer: NodeFrame): NodeFrame {
    if (answer.type !== "welcome" || !this.namesOwners) return answer;
    const others = this.owners.flatMap((owner, partition) => (owner === address ? [] : [[partition, owner] as const]));
    const readings = answer.streams.readings;
    if (readings === undefined) return answer;
    return { ...answer, streams: { readings: { ...readings, owners: Object.fromEntries(others) } } };
  }

  protected override wireBytes(frame: NodeFrame): number {
    return wireBytes(encodeFrame(frame, SUBPROTOCOL_MSGPACK));
  }

  protected override otherwise(): boolean {
    return this.consumeOne();
  }

  /** False where the application has consumed all that it was given. */
  consumeOne(): boolean {
    const sizeBytes = this.heldBytes.shift();
    if (sizeBytes !== undefined) this.step({ type: "consumed", id: 1, sizeBytes });
    return sizeBytes !== undefined;
  }

  /** Delivers all frames, then takes a look at a connection, `times` times. */
  look(link: string, times: number): void {
    for (let look = 0; look < times; look++) {
      this.settle();
      this.step({ type: "timer", timer: `silence ${link}` });
    }
    this.settle();
  }

  tried(): string[] {
    return this.attempts.map(({ address }) => address);
  }

  logged(partition: number): number[] {
    return (this.log[partition] ?? []).flatMap((batch) => {
      const frame = { subscription: 0, stream: "readings", partition, batches: [batch], endOffset: 0 };
      return readRecords({ type: "records", ...frame }, 0).map(({ event }) => event.n as number);
    });
  }
}

test("R1, R5: a moved partition is read at its owner, behind the last position received", () => {
  const harness = new Harness(["a", "b"], 1);
  harness.append(0);
  harness.subscribe();
  harness.settle();
  harness.move(0, "b");
  harness.append(0);
  harness.settle();
  harness.append(0);
  harness.settle();
  assert.equal(harness.seen[0], numbers(9));
  assert.equal(harness.tried(), ["a", "b"]);
  const last = harness.subscribed.at(-1);
  assert.is(last?.address, "b");
  assert.equal(last?.frame.type === "subscribe" && last.frame.partitions, [
    { partition: 0, from: { epoch: 7, offset: 2 } },
  ]);
});

const moving = (partition: number, address: string): NodeFrame => ({
  type: "moving",
  stream: "readings",
  partition,
  address,
});

test("an announced move has its connection before it happens; until then the partition is read at its owner of now", () => {
  const harness = new Harness(["a", "b"], 1);
  harness.subscribe();
  harness.append(0);
  harness.settle();
  harness.say(HOME, moving(0, "b"));
  harness.say(HOME, moving(1, "c")); // not read here
  harness.append(0);
  harness.settle();
  assert.equal(
    harness.attempts.map(({ address }) => address),
    ["a", "b"],
  );
  assert.equal(harness.seen[0], numbers(6));
  assert.is(harness.subscribed.length, 1);
  harness.move(0, "b");
  harness.append(0);
  harness.settle();
  assert.equal(
    harness.subscribed.map(({ address }) => address),
    ["a", "b"],
  );
  assert.equal(harness.seen[0], numbers(9));
  assert.is(harness.attempts.length, 2, "no connection was made for it");
});

test("R6: a frozen owner is given up, and its partitions are read at their next owner", () => {
  const harness = new Harness(["a", "b", "c"], 1);
  harness.subscribe();
  harness.settle();
  harness.move(0, "b");
  harness.append(0);
  harness.settle();
  assert.is(harness.timers.get("silence b"), harness.nowMs + SILENCE_ELSEWHERE_MS / SILENT_LOOKS);
  harness.look("b", 20);
  assert.ok(harness.wires.has("b"), "an idle owner answers the request for a sign of life");
  harness.frozen = "b";
  harness.owners[0] = "c";
  harness.look("b", SILENT_LOOKS + 1);
  harness.append(0);
  harness.settle();
  assert.equal(harness.seen[0], numbers(6));
  assert.is(harness.subscribed.at(-1)?.address, "c");
});

test("a node of minor version 0, which answers no request for a sign of life, is kept", () => {
  const harness = new Harness(["a", "b"], 1);
  harness.minor = 0;
  harness.subscribe();
  harness.settle();
  harness.look(HOME, 20);
  harness.append(0);
  harness.settle();
  assert.equal(harness.seen[0], numbers(3));
  assert.equal(harness.tried(), ["a"]);
});

test("R3: partitions of several owners are read at each owner, within one window", () => {
  const harness = new Harness(["a", "b", "c"], 6);
  harness.namesOwners = true;
  for (const partition of numbers(6)) harness.move(partition, ["a", "b", "c"][partition % 3] ?? "");
  for (const partition of numbers(60)) harness.append(partition % 6);
  harness.subscribe();
  harness.settle();
  for (const partition of numbers(6)) assert.equal(harness.seen[partition], harness.logged(partition));
  assert.equal(harness.tried(), ["a", "b", "c"]);
  assert.is(harness.movesTold, 0); // the welcome named them
  assert.equal([...new Set(harness.subscribed.map(({ address }) => address))].sort(), ["a", "b", "c"]);
});

test("the credit of an idle owner does not starve the other owners", () => {
  const harness = new Harness(["a", "b"], 2);
  harness.subscribe();
  harness.settle();
  harness.move(1, "b");
  harness.settle();
  for (let turn = 0; turn < 40; turn++) harness.append(1);
  harness.settle();
  assert.equal(harness.seen[1], harness.logged(1));
});

test("the partition of an owner that cannot be reached is asked for at home, after growing waits", () => {
  const harness = new Harness(["a", "x", "b"], 2);
  harness.subscribe();
  harness.append(0);
  harness.settle();
  harness.down.add("b");
  harness.move(0, "b");
  harness.append(0);
  harness.append(1);
  harness.settle(8);
  assert.equal(harness.seen[1], harness.logged(1)); // another partition does not wait for it
  assert.ok(harness.attempts.length <= 10 && harness.nowMs >= 1_001_000, `${harness.attempts.length} ${harness.nowMs}`);
  harness.down.clear();
  harness.settle();
  assert.equal(harness.seen[0], harness.logged(0));
});

test("R5: a home link to an owner's address leaves the owner's own link and its partitions alone", () => {
  const harness = new Harness(["a", "b"], 2);
  harness.subscribe();
  harness.settle();
  harness.move(1, "b");
  harness.append(1);
  harness.settle();
  harness.down.add("a");
  harness.cut(HOME);
  harness.move(0, "b");
  for (const partition of [0, 1]) harness.append(partition);
  harness.settle();
  assert.equal(
    [...harness.wires].map(([link, { address }]) => [link, address]),
    [
      ["b", "b"],
      [HOME, "b"],
    ],
  );
  for (const partition of [0, 1]) assert.equal(harness.seen[partition], harness.logged(partition));
});

test("a connection that no partition uses any more is closed", () => {
  const harness = new Harness(["a", "x", "b"], 1);
  harness.subscribe();
  harness.append(0);
  harness.settle();
  harness.move(0, "b");
  harness.append(0);
  harness.settle();
  assert.equal([...harness.wires.keys()], [HOME, "b"]);
  harness.move(0, "a");
  harness.append(0);
  harness.settle();
  assert.equal([...harness.wires.keys()], [HOME]);
  harness.move(0, "b");
  harness.settle();
  harness.step({ type: "unsubscribe", id: 1 });
  assert.equal([...harness.wires.keys()], [HOME]);
  assert.equal(harness.seen[0], numbers(9));
});

test("whatever moves or breaks, every record is read exactly once and in order, within the window", () => {
  const addresses = ["a", "b", "c", "d"];
  const partitions = 3;
  const address = fc.constantFrom(...addresses);
  const partition = fc.nat({ max: partitions - 1 });
  const link = fc.nat({ max: 4 });
  const action = fc.oneof(
    { weight: 5, arbitrary: fc.record({ kind: fc.constant("append" as const), partition }) },
    { weight: 10, arbitrary: fc.record({ kind: fc.constant("node" as const), link }) },
    { weight: 10, arbitrary: fc.record({ kind: fc.constant("client" as const), link }) },
    { weight: 6, arbitrary: fc.constant({ kind: "consume" as const }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant("connect" as const), link }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("cut" as const), link }) },
    { weight: 3, arbitrary: fc.constant({ kind: "timer" as const }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("move" as const), partition, address }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("announce" as const), link, partition, address }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("down" as const), address }) },
  );
  let linksMax = 0;
  fc.assert(
    fc.property(fc.array(action, { minLength: 40, maxLength: 300 }), fc.boolean(), (actions, namesOwners) => {
      const harness = new Harness(addresses, partitions, 2);
      harness.namesOwners = namesOwners;
      harness.subscribe();
      for (const act of actions) {
        if (act.kind === "append") harness.append(act.partition);
        else if (act.kind === "node") harness.nodeTakesOne(harness.linkAt(act.link));
        else if (act.kind === "client") harness.clientTakesOne(harness.linkAt(act.link));
        else if (act.kind === "consume") harness.consumeOne();
        else if (act.kind === "connect") harness.connect(harness.linkAt(act.link));
        else if (act.kind === "cut") harness.cut(harness.linkAt(act.link));
        else if (act.kind === "timer") harness.fireTimer();
        else if (act.kind === "announce")
          harness.say(harness.linkAt(act.link) ?? HOME, moving(act.partition, act.address));
        else if (act.kind === "move") harness.move(act.partition, act.address);
        else if (!harness.down.delete(act.address)) harness.down.add(act.address);
      }
      harness.down.clear();
      harness.settle();
      for (const one of numbers(partitions)) assert.equal(harness.seen[one], harness.logged(one));
      assert.ok(harness.linksMax <= 3);
      linksMax = Math.max(linksMax, harness.linksMax);
    }),
    { numRuns: 500 },
  );
  assert.is(linksMax, 3);
});

test.run();
