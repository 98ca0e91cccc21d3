import * as fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { initialPeerLink, stepPeerLink } from "../../../../actors/transport/peer/peer_link_machine.ts";
import type {
  PeerLinkEffect,
  PeerLinkMessage,
  PeerLinkState,
  PeerLinkTimes,
} from "../../../../actors/transport/peer/peer_link_messages.ts";
import type { LinkEvent } from "../../../../actors/transport/transport.ts";
import { nodeId } from "../../../../protocols/position.ts";

const TIMES: PeerLinkTimes = { heartbeatEveryMs: 500, silentAfterMs: 2_000, redialFirstMs: 50, redialMaxMs: 2_000 };

/** One machine, driven by hand. */
function machine(self = "a", peer = "b") {
  let state = initialPeerLink(nodeId(self), nodeId(peer), TIMES, 0);
  const step = (message: PeerLinkMessage): readonly PeerLinkEffect[] => {
    const [next, effects] = stepPeerLink(state, message, 0);
    state = next;
    return effects;
  };
  const kinds = (message: PeerLinkMessage) =>
    step(message).map((effect) => (effect.type === "tell" ? effect.event.kind : effect.type));
  return { step, kinds, state: () => state };
}
const kept = (incarnation = 1): PeerLinkMessage => ({ type: "keep", incarnation, address: "ws://there" });
const ready = (connection: number, incarnation = 1, turn = 1): PeerLinkMessage => ({
  type: "ready",
  connection,
  incarnation,
  minor: 0,
  turn,
});
const asked = (connection: number, turn: number, incarnation = 1): PeerLinkMessage => ({
  type: "asked",
  connection,
  incarnation,
  minor: 0,
  turn,
});
const look = (wasHeard = false): PeerLinkMessage => ({ type: "look", wasHeard });

test("L2: the lower name dials at once, the other one after a look", () => {
  assert.equal(machine("a", "b").step(kept()), [{ type: "dial", connection: 1, address: "ws://there" }]);
  const late = machine("b", "a");
  assert.equal(late.step(kept()), [{ type: "pause", pause: 1, delayMs: 500 }]);
  assert.equal(late.kinds({ type: "paused", pause: 1 }), ["dial"]);
});

test("L1: a link is told up once the peer has proved itself, told closed once it broke, and dialled again at once", () => {
  const { step, kinds } = machine();
  step(kept());
  assert.equal(step(ready(1)), [
    { type: "open", connection: 1, turn: 1 },
    { type: "tell", event: { kind: "up", node: "b", incarnation: 1, minor: 0 } },
  ]);
  assert.equal(kinds({ type: "broke", connection: 1 }), ["close", "closed", "dial"]);
  assert.equal(kinds({ type: "broke", connection: 1 }), []);
});

test("refused is told after each attempt, and the pauses between them grow to their bound", () => {
  const { step } = machine();
  step(kept());
  const pauses: number[] = [];
  for (let turn = 1; turn <= 9; turn += 1) {
    const [told, pause] = step({ type: "refused", connection: turn });
    assert.equal(told, { type: "tell", event: { kind: "refused", node: "b", incarnation: 1 } });
    if (pause?.type !== "pause") throw new Error("a pause must follow");
    pauses.push(pause.delayMs);
    step({ type: "paused", pause: pause.pause });
  }
  assert.equal(pauses, [50, 100, 200, 400, 800, 1_600, 2_000, 2_000, 2_000]);
});

test("L5: a peer without a frame for looksMax looks is told silent once, and its link ends", () => {
  const { step, kinds } = machine();
  step(kept());
  step(ready(1));
  assert.equal(kinds(look(true)), ["heartbeat"]);
  for (let n = 0; n < 3; n += 1) assert.equal(kinds(look()), ["heartbeat"]);
  assert.equal(kinds(look()), ["close", "closed", "silent", "dial"]);
  for (let n = 0; n < 3; n += 1) assert.equal(kinds(look()), []);
  assert.equal(kinds(look()), ["close", "pause"]); // an attempt that leads nowhere is made anew
  step({ type: "paused", pause: 1 });
  step(ready(3));
  for (let n = 0; n < 3; n += 1) step(look());
  assert.equal(kinds(look()), ["close", "closed", "silent", "dial"]);
});

