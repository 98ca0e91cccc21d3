/** Hands WebSocket upgrades to their handlers, and reads the requests of all other upgrades anew (ignored_upgrades.ts). */
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { FastifyInstance } from "fastify";
import { refuseUpgrade, refuseUpgradePath } from "../../actors/transport/refuse_upgrade.ts";
import { NO_AUDIT } from "../security/audit/audit_log.ts";
import { auditRefusal, pathOf } from "../security/audit/audit_requests.ts";
import { refuseUnclearHost, refuseUnreadable } from "./http_errors.ts";
import type { HttpServerOptions } from "./http_options.ts";
import { asksForWebSocket, headWithoutUpgrade, UnansweredRequests } from "./ignored_upgrades.ts";

export function answerUpgrades({ server }: FastifyInstance, options: HttpServerOptions): void {
  const { access, audit = NO_AUDIT, gate, tls, upgrades } = options;
  const unanswered = new UnansweredRequests();
  server.prependListener("request", (request, response) => unanswered.asked(request, response));
  const readAnew = (request: IncomingMessage, socket: Duplex, rest: Buffer): void => {
    const head = headWithoutUpgrade(request);
    if (head === undefined) {
      socket.on("error", () => undefined); // no other listener handles the socket's errors
      refuseUnreadable(Object.assign(new Error("too many headers"), { code: "HPE_HEADER_OVERFLOW" }), socket);
      return;
    }
    // At once, as a connection with unread bytes does not end before they are read.
    socket.unshift(Buffer.concat([head, rest]));
    unanswered.whenAnswered(socket, () => {
      if (socket.destroyed || !server.listening) socket.destroy();
      else server.emit(tls === undefined ? "connection" : "secureConnection", socket);
    });
  };
  server.on("upgrade", (request, socket, head) => {
    if (!asksForWebSocket(request)) {
      readAnew(request, socket, head);
      return;
    }
    try {
      refuseUnclearHost(request);
      access.admit(request);
      gate.upgrade(request.socket);
    } catch (error) {
      auditRefusal(audit, error, { address: request.socket.remoteAddress, action: `upgrade ${pathOf(request.url)}` });
      refuseUpgrade(socket, error);
      return;
    }
    const upgrade = upgrades.get(pathOf(request.url));
    if (upgrade !== undefined) upgrade(request, socket, head);
    else refuseUpgradePath(socket);
  });
}
