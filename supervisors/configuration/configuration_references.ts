/** Checks how a configuration's parts fit together: known names, sinks fed once by each stream, no circle of pipelines. */
import { addressProblem } from "../../actors/log/redis/redis_connection.ts";
import { DELIVERY_TEXT_CHARACTERS_MAX, deliveryText } from "../../actors/sinks/delivery/delivery_names.ts";
import { type LineAt, type Problem, problemAt } from "./configuration_problem.ts";
import { auditStreamName, type KnownKinds, type Raw, streamsOf, targetsOf } from "./configuration_raw.ts";
import type { Options } from "./configuration_schema.ts";
import { securityProblems } from "./configuration_security.ts";
import { computesOnce } from "./configuration_steps.ts";
import { nearest } from "./nearest_word.ts";
import { STREAM_SCHEMA } from "./stream_schema.ts";

export function referenceProblems(raw: Raw, kinds: KnownKinds, at: LineAt): Problem[] {
  const problems: Problem[] = [];
  const refuse = (path: readonly (string | number)[], reason: string) => problems.push(problemAt(at, path, reason));
  const expect = (path: readonly (string | number)[], value: string, known: readonly string[], what: string) => {
    if (known.includes(value)) return;
    const guess = nearest(value, known);
    const hint = guess === undefined ? `known ones are [${known.join(", ")}]` : `did you mean ${guess}?`;
    refuse(path, `unknown ${what} ${value}: ${hint}`);
  };
  const own = Object.keys(raw.streams ?? {});
  const audit = auditStreamName(raw.security);
  // Pipelines may read the audit stream like any other. Only the node writes it.
  const streams = audit === undefined ? own : [...own, audit];
  if (audit !== undefined && own.includes(audit)) {
    refuse(["streams", audit], `stream ${audit} is the audit's own: give security.audit.stream another name`);
  }
  const sinks = Object.keys(raw.sinks ?? {});
  for (const [name, source] of Object.entries(raw.sources ?? {})) {
    expect(["sources", name, "stream"], String(source.stream), own, "stream");
    if (source.headers !== undefined && source.headers === source.time) {
      refuse(["sources", name, "time"], `headers and time must name two fields: both are ${source.time}`);
    }
    expect(["sources", name, "type"], String(source.type), [...kinds.sources.keys()], "type of source");
  }
  for (const [name, sink] of Object.entries(raw.sinks ?? {})) {
    expect(["sinks", name, "type"], String(sink.type), [...kinds.sinks.keys()], "type of sink");
    if (sink.type === "stream") expect(["sinks", name, "stream"], String(sink.stream), own, "stream");
  }
  for (const [name, pipeline] of Object.entries(raw.pipelines ?? {})) {
    for (const from of streamsOf(pipeline.from)) expect(["pipelines", name, "from"], from, streams, "stream");
    const read = streamsOf(pipeline.from).flatMap((from): Options[] => {
      const stream = raw.streams?.[from];
      return stream === undefined ? [] : [stream];
    });
    const counts = read.map(({ partitions }) => Number(partitions ?? STREAM_SCHEMA.properties.partitions?.default));
    if (new Set(counts).size > 1) {
      const needs = "streams that are read together must have as many partitions, with the same keys";
      refuse(["pipelines", name, "from"], `${needs}: current values are ${counts.join(", ")}`);
    }
    for (const { place, target } of targetsOf(pipeline)) {
      expect(["pipelines", name, ...place], target.sink, sinks, "sink");
      const text = deliveryText(target);
      if (text.length > DELIVERY_TEXT_CHARACTERS_MAX) {
        const must = `sink and as together must have at most ${DELIVERY_TEXT_CHARACTERS_MAX - 1} characters`;
        refuse(["pipelines", name, ...place], `${must}: current value is ${text}`);
      }
    }
  }
  problems.push(...redisProblems(raw, at), ...securityProblems(raw.security, at));
  if (raw.cluster?.caFile !== undefined && raw.security?.tls === undefined) {
    refuse(["cluster", "caFile"], "nodes show each other the certificates of security.tls: none is configured");
  }
  if (raw.cluster !== undefined && raw.log?.type !== "redis") {
    refuse(["cluster"], `nodes of a cluster share a log of type redis: log.type is ${raw.log?.type ?? "lmdb"}`);
  }
  return [...problems, ...sharedSinkProblems(raw, at), ...crowdProblems(raw, at), ...cycleProblems(raw, at)];
}