test("L5: attempts that lead to no link count as silence too", () => {
  const { step, kinds } = machine();
  step(kept());
  const silentAt: number[] = [];
  for (let n = 1; n <= 12; n += 1) {
    if (kinds(look()).includes("silent")) silentAt.push(n);
    step({ type: "broke", connection: n });
    step({ type: "paused", pause: n });
  }
  assert.equal(silentAt, [5]); // the first look is part of one only
});

test("L2: where both dial, the lower name's connection stays", () => {
  const lower = machine("a", "b");
  lower.step(kept());
  assert.equal(lower.kinds(asked(-1, 1)), ["refuse"]);
  const higher = machine("b", "a");
  higher.step(kept());
  higher.step({ type: "paused", pause: 1 });
  assert.equal(higher.kinds(asked(-1, 1)), ["close", "open", "up"]);
});

test("L2: an attempt that leads nowhere does not keep the peer's connection out", () => {
  const lower = machine("a", "b");
  lower.step(kept());
  for (let n = 0; n < 3; n += 1) lower.step(look());
  assert.equal(lower.kinds(asked(-1, 1)), ["close", "open", "up"]);
});

test("L3: a peer that asks anew has lost the link; a connection that it began before the link is refused", () => {
  const { step, kinds } = machine();
  step(kept());
  step(ready(1, 1, 7));
  assert.equal(kinds(asked(-1, 7)), ["refuse"]);
  assert.equal(kinds(asked(-2, 8)), ["close", "closed", "open", "up"]);
});

test("L4: a later life ends the link to the former one, and a former life is refused", () => {
  const { step, kinds, state } = machine();
  step(kept(5));
  step(ready(1, 5));
  assert.equal(kinds(asked(-1, 1, 6)), ["close", "closed", "open", "up"]);
  assert.equal(kinds(kept(5)), []); // a list that lags
  const [refused] = step(asked(-2, 99, 5));
  assert.is(refused?.type === "refuse" && refused.error.code, "STALE_EPOCH");
  assert.equal(kinds(kept(7)), ["close", "closed", "dial"]);
  assert.equal(kinds(ready(state().dial?.connection ?? 0, 6)), ["close", "pause"]); // the former one is still there
});

test("L4: a later life is linked also while the former one is dialled", () => {
  const { step, kinds } = machine();
  step(kept(5));
  assert.equal(kinds(asked(-1, 1, 6)), ["close", "open", "up"]);
});

test("L6: a node that is not kept is linked when it asks, and not dialled when it goes", () => {
  const { step, kinds } = machine();
  assert.equal(kinds(asked(-1, 1)), ["open", "up"]);
  assert.equal(kinds({ type: "broke", connection: -1 }), ["close", "closed"]);
  step(asked(-2, 2));
  assert.equal(kinds(kept()), []);
  assert.equal(kinds({ type: "broke", connection: -2 }), ["close", "closed", "dial"]);
});

test("a node that is no longer kept is closed and not dialled again", () => {
  const { step, kinds } = machine();
  step(kept());
  step(ready(1));
  assert.equal(kinds({ type: "forget" }), ["close", "closed"]);
  step(kept());
  assert.equal(kinds({ type: "forget" }), ["close"]);
  assert.equal(kinds(ready(2)), ["close"]); // it was on its way
});

// Two machines over a network -------------------------------------------------------------------------------------------

type Side = 0 | 1;
type Packet = { readonly kind: "ask" | "ready" | "beat" | "end"; readonly turn: number };

/** A connection between two lives; packets keep their order in each direction. */
interface Wire {
  readonly lives: readonly [Life, Life];
  readonly numbers: [number, number];
  readonly dialler: Side;
  readonly toward: readonly [Packet[], Packet[]];
  readonly isOver: [boolean, boolean];
}

interface Life {
  readonly side: Side;
  readonly incarnation: number;
  readonly events: LinkEvent[];
  readonly pauses: number[];
  state: PeerLinkState;
  accepted: number;
  wasHeard: boolean;
  isDead: boolean;
}

const NAMES = ["a", "b"] as const;
const other = (side: Side): Side => (side === 0 ? 1 : 0);

class Network {
  readonly lives: [Life, Life];
  readonly past: Life[] = [];
  wires: Wire[] = [];

