/**
 * The doctor's checks of a node: whether it answers at the address and is ready, and whether the configured port is
 * free.
 */
import { createServer } from "node:net";
import { type DeliveryTarget, deliveryText } from "../../../actors/sinks/delivery/delivery_names.ts";
import { HeadraceError } from "../../../protocols/errors.ts";
import { partitionName } from "../../../protocols/position.ts";
import type { Configuration } from "../../../supervisors/configuration/configuration_schema.ts";
import { readEnvironment } from "../../../supervisors/configuration/environment.ts";
import { type NodeClient, type NodeOptions, nodeClient, type StreamStanding } from "../node_client.ts";
import type { Check } from "./doctor_machine.ts";

export interface NodeFinding {
  readonly checks: readonly Check[];
  /** The port on which a node answered. */
  readonly port: number | undefined;
}

export async function checkNode(options: NodeOptions): Promise<NodeFinding> {
  const client = await nodeClient(options);
  const name = `node at ${client.address}`;
  const { port: text, protocol } = new URL(client.address);
  const port = text === "" ? (protocol === "https:" ? 443 : 80) : Number(text);
  try {
    const response = await fetch(`${client.address}/readyz`, { signal: AbortSignal.timeout(5_000) });
    const { reasons = [] } = (await response.json()) as { readonly reasons?: readonly string[] };
    if (!response.ok) {
      const advice = reasons.some((reason) => reason.startsWith("STORE_LOST"))
        ? "its store was emptied: see headrace recover"
        : "wait, or look at the node's own log";
      const check: Check = { name, verdict: "fail", detail: `not ready: ${reasons.join("; ")}`, advice };
      return { port, checks: [check] };
    }
    const { streams } = await client.get<{ readonly streams: readonly StreamStanding[] }>("/v1/streams");
    const names = streams.map((stream) => stream.name).join(", ") || "none";
    const ready: Check = { name, verdict: "ok", detail: `ready; streams it shows us: ${names}` };
    return { port, checks: [ready, ...(await checkSinks(client))] };
  } catch (error) {
    if (error instanceof HeadraceError && error.code === "UNAUTHENTICATED") {
      const advice = "give a token with --token-file or HEADRACE_TOKEN";
      return { port, checks: [{ name, verdict: "warn", detail: "ready, but it wants a token", advice }] };
    }
    const advice = "start one with headrace up, or name another with --address";
    return { port: undefined, checks: [{ name, verdict: "warn", detail: "no node answers", advice }] };
  }
}

interface SinkStanding extends DeliveryTarget {
  readonly stream: string;
  readonly partition: number;
  readonly reason?: string;
  readonly needsPerson?: boolean;
}

/** Sinks that wait for a person: one line for each, as the partitions of a sink mostly have one reason. */
async function checkSinks(client: NodeClient): Promise<readonly Check[]> {
  const { sinks } = await client.get<{ readonly sinks: readonly SinkStanding[] }>("/v1/sinks");
  const waiting = new Map(
    sinks.filter(({ needsPerson }) => needsPerson === true).map((one) => [deliveryText(one), one]),
  );
  return [...waiting].map(([sink, { stream, partition, reason = "" }]) => ({
    name: `sink ${sink}`,
    verdict: "fail",
    detail: `waits in ${partitionName({ stream, partition })}: ${reason}`,
    advice: "do what the reason says: it goes on by itself then",
  }));
}

export async function checkPort(configuration: Configuration, node: NodeFinding): Promise<readonly Check[]> {
  const { host } = configuration.node;
  const port = readEnvironment().port ?? configuration.node.port;
  const name = `port ${host}:${port}`;
  const failure = await tryPort(host, port);
  if (failure === undefined) return [{ name, verdict: "ok", detail: "free" }];
  if (failure === "EADDRINUSE" && node.port === port) return [{ name, verdict: "ok", detail: "held by the node" }];
  const detail = failure === "EADDRINUSE" ? "another program holds it" : `cannot be listened on: ${failure}`;
  return [{ name, verdict: "fail", detail, advice: "choose another with node.port or HEADRACE_PORT" }];
}

function tryPort(host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen(port, host, () => server.close(() => resolve(undefined)));
  });
}
