/**
 * The control port of a local cluster, for commands from another terminal: on loopback, with a secret that only the
 * owner of the folder can read. The process that has the nodes as children starts and ends them, so that no other
 * process is ended by mistake.
 */
import { randomBytes, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingMessage } from "node:http";
import { errorFromCode, HeadraceError, RejectedError } from "../../../protocols/errors.ts";
import type { LocalClusterState, LocalNode } from "./local_cluster_state.ts";

const HOST = "127.0.0.1";
const ANSWER_WITHIN_MS = 120_000;
const BODY_BYTES_MAX = 10_000;

export type LocalRequest =
  | { readonly kind: "nodes" }
  | { readonly kind: "add"; readonly name?: string }
  | { readonly kind: "kill"; readonly name: string; readonly signal: NodeJS.Signals };

export interface Control {
  readonly port: number;
  readonly secret: string;
  close(): void;
}

/** Answers each request with the result of `handle`. */
export async function listenForControl(handle: (request: LocalRequest) => Promise<unknown>): Promise<Control> {
  const secret = randomBytes(24).toString("hex");
  const server = createServer((request, response) => {
    const answer = (status: number, body: unknown) =>
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
    void (async () => {
      try {
        refuseOthers(request, secret);
        answer(200, await handle(await bodyOf(request)));
      } catch (error) {
        const { message } = error as Error;
        if (error instanceof HeadraceError) answer(400, { code: error.code, message });
        else answer(500, { code: "INVARIANT_VIOLATED", message });
      }
    })();
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, HOST, resolve);
  });
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return {
    port,
    secret,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

function refuseOthers(request: IncomingMessage, secret: string): void {
  const shown = Buffer.from(request.headers.authorization ?? "");
  const expected = Buffer.from(`Bearer ${secret}`);
  if (shown.length === expected.length && timingSafeEqual(shown, expected)) return;
  throw new RejectedError("UNAUTHENTICATED", "Cannot answer as the request must show the secret of the state file");
}

async function bodyOf(request: IncomingMessage): Promise<LocalRequest> {
  let text = "";
  for await (const chunk of request) {
    text += String(chunk);
    if (text.length > BODY_BYTES_MAX) throw new RejectedError("FRAME_TOO_LARGE", "Cannot read so long a request");
  }
  return JSON.parse(text) as LocalRequest;
}

/** Undefined if no cluster listens there any more, as the state file is stale. */
export async function askLocalCluster(
  { control }: LocalClusterState,
  request: LocalRequest,
): Promise<readonly LocalNode[] | undefined> {
  const response = await fetch(`http://${HOST}:${control.port}/`, {
    method: "POST",
    headers: { authorization: `Bearer ${control.secret}` },
    body: JSON.stringify(request),
    signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
  }).catch((error: unknown) => {
    if (((error as Error).cause as NodeJS.ErrnoException | undefined)?.code === "ECONNREFUSED") return undefined;
    throw error;
  });
  if (response === undefined) return undefined;
  const answer = (await response.json()) as { readonly code?: string; readonly message?: string };
  if (response.ok) return answer as unknown as readonly LocalNode[];
  // Another program took the port meanwhile, or another cluster did.
  if (answer.code === "UNAUTHENTICATED") return undefined;
  throw errorFromCode(answer.code ?? "CONNECTION_LOST", answer.message ?? "it gave no reason");
}