  constructor() {
    this.lives = [this.#born(0, 1), this.#born(1, 1)];
  }

  #born(side: Side, incarnation: number): Life {
    const state = initialPeerLink(nodeId(NAMES[side]), nodeId(NAMES[other(side)]), TIMES, 0);
    return { side, incarnation, events: [], pauses: [], state, accepted: 0, wasHeard: false, isDead: false };
  }

  step(life: Life, message: PeerLinkMessage): void {
    if (life.isDead) return;
    const [state, effects] = stepPeerLink(life.state, message, 0);
    life.state = state;
    for (const effect of effects) this.#perform(life, effect);
  }

  keep(side: Side, incarnation = this.lives[other(side)].incarnation): void {
    this.step(this.lives[side], { type: "keep", incarnation, address: `ws://${NAMES[other(side)]}` });
  }

  restart(side: Side): void {
    const former = this.lives[side];
    former.isDead = true;
    this.past.push(former);
    for (const wire of this.wires) if (wire.lives[side] === former) this.#endAt(wire, side);
    this.lives[side] = this.#born(side, former.incarnation + 1);
  }

  /** A connection is cut: each end notices in its own time. */
  cut(index: number): void {
    const wire = this.wires[index % Math.max(1, this.wires.length)];
    if (wire === undefined) return;
    for (const side of [0, 1] as const) {
      wire.toward[side].length = 0;
      wire.toward[side].push({ kind: "end", turn: 0 });
    }
  }

  deliver(index: number): boolean {
    const ways = this.wires.flatMap((wire) => ([0, 1] as const).map((side) => ({ wire, side })));
    const due = ways.filter(({ wire, side }) => wire.toward[side].length > 0);
    const way = due[index % Math.max(1, due.length)];
    if (way === undefined) return false;
    const { wire, side } = way;
    const packet = wire.toward[side].shift();
    if (packet !== undefined && !wire.isOver[side]) this.#take(wire, side, packet);
    this.wires = this.wires.filter(
      ({ isOver, toward }) => !isOver.every(Boolean) || toward.some((of) => of.length > 0),
    );
    return true;
  }

  look(side: Side): void {
    const life = this.lives[side];
    const { wasHeard } = life;
    life.wasHeard = false;
    this.step(life, { type: "look", wasHeard });
  }

  /** The pause that is due, if one is. */
  wake(side: Side): void {
    const pause = this.lives[side].pauses.pop();
    if (pause !== undefined) this.step(this.lives[side], { type: "paused", pause });
  }

  #take(wire: Wire, side: Side, packet: Packet): void {
    const life = wire.lives[side];
    const { incarnation } = wire.lives[other(side)];
    const { turn } = packet;
    switch (packet.kind) {
      case "ask":
        life.accepted += 1;
        wire.numbers[side] = -life.accepted;
        this.step(life, { type: "asked", connection: -life.accepted, incarnation, minor: 0, turn });
        return;
      case "ready":
        this.step(life, { type: "ready", connection: wire.numbers[side], incarnation, minor: 0, turn });
        return;
      case "beat":
        life.wasHeard = true;
        return;
      case "end":
        wire.isOver[side] = true;
        this.step(life, { type: "broke", connection: wire.numbers[side] });
        return;
    }
  }

  #perform(life: Life, effect: PeerLinkEffect): void {
    const { side } = life;
    const wire = "connection" in effect ? this.#wireOf(life, effect.connection) : undefined;
    switch (effect.type) {
      case "dial": {
        const peer = this.lives[other(side)];
        const lives: [Life, Life] = side === 0 ? [life, peer] : [peer, life];
        const numbers: [number, number] = side === 0 ? [effect.connection, 0] : [0, effect.connection];
        const toward: [Packet[], Packet[]] = [[], []];
        toward[other(side)].push({ kind: "ask", turn: effect.connection });
        this.wires.push({ lives, numbers, dialler: side, toward, isOver: [false, false] });
        return;
      }
      case "pause":
        life.pauses.push(effect.pause);
        return;
      case "open":
        life.wasHeard = true;
        if (wire !== undefined && wire.dialler !== side)
          wire.toward[other(side)].push({ kind: "ready", turn: effect.turn });
        return;
      case "refuse":
      case "close":
        if (wire !== undefined) this.#endAt(wire, side);
        return;
      case "heartbeat":
        wire?.toward[other(side)].push({ kind: "beat", turn: 0 });
        return;
      case "tell":
        life.events.push(effect.event);
        return;
    }
  }

  #endAt(wire: Wire, side: Side): void {
    if (wire.isOver[side]) return;
    wire.isOver[side] = true;
    wire.toward[side].length = 0;
    if (!wire.isOver[other(side)]) wire.toward[other(side)].push({ kind: "end", turn: 0 });
  }

  #wireOf(life: Life, connection: number): Wire | undefined {
    return this.wires.find(
      (wire) => wire.lives[life.side] === life && wire.numbers[life.side] === connection && !wire.isOver[life.side],
    );
  }

  /** Faults have ended: everything arrives, every pause ends, and both nodes know of each other's present life. */
  settle(rounds: number): void {
    for (const side of [0, 1] as const) this.keep(side);
    for (let round = 0; round < rounds; round += 1) {
      for (let most = 200; most > 0 && this.deliver(round); most -= 1);
      // One wakes before the other: jitter, as one draw of it.
      this.wake(round % 2 === 0 ? 0 : 1);
      for (let most = 200; most > 0 && this.deliver(0); most -= 1);
      if (round % 3 === 0) for (const side of [0, 1] as const) this.look(side);
    }
  }
}