/** A stream with two schemas is refused, as one of them would be ignored. */
export function schemaTwice(raw: Raw, at: LineAt): Problem[] {
  return Object.entries(raw.streams ?? {}).flatMap(([name, { schema, schemaFile }]) => {
    if (schema === undefined || schemaFile === undefined) return [];
    const reason = "a stream must have one of schema and schemaFile: it has both";
    return [problemAt(at, ["streams", name, "schemaFile"], reason)];
  });
}

/** The address of Redis must be given once, and only for a log of type redis. */
function redisProblems({ log = {} }: Raw, at: LineAt): Problem[] {
  if (log.type === "redis") {
    const reason = addressProblem(log);
    return reason === undefined ? [] : [problemAt(at, ["log"], reason)];
  }
  const { type = "lmdb" } = log;
  const given = (["url", "urls", "sentinel"] as const).filter((key) => log[key] !== undefined);
  return given.map((key) => problemAt(at, ["log", key], `${key} is for a log of type redis: log.type is ${type}`));
}

/** A delivery has one position in each partition that it reads: two of one stream and sink need names of their own. */
function sharedSinkProblems(raw: Raw, at: LineAt): Problem[] {
  const fedBy = new Map<string, string>();
  return Object.entries(raw.pipelines ?? {}).flatMap(([name, pipeline]) =>
    targetsOf(pipeline).flatMap(({ place, target }) => {
      const [first = ""] = streamsOf(pipeline.from); // a delivery reads the partitions of the first stream
      const key = `${deliveryText(target)} ${first}`;
      const other = fedBy.get(key);
      fedBy.set(key, other ?? name);
      if (other === undefined) return [];
      const { sink, as } = target;
      const known = `sink ${sink} is fed from stream ${first} by pipeline ${other} already`;
      const mend =
        as === undefined
          ? `give this delivery a name of its own, such as { sink: ${sink}, as: ${name} }`
          : `another as than ${as} is needed`;
      return [problemAt(at, ["pipelines", name, ...place], `${known}: ${mend}`)];
    }),
  );
}

/** The deliveries and outboxes of a partition are children of one supervising actor, which may have this many, and some room. */
const DELIVERIES_MAX = 90;

function crowdProblems(raw: Raw, at: LineAt): Problem[] {
  const counts = new Map<string, number>();
  return Object.entries(raw.pipelines ?? {}).flatMap(([name, pipeline]) => {
    const [first = ""] = streamsOf(pipeline.from);
    const before = counts.get(first) ?? 0;
    const count = before + targetsOf(pipeline).length + (computesOnce(pipeline) ? 1 : 0);
    counts.set(first, count);
    if (before > DELIVERIES_MAX || count <= DELIVERIES_MAX) return [];
    const must = `stream ${first} must have at most ${DELIVERIES_MAX} deliveries, with one more for each pipeline that computes once`;
    return [problemAt(at, ["pipelines", name, "to"], `${must}: current value is ${count}`)];
  });
}

/** A pipeline whose derived streams lead back to its own input would run for ever (E19). */
function cycleProblems(raw: Raw, at: LineAt): Problem[] {
  const derived = (sink: string): string | undefined => {
    const options = raw.sinks?.[sink];
    return options?.type === "stream" && typeof options.stream === "string" ? options.stream : undefined;
  };
  const next = (stream: string): string[] =>
    Object.values(raw.pipelines ?? {})
      .filter((pipeline) => streamsOf(pipeline.from).includes(stream))
      .flatMap((pipeline) => targetsOf(pipeline).flatMap(({ target }) => derived(target.sink) ?? []));
  const reaches = (from: string, target: string, seen: Set<string>): boolean =>
    next(from).some((stream) => stream === target || (!seen.has(stream) && reaches(stream, target, seen.add(stream))));
  return Object.entries(raw.pipelines ?? {}).flatMap(([name, pipeline]) => {
    const circular = streamsOf(pipeline.from).find((from) => reaches(from, from, new Set()));
    if (circular === undefined) return [];
    return [problemAt(at, ["pipelines", name], `stream ${circular} leads back to itself through pipelines`)];
  });
}
