/** The sessions of a node: for connections over WebSocket, and for the producers within the node. */
import { CreditPool } from "../../actors/ingest/session/credit_pool.ts";
import { connectInProcess, type OpenInProcess } from "../../actors/ingest/session/in_process_connection.ts";
import { createInspect } from "../../actors/ingest/session/inspection.ts";
import { RecordsBudget } from "../../actors/ingest/session/records_budget.ts";
import { type SessionHostMessage, sessionHost } from "../../actors/ingest/session/session_host.ts";
import type { SessionEnvironment, SessionInput, SessionPeer } from "../../actors/ingest/session.ts";
import type { ActorReference, ActorSystem } from "../../actors/kernel/actor.ts";
import { SHORT_LIVED_PRODUCERS } from "../../actors/log/log.ts";
import type { Metrics } from "../../actors/observers/metrics.ts";
import { createWebSocketListener, type WebSocketListener } from "../../actors/transport/websocket_listener.ts";
import type { Connect } from "../../protocols/connection.ts";
import { RejectedError } from "../../protocols/errors.ts";
import { EVENT_LIMITS } from "../../protocols/values/event_codec.ts";
import { type ClientFrame, type ErrorFrame, WIRE_DEFAULTS, type WireLimits } from "../../protocols/wire/frames.ts";
import { bearerOf } from "../http/http_server.ts";
import type { Access, Grants, Held } from "../security/access/access.ts";
import type { ConnectionGate } from "../security/admission/connection_gate.ts";
import type { Audit } from "../security/audit/audit_log.ts";
import type { AuditEvent } from "../security/audit/audit_machine.ts";
import { refusalKind } from "../security/audit/audit_requests.ts";
import type { Foundation } from "./foundation.ts";
import { setTimer } from "./reload_credentials.ts";

type SessionParts = Pick<Foundation, "log" | "access" | "configuration" | "directory" | "schemas" | "name"> & {
  readonly metrics: Pick<Metrics, "counter">;
};

export interface Sessions {
  readonly environment: SessionEnvironment;
  readonly open: (
    environment: SessionEnvironment,
    peer: SessionPeer,
    decode: (data: Uint8Array | string) => ClientFrame,
    onEnd: () => void,
  ) => Promise<ActorReference<SessionInput>>;
  /** For producers within the node: checked against the given permissions only. */
  readonly connect: (permissions: Grants) => Connect;
  /** For a producer whose epoch was chosen elsewhere: the owner epoch of its partition (E3). */
  readonly connectWithEpoch: (permissions: Grants) => Connect;
}

export function startSessions(system: ActorSystem, parts: SessionParts): Sessions {
  const { log, access, configuration, directory } = parts;
  const limits: WireLimits = {
    frameBytesMax: WIRE_DEFAULTS.frameBytesMax,
    eventBytesMax: WIRE_DEFAULTS.eventBytesMax,
    batchEventsMax: WIRE_DEFAULTS.batchEventsMax,
    dedupeWindowMs: Math.min(
      ...Object.values(configuration.streams).map((stream) => stream.dedupeWindowMs),
      86_400_000,
    ),
  };
  const dropped = {
    traceparent_dropped: parts.metrics.counter(
      "headrace_traceparents_dropped_total",
      "Trace contexts of appends that were none, and were left out",
    ),
  };
  const environment: SessionEnvironment = {
    node: parts.name,
    limits,
    directory,
    inspect: createInspect(parts.schemas, EVENT_LIMITS),
    authenticate: (token) => access.authenticate(token),
    welcomeProducer: (...arrival) => log.welcomeProducer(...arrival),
    count: (what) => dropped[what].add(1),
  };
  const host: ActorReference<SessionHostMessage> = system.spawn(sessionHost());
  const pool = new CreditPool({
    totalBytes: configuration.limits.appendMemoryBytes,
    connectionsMax: configuration.limits.connectionsMax,
    connectionBytesMax: WIRE_DEFAULTS.connectionCreditBytes,
  });
  const recordsBudget = new RecordsBudget();
  const open: Sessions["open"] = (sessionEnvironment, peer, decode, onEnd) => {
    const credit = pool.take();
    const records = recordsBudget.open();
    const end = () => {
      credit.release();
      records.release();
      onEnd();
    };
    return system.ask<SessionHostMessage, ActorReference<SessionInput>>(
      host,
      (replyTo) => ({
        type: "open",
        options: { environment: sessionEnvironment, peer, credit, records, decode },
        onEnd: end,
        replyTo,
      }),
      { timeoutMs: 10_000 },
    );
  };
  const connectTo = (inside: SessionEnvironment): Connect => {
    const openInside: OpenInProcess = (peer, onEnd) => open(inside, peer, decodesNothing, onEnd);
    return connectInProcess(openInside);
  };
  const insideOf = (permissions: Grants) => ({
    ...environment,
    passesOn: true,
    authenticate: async () => permissions,
  });
  return {
    environment,
    open,
    connect: (permissions) => connectTo(insideOf(permissions)),
    connectWithEpoch: (permissions) =>
      connectTo({
        ...insideOf(permissions),
        welcomeProducer: async (_producerId, _instance, heldEpoch = 0) => ({
          kind: "welcomed",
          producerEpoch: heldEpoch,
        }),
      }),
  };
}

