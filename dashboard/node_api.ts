/** The node's public HTTP reads, as the page needs them. */

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
  readonly stream: string;
  readonly partition: number;
  readonly state: string;
  readonly reason?: string;
  readonly lagRecords: number;
  readonly deliveredRecords: number;
  readonly deadLetters: number;
  readonly lastDelayMs?: number;
}

export interface ClusterState {
  readonly nodes: readonly { readonly name: string; readonly state: string }[];
  readonly partitions: readonly { readonly stream: string; readonly partition: number; readonly owner: string }[];
}

/** Everything that one look at the node brings. */
export interface NodeAnswers {
  readonly streams: readonly StreamState[];
  readonly sinks: readonly SinkState[];
  readonly cluster: ClusterState;
  /** Prometheus text. */
  readonly metrics: string;
}

/** The node asks for a token, or refuses the one it was given. */
export class TokenRefused extends Error {}

async function get(path: string, token: string | undefined): Promise<Response> {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const answer = await fetch(path, { headers, cache: "no-store" });
  if (answer.status === 401) throw new TokenRefused("Cannot read as the node asks for a token");
  if (!answer.ok) throw new Error(`Cannot read ${path} as the node must answer 200: it answered ${answer.status}`);
  return answer;
}

/** One look at the node. Throws `TokenRefused`, or whatever kept the node from answering. */
export async function readNode(token: string | undefined): Promise<NodeAnswers> {
  const json = async (path: string) => (await get(path, token)).json();
  const [{ streams }, { sinks }, cluster, metrics] = await Promise.all([
    json("/v1/streams"),
    json("/v1/sinks"),
    json("/v1/cluster"),
    get("/metrics", token).then((answer) => answer.text()),
  ]);
  return { streams, sinks, cluster, metrics };
}

/** The newest event of a stream as JSON text, to begin a new one from; undefined where the stream is empty. */
export async function readNewestEvent(stream: StreamState, token: string | undefined): Promise<string | undefined> {
  const fullest = stream.partitions
    .filter(({ firstOffset = 0, endOffset = 0 }) => endOffset > firstOffset)
    .toSorted((left, right) => (right.endOffset ?? 0) - (left.endOffset ?? 0))[0];
  if (fullest?.endOffset === undefined) return undefined;
  const from = fullest.endOffset - 1;
  const path = `/v1/streams/${encodeURIComponent(stream.name)}/partitions/${fullest.partition}/records`;
  const { records } = await (await get(`${path}?from=${from}&limit=1`, token)).json();
  return records[0] === undefined ? undefined : JSON.stringify(records[0].event, undefined, 2);
}
