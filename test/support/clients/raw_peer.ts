/** The other end of a link between nodes, frame by frame: for peers that break the rules. */
import WebSocket from "ws";
import { decodePeerFrame, encodePeerFrame } from "../../../actors/transport/peer/peer_codec.ts";
import { PEER_SUBPROTOCOL, type PeerFrame } from "../../../actors/transport/peer/peer_frames.ts";
import { DiallerHandshake, type Identity, identityOf } from "../../../actors/transport/peer/peer_handshake.ts";
import { nodeId } from "../../../protocols/position.ts";
import { SECRET } from "../fakes/peer_node.ts";

export type SentFrame = Exclude<PeerFrame, { readonly type: "unknown" }>;

export interface RawPeer {
  readonly socket: WebSocket;
  /** The frames sent and received, in order. */
  readonly sent: Uint8Array[];
  readonly frames: PeerFrame[];
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
  send(frame: SentFrame): void;
  sendBytes(bytes: Uint8Array): void;
  /** The first frame of a type; rejects where the connection ends without one. */
  frame<Type extends PeerFrame["type"]>(type: Type): Promise<Extract<PeerFrame, { type: Type }>>;
}

export async function openRawPeer(address: string, subprotocol = PEER_SUBPROTOCOL): Promise<RawPeer> {
  const socket = new WebSocket(address, [subprotocol]);
  const sent: Uint8Array[] = [];
  const frames: PeerFrame[] = [];
  const waiting = new Set<() => void>();
  let isClosed = false;
  socket.on("message", (data) => {
    frames.push(decodePeerFrame(Uint8Array.from(data as Buffer), (wire) => ({ path: JSON.stringify(wire) }) as never));
    for (const look of waiting) look();
  });
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    socket.on("close", (code, reason) => {
      isClosed = true;
      for (const look of waiting) look();
      resolve({ code, reason: reason.toString() });
    });
  });
  await new Promise<void>((resolve, reject) => {
    socket.once("open", resolve);
    socket.once("error", reject);
  });
  const sendBytes = (bytes: Uint8Array): void => {
    sent.push(bytes);
    socket.send(bytes);
  };
  return {
    socket,
    sent,
    frames,
    closed,
    sendBytes,
    send: (frame) => sendBytes(Uint8Array.from(encodePeerFrame(frame))),
    frame: <Type extends PeerFrame["type"]>(type: Type) =>
      new Promise<Extract<PeerFrame, { type: Type }>>((resolve, reject) => {
        const look = (): void => {
          const found = frames.find((frame) => frame.type === type);
          if (found === undefined && !isClosed) return;
          waiting.delete(look);
          if (found === undefined) reject(new Error(`the connection ended without ${type}`));
          else resolve(found as Extract<PeerFrame, { type: Type }>);
        };
        waiting.add(look);
        look();
      }),
  };
}

/** Dials as `node` and proves to be it; then sends the frames that the test gives it. */
export async function linkRawPeer(
  address: string,
  to: string,
  over: Partial<Identity> = {},
  turn = 1,
): Promise<RawPeer> {
  const peer = await openRawPeer(address);
  const self = { node: nodeId("raw"), incarnation: 1, cluster: "cluster-1", secret: SECRET };
  const handshake = new DiallerHandshake({ ...identityOf(self), ...over }, nodeId(to), turn);
  peer.send(handshake.hello);
  const proof = handshake.take(await peer.frame("welcome"));
  if (proof === undefined || !("type" in proof)) throw new Error("a proof must follow the welcome");
  peer.send(proof as SentFrame);
  return peer;
}
