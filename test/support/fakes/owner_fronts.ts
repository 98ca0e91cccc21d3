/**
 * Servers in front of one node. Each passes on the frames for the partitions that it owns, and answers `moved` for the
 * others. So a client sees a cluster, over real sockets and a real log. The test orders moves and breaks.
 */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import WebSocket, { WebSocketServer } from "ws";
import { decodeFrame, encodeFrame, FRAME_LIMITS } from "../../../protocols/wire/codec.ts";
import type {
  ClientFrame,
  MovedFrame,
  NodeFrame,
  Subprotocol,
  SubscribeFrame,
} from "../../../protocols/wire/frames.ts";

interface Session {
  readonly front: number;
  readonly partitions: Set<number>;
  say(frame: NodeFrame): void;
  end(): void;
}

/** The number of frames that are kept for the report of a failed test. */
const HEARD_MAX = 300;

export class OwnerFronts {
  /** The last frames of all connections. */
  readonly heard: string[] = [];
  readonly addresses: string[] = [];
  /** The front that owns each partition. */
  readonly owners: number[];
  movesTold = 0;
  private readonly endpoint: string;
  private readonly stream: string;
  private readonly servers: WebSocketServer[] = [];
  private readonly sessions = new Set<Session>();
  private served = 0;

  private constructor(endpoint: string, stream: string, owners: readonly number[]) {
    this.endpoint = endpoint;
    this.stream = stream;
    this.owners = [...owners];
  }

  static async start(endpoint: string, stream: string, fronts: number, owners: readonly number[]) {
    const started = new OwnerFronts(endpoint, stream, owners);
    for (let front = 0; front < fronts; front++) await started.listen(front, 0);
    return started;
  }

  async listen(front: number, port: number): Promise<void> {
    const server = new WebSocketServer({ host: "127.0.0.1", port, path: "/v1/connect" });
    await once(server, "listening");
    this.servers[front] = server;
    this.addresses[front] = `ws://127.0.0.1:${(server.address() as AddressInfo).port}/v1/connect`;
    server.on("connection", (socket) => this.serve(front, socket));
  }

  /** Closes a front: its port refuses connections. */
  async close(front: number): Promise<void> {
    this.cut(front);
    const server = this.servers[front];
    if (server === undefined) return;
    await new Promise((resolve) => server.close(resolve));
  }

  cut(front: number): void {
    for (const session of this.sessions) if (session.front === front) session.end();
  }

  /** Moves a partition. The former owner tells its readers at once, and later its producers. */
  move(partition: number, to: number): void {
    const from = this.owners[partition];
    this.owners[partition] = to;
    if (from === to) return;
    for (const session of this.sessions) {
      if (session.front === from && session.partitions.delete(partition)) session.say(this.moved(partition));
    }
  }

  async end(): Promise<void> {
    for (const front of this.servers.keys()) await this.close(front);
  }

  private note(of: string, frame: object): void {
    const { events: _events, batches, ...rest } = frame as { events?: unknown; batches?: { firstOffset: number }[] };
    const offsets = batches === undefined ? {} : { offsets: batches.map(({ firstOffset }) => firstOffset) };
    this.heard.push(`${Math.round(performance.now())} ${of} ${JSON.stringify({ ...rest, ...offsets })}`);
    if (this.heard.length > HEARD_MAX) this.heard.shift();
  }

  private moved(partition: number): MovedFrame {
    this.movesTold++;
    const address = this.addresses[this.owners[partition] ?? 0] ?? "";
    return { type: "moved", stream: this.stream, partition, address };
  }

  private serve(front: number, socket: WebSocket): void {
    const subprotocol = socket.protocol as Subprotocol;
    const name = `#${++this.served} at ${front}`;
    this.note(`${name} connected`, {});
    const node = new WebSocket(this.endpoint, subprotocol);
    const waiting: (Uint8Array | string)[] = [];
    const pass = (data: Uint8Array | string) => {
      if (node.readyState === WebSocket.CONNECTING) waiting.push(data);
      else if (node.readyState === WebSocket.OPEN) node.send(data);
    };
    const session: Session = {
      front,
      partitions: new Set(),
      say: (frame) => {
        this.note(`${name} <<`, frame);
        socket.send(encodeFrame(frame, subprotocol));
      },
      end: () => {
        if (this.sessions.delete(session)) this.note(`${name} ended`, {});
        socket.terminate();
        node.terminate();
      },
    };
    this.sessions.add(session);
    socket.on("error", session.end).on("close", session.end);
    node.on("error", session.end).on("close", session.end);
    node.on("open", () => waiting.splice(0).forEach(pass));
    node.on("message", (data: Buffer, isBinary) => {
      this.note(`${name} <`, decodeFrame(isBinary ? new Uint8Array(data) : data.toString(), subprotocol, FRAME_LIMITS));
      socket.send(data, { binary: isBinary });
    });
    socket.on("message", (data: Buffer, isBinary) => {
      const bytes = isBinary ? new Uint8Array(data) : data.toString();
      const frame = decodeFrame(bytes, subprotocol, FRAME_LIMITS) as ClientFrame;
      this.note(`${name} >`, frame);
      if (frame.type === "subscribe") this.subscribe(session, frame, (kept) => pass(encodeFrame(kept, subprotocol)));
      else if ("partition" in frame && this.owners[frame.partition] !== front) {
        session.say(this.moved(frame.partition));
        if (frame.type === "append") session.say({ type: "credit", creditBytes: data.byteLength });
      } else pass(bytes);
    });
  }

  private subscribe(session: Session, frame: SubscribeFrame, pass: (frame: SubscribeFrame) => void): void {
    const isHere = ({ partition }: { readonly partition: number }) => this.owners[partition] === session.front;
    const partitions = frame.partitions.filter(isHere);
    for (const { partition } of partitions) session.partitions.add(partition);
    if (partitions.length > 0) pass({ ...frame, partitions });
    for (const one of frame.partitions) if (!isHere(one)) session.say(this.moved(one.partition));
  }
}
