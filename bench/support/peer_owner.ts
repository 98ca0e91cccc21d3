/**
 * The owner's side of the benchmark of links: answers each forwarded group of appends, over a link (`/v1/peer`) and over a
 * bare WebSocket with msgpackr (`/bare`). Prints its port; ends with its standard input.
 */
import { createServer } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { Packr } from "msgpackr";
import { WebSocketServer } from "ws";
import { createActorSystem } from "../../actors/kernel/actor_system.ts";
import { realWorld } from "../../actors/kernel/world.ts";
import type { PartitionRequest } from "../../actors/partition/partition.ts";
import { createPeerLinks } from "../../actors/transport/peer/peer_links.ts";
import { nodeId, offset, partitionId } from "../../protocols/position.ts";

type Append = Extract<PartitionRequest, { type: "append" }>;

const answerTo = ({ items }: Pick<Append, "items">) => ({
  type: "partition_reply" as const,
  partition: { stream: "bench", partition: partitionId(0) },
  answers: items.map(({ requestId }) => ({
    kind: "appended" as const,
    requestId,
    outcome: { kind: "written" as const, firstOffset: offset(0), count: 500 },
  })),
});

const world = realWorld();
const links = await createPeerLinks({
  self: { node: nodeId("owner"), incarnation: 1 },
  clusterId: "bench",
  times: { heartbeatEveryMs: 500, silentAfterMs: 2_000 },
  setTimer: world.setTimer,
  random: world.random,
  onDeadLetter: (path, reason) => console.error(`dead letter of ${path}: ${reason}`),
  onProblem: (error) => console.error(error),
});
const system = await createActorSystem();
for (let partition = 0; partition < 16; partition += 1) {
  const owner = system.spawn<Append>({
    name: `owner-${partition}`,
    start: () => ({ receive: (request) => request.replyTo.tell(answerTo(request)) }),
  });
  links.publish(`owner-${partition}`, owner);
}

const bare = new WebSocketServer({ noServer: true, perMessageDeflate: false });
const packr = new Packr({ useRecords: false });
const server = createServer();
server.on("upgrade", (request, socket, head) => {
  if (request.url === "/v1/peer") links.upgrade(request, socket, head);
  else {
    bare.handleUpgrade(request, socket as Socket, head, (webSocket) => {
      webSocket.on("message", (data: Buffer) => webSocket.send(packr.pack(answerTo(packr.unpack(data)))));
    });
  }
});
server.listen(0, "127.0.0.1", () => console.log((server.address() as AddressInfo).port));
process.stdin.on("end", () => process.exit(0)).resume();
