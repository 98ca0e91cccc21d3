/**
 * Connections between clients and the present node. Frames keep their order within a connection, and each side learns of the
 * end at its own time. A connection that its client has given up may still bring frames to its session.
 */
import type { SessionInput } from "../../../actors/ingest/session.ts";
import type { ActorReference } from "../../../actors/kernel/actor.ts";
import type { Connect, Connection, ConnectionEvents } from "../../../protocols/connection.ts";
import { UnavailableError } from "../../../protocols/errors.ts";
import type { ClientFrame, NodeFrame } from "../../../protocols/wire/frames.ts";
import type { SimulatedNode } from "./simulated_node.ts";
import type { World } from "./world.ts";

const FRAME_BYTES = 100;

/** A wrapper of a client's connections, which may break them on purpose. */
export type WrapConnect = (connect: Connect) => Connect;

export class SimulatedNetwork {
  readonly world: World;
  /** The node that new connections reach where no node has their address. */
  front: SimulatedNode | undefined;
  /** Nodes with addresses of their own. */
  readonly nodes = new Map<string, SimulatedNode>();
  readonly links = new Set<Link>();

  constructor(world: World) {
    this.world = world;
  }

  connectAs =
    (client: string): Connect =>
    (address, events) =>
      new Promise((resolve, reject) => {
        const { world } = this;
        world.after(world.random.next() * 5, () => {
          const node = this.nodes.get(address) ?? this.front;
          if (node === undefined || !node.isAlive || world.fault("a connection was refused", 0.02)) {
            reject(new UnavailableError("CONNECTION_LOST", "Cannot connect as a node must answer: none does"));
            return;
          }
          const link = new Link(this, node, client, events);
          this.links.add(link);
          resolve(link);
        });
      });

  /** Cuts a connection. Each side learns of it at its own time. */
  cut(link: Link): void {
    this.world.noteFault("a connection was lost");
    link.cut();
  }

  linksTo(node: SimulatedNode): Link[] {
    return [...this.links].filter((link) => link.node === node);
  }
}

export class Link implements Connection {
  readonly bufferedBytes = 0;
  readonly node: SimulatedNode;
  readonly client: string;
  readonly #network: SimulatedNetwork;
  readonly #events: ConnectionEvents;
  readonly #session: ActorReference<SessionInput>;
  #isOpenToClient = true;
  #isOpenToNode = true;
  readonly #toNode: Direction<ClientFrame>;
  readonly #toClient: Direction<NodeFrame>;
  /** Bytes of appends that are under way or not answered, for the check of credit (E19). */
  #underWayBytes = 0;
  #creditBytes = 0;
  #largestBytes = 0;

  constructor(network: SimulatedNetwork, node: SimulatedNode, client: string, events: ConnectionEvents) {
    this.#network = network;
    this.node = node;
    this.client = client;
    this.#events = events;
    const { world } = network;
    this.#toNode = new Direction(world, (frame, wireBytes) => this.#arriveAtNode(frame, wireBytes));
    this.#toClient = new Direction(world, (frame, wireBytes) => this.#arriveAtClient(frame, wireBytes));
    const peer = {
      send: (frame: NodeFrame, onLeft?: () => void) => this.#answer(frame, onLeft),
      close: () => this.#close(),
    };
    this.#session = node.openSession(peer, () => this.#close());
  }

  send(frame: ClientFrame): number {
    const wireBytes = FRAME_BYTES + (frame.type === "append" ? frame.events.byteLength : 0);
    if (frame.type === "append") this.#countAppend(wireBytes);
    this.#say(">", frame);
    this.#toNode.send(frame, wireBytes);
    return wireBytes;
  }

  #arriveAtNode(frame: ClientFrame, wireBytes: number): void {
    if (!this.#isOpenToNode || !this.node.isAlive) return;
    if (!this.#isOpenToClient) this.#network.world.count("a frame arrived on a connection given up");
    void this.#session.send({ type: "frame", frame, wireBytes }, wireBytes);
  }

  /** Checks producer P7: appends under way exceed the credit by one append at most. */
  #countAppend(wireBytes: number): void {
    this.#underWayBytes += wireBytes;
    this.#largestBytes = Math.max(this.#largestBytes, wireBytes + 1_024);
    if (this.#underWayBytes <= this.#creditBytes + this.#largestBytes) return;
    this.#network.world.problem(
      `producer P7: ${this.client} has ${this.#underWayBytes} bytes under way, its credit is ${this.#creditBytes}`,
    );
  }

