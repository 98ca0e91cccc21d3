/** The node's public HTTP reads, as the page needs them. */
import { type Event, eventJson, jsonEvent } from "../protocols/mod.ts";

export interface PartitionState {
  readonly partition: number;
  readonly state: string;
  readonly epoch?: number;
  readonly firstOffset?: number;
  readonly endOffset?: number;
  readonly sizeBytes?: number;
  readonly rejected?: number;
}

export interface StreamState {
  readonly name: string;
  readonly key?: string;
  readonly schemaVersions: readonly number[];
  readonly partitions: readonly PartitionState[];
}

export interface SinkState {
  readonly sink: string;
  /** Tells deliveries of one stream to one sink apart; absent for the delivery without a name of its own. */
  readonly as?: string;
  readonly stream: string;
  readonly partition: number;
  readonly state: string;
  readonly reason?: string;
  readonly lagRecords: number;
  readonly deliveredRecords: number;
  readonly deadLetters: number;
  /** Absent on nodes of earlier releases. */
  readonly deadLettersStored?: number;
  readonly lastDelayMs?: number;
}

export interface ClusterNode {
  readonly name: string;
  readonly state: string;
  readonly isCoordinator: boolean;
  readonly zone: string;
  /** The number of partitions that the node owns. */
  readonly partitions: number;
  readonly recordsPerSecond?: number;
  readonly bytesPerSecond?: number;
}

export interface ClusterPartition {
  readonly stream: string;
  readonly partition: number;
  readonly owner?: string;
  readonly state: "owned" | "claiming" | "handing_over" | "unassigned";
  readonly epoch?: number;
}

export interface ClusterMove {
  readonly stream: string;
  readonly partition: number;
  readonly from?: string;
  readonly to: string;
  readonly reason: string;
}

export interface ClusterState {
  /** The node that answers. */
  readonly node: string;
  readonly coordinator?: { readonly node: string; readonly leaderEpoch: number };
  readonly tableVersion: number;
  readonly ageMs: number;
  readonly nodes: readonly ClusterNode[];
  readonly partitions: readonly ClusterPartition[];
  readonly moves: readonly ClusterMove[];
}

/** One decision of the coordinator. */
export interface Decision {
  readonly id: number;
  readonly atMs: number;
  readonly text: string;
  readonly moves: number;
}

/** The cluster of a node alone: no coordinator, and no other nodes. */
export const isAlone = ({ coordinator, nodes }: ClusterState): boolean =>
  coordinator === undefined && nodes.length <= 1;

/** Everything that one look at the node brings. */
export interface NodeAnswers {
  readonly streams: readonly StreamState[];
  readonly sinks: readonly SinkState[];
  readonly cluster: ClusterState;
  /** Newest first. */
  readonly decisions: readonly Decision[];
  /** Prometheus text. */
  readonly metrics: string;
}

/** The error where the node asks for a token, or refuses the given one. */
export class TokenRefused extends Error {}

/** Milliseconds for an answer: a frozen node accepts connections and answers none of them. */
const ANSWER_WITHIN_MS = 4_000;

async function get(path: string, token: string | undefined): Promise<Response> {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const signal = AbortSignal.timeout(ANSWER_WITHIN_MS);
  const answer = await fetch(path, { headers, cache: "no-store", signal }).catch((cause: unknown) => {
    if (!signal.aborted) throw cause;
    throw new Error(`Cannot read ${path} as the node must answer within ${ANSWER_WITHIN_MS} ms`, { cause });
  });
  if (answer.status === 401) throw new TokenRefused("Cannot read as the node asks for a token");
  if (!answer.ok) throw new Error(`Cannot read ${path} as the node must answer 200: it answered ${answer.status}`);
  return answer;
}

const DECISIONS_SHOWN = 6;

/**
 * One look at the node. Throws `TokenRefused`, or the error of a request without an answer.
 * @param before the last look: decisions are read again only where there are new ones
 */
export async function readNode(token: string | undefined, before?: NodeAnswers): Promise<NodeAnswers> {
  const json = async (path: string) => (await get(path, token)).json();
  const [{ streams }, { sinks }, cluster, metrics] = await Promise.all([
    json("/v1/streams"),
    json("/v1/sinks"),
    json("/v1/cluster"),
    get("/metrics", token).then((answer) => answer.text()),
  ]);
  const decisions = await readDecisions(cluster, before, async () => {
    return (await json(`/v1/cluster/decisions?limit=${DECISIONS_SHOWN}`)).decisions;
  });
  return { streams, sinks, cluster, decisions, metrics };
}

async function readDecisions(
  cluster: ClusterState,
  before: NodeAnswers | undefined,
  read: () => Promise<readonly Decision[]>,
): Promise<readonly Decision[]> {
  const known = before?.decisions ?? [];
  if (isAlone(cluster)) return [];
  if (before?.cluster.tableVersion === cluster.tableVersion && known.length > 0) return known;
  try {
    return await read();
  } catch {
    return known; // The store of decisions may be out of reach: the page goes on to show the known ones.
  }
}

/** Levels of an answer around each event: its map, the list of records, and a record. */
const PAGE_LEVELS = 3;

/** The newest event of a stream as JSON text, as a draft for a new one; undefined where the stream is empty. */
export async function readNewestEvent(stream: StreamState, token: string | undefined): Promise<string | undefined> {
  const fullest = stream.partitions
    .filter(({ firstOffset = 0, endOffset = 0 }) => endOffset > firstOffset)
    .toSorted((left, right) => (right.endOffset ?? 0) - (left.endOffset ?? 0))[0];
  if (fullest?.endOffset === undefined) return undefined;
  const from = fullest.endOffset - 1;
  const path = `/v1/streams/${encodeURIComponent(stream.name)}/partitions/${fullest.partition}/records`;
  const { records } = jsonEvent(await (await get(`${path}?from=${from}&limit=1`, token)).text(), PAGE_LEVELS);
  const [newest] = records as readonly { readonly event: Event }[];
  return newest === undefined ? undefined : eventJson(newest.event);
}