/** L1, and that silence is told once for each time that it begins. */
function checkEvents({ events }: Life): void {
  let up: number | undefined;
  let isSilentTold = false;
  let newest = 0;
  for (const event of events) {
    assert.ok(event.incarnation >= newest, `a former life was told of: ${JSON.stringify(events)}`);
    if (event.incarnation > newest) isSilentTold = false;
    newest = event.incarnation;
    switch (event.kind) {
      case "up":
        assert.is(up, undefined, "up twice");
        up = event.incarnation;
        isSilentTold = false;
        break;
      case "closed":
        assert.is(up, event.incarnation, "closed what was not up");
        up = undefined;
        break;
      case "silent":
        assert.not(isSilentTold, "silent twice");
        assert.is(up, undefined, "silent while up");
        isSilentTold = true;
        break;
      case "refused":
        assert.is(up, undefined, "refused while up");
        break;
    }
  }
}

const side = fc.constantFrom<Side>(0, 1);
const action = fc.oneof(
  { weight: 12, arbitrary: fc.record({ do: fc.constant("deliver" as const), index: fc.nat(20) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("wake" as const), side }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("look" as const), side }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("keep" as const), side, lag: fc.nat(1) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("cut" as const), index: fc.nat(9) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("restart" as const), side }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("forget" as const), side }) },
);

test("whatever happened before, two nodes make exactly one link between their newest lives, and keep it", () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 80 }), (actions) => {
      const network = new Network();
      for (const one of actions) {
        if (one.do === "deliver") network.deliver(one.index);
        else if (one.do === "wake") network.wake(one.side);
        else if (one.do === "look") network.look(one.side);
        else if (one.do === "keep")
          network.keep(one.side, Math.max(1, network.lives[other(one.side)].incarnation - one.lag));
        else if (one.do === "cut") network.cut(one.index);
        else if (one.do === "restart") network.restart(one.side);
        else network.step(network.lives[one.side], { type: "forget" });
      }
      network.settle(60);
      const told = network.lives.map(({ events }) => events.length);
      network.settle(30);
      const [a, b] = network.lives;
      assert.is(network.wires.length, 1, "one connection is left");
      const [wire] = network.wires;
      assert.equal([wire?.lives[0] === a, wire?.lives[1] === b], [true, true]);
      assert.equal([a.state.link?.connection, b.state.link?.connection], wire?.numbers);
      assert.equal([a.state.link?.incarnation, b.state.link?.incarnation], [b.incarnation, a.incarnation]);
      assert.equal(
        network.lives.map(({ events }) => events.length),
        told,
        "nothing flaps",
      );
      for (const life of [...network.lives, ...network.past]) checkEvents(life);
    }),
    { numRuns: 4_000 },
  );
});

test("two nodes that dial at once have one link after one round, and neither is told closed", () => {
  for (const order of [0, 1, 2, 3]) {
    const network = new Network();
    for (const of of [0, 1] as const) network.keep(of);
    network.wake(1);
    assert.is(network.wires.length, 2);
    for (let most = 50; most > 0 && network.deliver(order); most -= 1);
    assert.is(network.wires.length, 1, `order ${order}`);
    for (const { events } of network.lives)
      assert.equal(
        events.map(({ kind }) => kind),
        ["up"],
      );
  }
});

test.run();