  #answer(frame: NodeFrame, onLeft: (() => void) | undefined): number {
    const wireBytes =
      frame.type === "records"
        ? frame.batches.reduce((sum, { events }) => sum + events.byteLength, FRAME_BYTES)
        : FRAME_BYTES;
    this.#say("<", frame);
    this.#network.world.count(frame.type === "error" ? `frame: error ${frame.code}` : `frame: ${frame.type}`);
    this.#toClient.send(frame, wireBytes, onLeft);
    return wireBytes;
  }

  #arriveAtClient(frame: NodeFrame, wireBytes: number): void {
    if (!this.#isOpenToClient) return;
    if (frame.type === "welcome") this.#creditBytes = frame.creditBytes;
    if ("creditBytes" in frame && frame.type !== "welcome") this.#underWayBytes -= frame.creditBytes ?? 0;
    this.#events.onFrame(frame, wireBytes);
  }

  #say(way: string, frame: ClientFrame | NodeFrame): void {
    const { world } = this.#network;
    if (!world.isTraced || frame.type === "records" || frame.type === "credit") return;
    const { events: _, streams: __, limits: ___, stream: ____, ...rest } = frame as unknown as Record<string, unknown>;
    world.say(`${this.client} ${way} node ${this.node.number} ${JSON.stringify(rest)}`);
  }

  /** The client ends the connection. The session learns of it later. */
  close(): void {
    if (!this.#isOpenToClient) return;
    this.#isOpenToClient = false;
    this.#tellNode(latencyMs(this.#network.world));
  }

  /** The session has ended. The frames that it sent still arrive. */
  #close(): void {
    this.#isOpenToNode = false;
    const { world } = this.#network;
    this.#tellClient(Math.max(0, this.#toClient.arrivesAtMs - world.trueMs) + latencyMs(world));
  }

  /** Each side learns of the cut at its own time. Half the time the client learns at once, with its frames under way. */
  cut(clientHearsInMs = this.#drawHearsInMs()): void {
    const { random } = this.#network.world;
    this.#tellClient(clientHearsInMs);
    this.#tellNode(random.next() * (random.chance(0.5) ? 5 : 5_000));
  }

  #drawHearsInMs(): number {
    const { random } = this.#network.world;
    return random.chance(0.5) ? 0 : random.next() * 20;
  }

  #tellClient(delayMs: number): void {
    this.#network.world.after(delayMs, () => {
      this.#network.links.delete(this);
      if (!this.#isOpenToClient) return;
      this.#isOpenToClient = false;
      this.#events.onClose(new UnavailableError("CONNECTION_LOST", "Cannot go on as the connection was lost"));
    });
  }

  #tellNode(delayMs: number): void {
    this.#network.links.delete(this);
    this.#network.world.after(delayMs, () => {
      if (!this.#isOpenToNode) return;
      this.#isOpenToNode = false;
      if (this.node.isAlive) this.#session.tell({ type: "disconnected" });
    });
  }
}

interface Segment<Frame> {
  readonly frame: Frame;
  readonly wireBytes: number;
  /** Called when the frame has left the sender. */
  readonly onLeft: (() => void) | undefined;
}

/** One direction of a connection: frames in order, of which several often arrive together. */
class Direction<Frame> {
  arrivesAtMs = 0;
  readonly #world: World;
  readonly #arrive: (frame: Frame, wireBytes: number) => void;
  /** The frames that arrive together next; empty where none is under way. */
  #together: Segment<Frame>[] = [];

  constructor(world: World, arrive: (frame: Frame, wireBytes: number) => void) {
    this.#world = world;
    this.#arrive = arrive;
  }

  send(frame: Frame, wireBytes: number, onLeft?: () => void): void {
    const { random } = this.#world;
    const isJoined = this.#together.length > 0 && random.chance(0.7);
    if (!isJoined) this.#begin();
    this.#together.push({ frame, wireBytes, onLeft });
  }

  #begin(): void {
    const together: Segment<Frame>[] = [];
    this.#together = together;
    this.arrivesAtMs = Math.max(this.arrivesAtMs, this.#world.trueMs + latencyMs(this.#world));
    this.#world.at(this.arrivesAtMs, () => {
      if (this.#together === together) this.#together = [];
      for (const { frame, wireBytes, onLeft } of together) {
        onLeft?.();
        this.#arrive(frame, wireBytes);
      }
    });
  }
}

function latencyMs(world: World): number {
  if (world.fault("the network is slow", 0.002)) return world.random.below(3_000);
  return world.random.next() * 3;
}