/** Frames within the process are passed as objects, never encoded to bytes. */
const decodesNothing = (): never => {
  throw new TypeError("Cannot decode bytes as a session within the node must be given frames");
};

export function listen(
  sessions: Sessions,
  access: Access,
  gate: Pick<ConnectionGate, "welcome">,
  audit: Pick<Audit, "record">,
): Promise<WebSocketListener> {
  return createWebSocketListener({
    frameBytesMax: WIRE_DEFAULTS.frameBytesMax,
    setTimer,
    openSession: (peer, decode, request, onEnd) => {
      const bearer = bearerOf(request.headers.authorization);
      let held: Held | undefined;
      let isOver = false;
      const address = request.socket.remoteAddress; // undefined once the connection has closed
      const environment: SessionEnvironment = {
        ...sessions.environment,
        authenticate: async (token) => {
          const found = await access.hold(token ?? bearer, request.socket, () => {
            opened.then((session) => session.tell({ type: "grant_ended" })).catch(() => undefined); // never opened
          });
          if (found === undefined) told({ kind: "refused_login", action: "hello", outcome: "UNAUTHENTICATED" });
          if (isOver) found?.stop();
          else held = found;
          if (found !== undefined) gate.welcome(request.socket);
          return found?.grants;
        },
        welcomeProducer: async (producerId, ...rest) => {
          refuseOwnName(producerId);
          return sessions.environment.welcomeProducer(producerId, ...rest);
        },
      };
      request.socket.once("close", () => {
        isOver = true;
        held?.stop();
      });
      const told = (event: Pick<AuditEvent, "kind" | "action" | "outcome">) =>
        audit.record({ ...event, subject: held?.grants.subject, address });
      const refused = ({ code, stream }: ErrorFrame) => {
        const kind = refusalKind(code, held?.grants);
        const action = stream === undefined ? "a frame" : `a frame ${stream}`;
        if (kind === "refused_scope") told({ kind, action, outcome: code });
      };
      const opened = sessions.open(environment, tellingErrors(peer, refused), decode, onEnd);
      return opened;
    },
  });
}

/** The same peer, which also tells the errors that it sends. */
export const tellingErrors = (peer: SessionPeer, onError: (frame: ErrorFrame) => void): SessionPeer => ({
  ...peer,
  send: (frame, ...rest) => {
    if (frame.type === "error") onError(frame);
    return peer.send(frame, ...rest);
  },
});

/** Reserved names of the node's own producers: a client with such a name could fence a source or a derived stream. */
const OWN_PRODUCERS = ["source/", "sink/", "pipeline/", "ingest/", SHORT_LIVED_PRODUCERS.prefix];

function refuseOwnName(producerId: string): void {
  const reserved = OWN_PRODUCERS.find((prefix) => producerId.startsWith(prefix));
  if (reserved === undefined) return;
  throw new RejectedError(
    "FORBIDDEN",
    `Cannot welcome the producer as names that begin with ${reserved} must be the node's own: current value is ${producerId}`,
  );
}
