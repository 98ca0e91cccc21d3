/**
 * A node `b` in a process of its own, which echoes messages. Prints its address; ends with its standard input.
 */
import type { ActorReference } from "../../../actors/kernel/actor.ts";
import { startPeerNode } from "../fakes/peer_node.ts";

const [incarnation = "1", port = "0"] = process.argv.slice(2);
const times = { heartbeatEveryMs: 200, silentAfterMs: 10_000 };
const node = await startPeerNode("b", { incarnation: Number(incarnation), port: Number(port), times });
node.actor<{ readonly n: number; readonly replyTo: ActorReference<number> }>("echo", ({ n, replyTo }) =>
  replyTo.tell(n),
);
console.log(node.peer.address);
process.stdin.on("end", () => process.exit(0)).resume();
