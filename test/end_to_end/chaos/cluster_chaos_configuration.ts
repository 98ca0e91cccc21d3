/** The streams, pipelines and sinks of the cluster under chaos, and the fields of an event by its id. */
import { PAIRS, pairOf, pairPipeline, TALLIES, tallyPipeline } from "./chaos_pipelines.ts";

/** `ledger` loses no event when Redis fails over. `readings` may lose a tail, and reports it. */
export const STREAMS = { ledger: 12, readings: 12 } as const;
export const SINKS_OF: Readonly<Record<keyof typeof STREAMS, number>> = { ledger: 4, readings: 2 };
/** One in this many events of `ledger` is posted. The number has no common factor with the number of partitions. */
export const HOOK_EVERY = 17;

const schema = `{ type: object, required: [id, n], properties: { id: { type: string }, n: { type: integer } } }`;
export const configurationText = (redisUrl: string, folder: string, endpointPort: number): string => `
log: { type: redis, url: "${redisUrl}" }
streams:
  ledger: { partitions: ${STREAMS.ledger}, durability: { replicas: 1 }, schema: ${schema} }
  readings: { partitions: ${STREAMS.readings}, durability: everysec, schema: ${schema} }
  ${TALLIES.stream}: { partitions: ${TALLIES.partitions}, durability: everysec }
  ${PAIRS.stream}: { partitions: ${PAIRS.partitions}, durability: everysec }
sinks:
  archive_ledger: { type: file, directory: ${folder}/archive, shared: true, segmentBytesMax: 50000 }
  archive_readings: { type: file, directory: ${folder}/archive, shared: true, segmentBytesMax: 50000 }
  hook: { type: http, url: "http://127.0.0.1:${endpointPort}/", timeoutMs: 1000 }
  ${TALLIES.stream}: { type: stream, stream: ${TALLIES.stream} }
  ${PAIRS.stream}: { type: stream, stream: ${PAIRS.stream} }
pipelines:
  keep_ledger: { from: ledger, to: [archive_ledger] }
  keep_readings: { from: readings, to: [archive_readings] }
  post: { from: ledger, steps: [{ filter: "event.n % ${HOOK_EVERY} == 0" }], to: [hook] }
  tally_ledger: ${tallyPipeline("ledger")}
  tally_readings: ${tallyPipeline("readings")}
  pair: ${pairPipeline("ledger", "readings")}
`;

/** The field `n` of an event, by its id. */
export const numberOf = (id: string): number => (id.startsWith("fresh-") ? HOOK_EVERY : Number(id.split("-").at(-1)));

const PARTITIONS_OF_ALL = STREAMS.ledger + STREAMS.readings;

/** The field `pair` of an event, by its id. */
export const pairOfId = (id: string): string => {
  const at = id.lastIndexOf("-");
  return id.startsWith("fresh-") ? "fresh" : pairOf(id.slice(0, at), Number(id.slice(at + 1)), PARTITIONS_OF_ALL);
};

/** Whether the pipeline's filter lets the event through. */
export const isPosted = (id: string): boolean => numberOf(id) % HOOK_EVERY === 0;
