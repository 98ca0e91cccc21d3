import { test } from "uvu";
import * as assert from "uvu/assert";
import type { PeerFrame, WelcomeFrame } from "../../../../actors/transport/peer/peer_frames.ts";
import {
  AcceptorHandshake,
  DiallerHandshake,
  type Identity,
  identityOf,
  type ShownPeer,
} from "../../../../actors/transport/peer/peer_handshake.ts";
import { HeadraceError } from "../../../../protocols/errors.ts";
import { nodeId } from "../../../../protocols/position.ts";

const SECRET: string | undefined = "a secret that all nodes of the cluster know";
const identity = (node: string, over: Partial<Identity> = {}): Identity => ({
  ...identityOf({ node: nodeId(node), incarnation: 3, cluster: "c", secret: SECRET }),
  ...over,
});

/** Runs both sides to their ends. `alter` is an adversary, which may replace each frame on its way. */
function shake(
  dialler: Identity,
  acceptor: Identity,
  alter: (frame: PeerFrame) => PeerFrame = (frame) => frame,
): { readonly atDialler: unknown; readonly atAcceptor: unknown; readonly frames: readonly PeerFrame[] } {
  const [out, back] = [new DiallerHandshake(dialler, nodeId("b"), 7), new AcceptorHandshake(acceptor)];
  const frames: PeerFrame[] = [];
  const pass = (frame: unknown): PeerFrame => {
    frames.push(frame as PeerFrame);
    return alter(frame as PeerFrame);
  };
  const codeOf = (act: () => unknown): unknown => {
    try {
      return act();
    } catch (error) {
      return error instanceof HeadraceError ? error.code : error;
    }
  };
  let atDialler: unknown;
  const atAcceptor = codeOf(() => {
    const welcome = pass(back.take(pass(out.hello)));
    const proof = codeOf(() => out.take(welcome));
    if (typeof proof === "string") {
      atDialler = proof;
      return "not reached";
    }
    const shown = back.take(pass(proof));
    atDialler = codeOf(() => out.take(pass({ type: "ready", turn: 9 })));
    return shown;
  });
  return { atDialler, atAcceptor, frames };
}

test("both sides learn who the other is, and use the lower minor version", () => {
  const { atDialler, atAcceptor } = shake(identity("a", { minor: 4 }), identity("b", { minor: 2, incarnation: 5 }));
  const { grant } = identity("a");
  assert.equal(atAcceptor, { node: nodeId("a"), incarnation: 3, minor: 2, turn: 7, grant } satisfies ShownPeer);
  assert.equal(atDialler, { node: nodeId("b"), incarnation: 5, minor: 2, turn: 9, grant } satisfies ShownPeer);
  const other = shake(identity("a", { minor: 1 }), identity("b", { minor: 2 }));
  assert.equal(
    [other.atDialler, other.atAcceptor].map((shown) => (shown as ShownPeer).minor),
    [1, 1],
  );
});

test("a welcome that was overheard proves nothing to another hello", () => {
  const { frames } = shake(identity("a"), identity("b"));
  const overheard = frames.find(({ type }) => type === "welcome") as WelcomeFrame;
  const { atDialler } = shake(identity("a"), identity("b"), (frame) => (frame.type === "welcome" ? overheard : frame));
  assert.is(atDialler, "UNAUTHENTICATED");
});

test("whatever is changed on the way, the handshake fails", () => {
  const changes: readonly (readonly [PeerFrame["type"], object])[] = [
    ["hello", { node: nodeId("c") }],
    ["hello", { incarnation: 4 }],
    ["hello", { minor: 9 }],
    ["hello", { turn: 8 }],
    ["hello", { nonce: new Uint8Array(32) }],
    ["hello", { grant: { targetBytesMax: 1, targetMessagesMax: 1, linkBytesMax: 1 } }],
    ["welcome", { grant: { targetBytesMax: 1, targetMessagesMax: 1, linkBytesMax: 1 } }],
    ["welcome", { incarnation: 4 }],
    ["welcome", { minor: 9 }],
    ["welcome", { nonce: new Uint8Array(32) }],
    ["welcome", { proof: undefined }],
    ["welcome", { proof: new Uint8Array(32) }],
    ["proof", { proof: undefined }],
    ["proof", { proof: new Uint8Array(32) }],
    ["proof", { proof: new Uint8Array(5) }],
  ];
  for (const [type, change] of changes) {
    const { atDialler, atAcceptor } = shake(identity("a"), identity("b"), (frame) =>
      frame.type === type ? ({ ...frame, ...change } as PeerFrame) : frame,
    );
    assert.ok([atDialler, atAcceptor].includes("UNAUTHENTICATED"), `${type} ${Object.keys(change)}`);
  }
});

test("either side refuses another cluster and another node, with a secret or without", () => {
  for (const secret of [SECRET, undefined]) {
    const [a, b] = [identity("a", { secret }), identity("b", { secret })];
    const isAlien = (of: "hello" | "welcome", change: object) =>
      shake(a, b, (frame) => (frame.type === of ? ({ ...frame, ...change } as PeerFrame) : frame));
    assert.is(isAlien("hello", { cluster: "d" }).atAcceptor, "FORBIDDEN");
    assert.is(isAlien("welcome", { cluster: "d" }).atDialler, "FORBIDDEN");
    assert.is(isAlien("hello", { to: nodeId("c") }).atAcceptor, "UNKNOWN_NODE");
    assert.is(isAlien("hello", { node: nodeId("b") }).atAcceptor, "UNKNOWN_NODE");
    assert.is(isAlien("welcome", { node: nodeId("c") }).atDialler, "UNKNOWN_NODE");
  }
});

test("a frame out of turn is refused, one of a later minor version is ignored, and a refusal is thrown", () => {
  const dialler = new DiallerHandshake(identity("a"), nodeId("b"), 1);
  assert.is(dialler.take({ type: "unknown", number: 99 }), undefined);
  assert.throws(() => dialler.take({ type: "ready", turn: 1 }), /must prove who they are first/);
  assert.throws(() => dialler.take({ type: "refusal", code: "FORBIDDEN", message: "not here" }), /not here/);
  const acceptor = new AcceptorHandshake(identity("b"));
  assert.is(acceptor.take({ type: "unknown", number: 99 }), undefined);
  assert.throws(() => acceptor.take({ type: "proof", proof: undefined }), /must prove who they are first/);
  acceptor.take(dialler.hello);
  assert.throws(() => acceptor.take(dialler.hello), /must prove who they are first/);
});

test.run();
