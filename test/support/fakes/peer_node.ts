/**
 * The part of a node that its peers see: an HTTP server on loopback that takes upgrades, links, and an actor system.
 */
import { createServer, type Server } from "node:http";
import { createServer as createTlsServer, type ServerOptions } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import type { ActorReference, ActorSystem, MailboxLimits } from "../../../actors/kernel/actor.ts";
import { createActorSystem } from "../../../actors/kernel/actor_system.ts";
import { realWorld } from "../../../actors/kernel/world.ts";
import { createPeerLinks, type PeerLinks, type PeerLinksOptions } from "../../../actors/transport/peer/peer_links.ts";
import { type ConnectPeer, connectPeer, type PeerSocket } from "../../../actors/transport/peer/peer_socket.ts";
import type { LinkEvent, Peer } from "../../../actors/transport/transport.ts";
import { loadDriver } from "../../../deps.ts";
import { HeadraceError, UnavailableError } from "../../../protocols/errors.ts";
import { nodeId } from "../../../protocols/position.ts";

export const SECRET = "a secret that all nodes of the cluster know";

export interface PeerNode {
  readonly links: PeerLinks;
  readonly system: ActorSystem;
  readonly peer: Peer;
  /** The events of links, as `kind node#incarnation`. */
  readonly events: string[];
  /** The codes of errors that kept links from being made. */
  readonly problems: string[];
  /** `path reason kind` of each dead letter. */
  readonly deadLetters: string[];
  /** An actor that does what `receive` does, published under its name. */
  actor<Message>(
    name: string,
    receive: (message: Message) => void | Promise<void>,
    mailbox?: MailboxLimits,
  ): ActorReference<Message>;
  /** Ends the node as a kill does: every socket is gone at once, the port refuses, and the node dials no other. */
  kill(): void;
  close(): Promise<void>;
}

export type PeerNodeOptions = Partial<Omit<PeerLinksOptions, "self">> & {
  readonly incarnation?: number;
  readonly port?: number;
  /** Serves TLS. */
  readonly served?: ServerOptions;
};

const WAIT_MAX_MS = 20_000;

/** Waits by the real clock until a condition holds, as it depends on sockets. */
export async function untilSo(isSo: () => boolean, what: string): Promise<void> {
  for (const startedAt = performance.now(); !isSo(); ) {
    if (performance.now() - startedAt > WAIT_MAX_MS) throw new Error(`${what}: not within ${WAIT_MAX_MS} ms`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => resolve((server.address() as AddressInfo).port));
  });
}

export async function startPeerNode(name: string, options: PeerNodeOptions = {}): Promise<PeerNode> {
  const { incarnation = 1, port = 0, served, ...over } = options;
  const world = realWorld();
  const [events, problems, deadLetters]: [string[], string[], string[]] = [[], [], []];
  const setTimer = over.setTimer ?? world.setTimer;
  const dialled = new Set<PeerSocket>();
  let isKilled = false;
  const dial = connectPeer(await loadDriver("ws"), over.tls ?? {}, setTimer);
  const connect: ConnectPeer = (address, socketEvents) => {
    if (isKilled)
      return deadSocket(() =>
        socketEvents.onEnd({ isRefused: true, error: new UnavailableError("CONNECTION_LOST", "killed") }),
      );
    const socket = dial(address, socketEvents);
    dialled.add(socket);
    return socket;
  };
  const links = await createPeerLinks({
    connect,
    self: { node: nodeId(name), incarnation },
    clusterId: "cluster-1",
    secret: SECRET,
    times: { heartbeatEveryMs: 50, silentAfterMs: 5_000 },
    setTimer,
    random: world.random,
    onDeadLetter: (path, reason, message) =>
      deadLetters.push(`${path} ${reason} ${(message as { type?: string } | undefined)?.type ?? typeof message}`),
    onProblem: (error) => problems.push(error instanceof HeadraceError ? error.code : String(error)),
    ...over,
  });
  links.onLink((event: LinkEvent) => events.push(`${event.kind} ${event.node}#${event.incarnation}`));
  const server = served === undefined ? createServer() : createTlsServer(served);
  const sockets = new Set<Socket>();
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  server.on("upgrade", (request, socket, head) => links.upgrade(request, socket, head));
  const bound = await listen(server, port);
  const system = await createActorSystem();
  const kill = () => {
    isKilled = true;
    for (const socket of dialled) socket.terminate();
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  return {
    links,
    system,
    peer: {
      node: nodeId(name),
      incarnation,
      address: `${served === undefined ? "ws" : "wss"}://127.0.0.1:${bound}/v1/peer`,
    },
    events,
    problems,
    deadLetters,
    actor<Message>(actorName: string, receive: (message: Message) => void | Promise<void>, mailbox?: MailboxLimits) {
      const actor = system.spawn<Message>({
        name: actorName,
        ...(mailbox === undefined ? {} : { mailbox }),
        start: () => ({ receive }),
      });
      links.publish(actorName, actor);
      return actor;
    },
    kill,
    close: async () => {
      await links.close();
      kill();
      await system.shutdown();
    },
  };
}

/** A socket of a process that has ended: it drops what is sent. */
const deadSocket = (onEnd: () => void): PeerSocket => ({
  unsentBytes: 0,
  send: () => undefined,
  close: onEnd,
  terminate: onEnd,
});

/** Keeps all of them with each other, and resolves when every link is up. */
export async function linkUp(...nodes: readonly PeerNode[]): Promise<void> {
  for (const { links } of nodes) links.keep(nodes.map(({ peer }) => peer));
  await untilSo(
    () => nodes.every(({ links }) => nodes.every(({ peer }) => links.isUp(peer.node))),
    `links of ${nodes.map(({ peer }) => peer.node)}`,
  );
}
