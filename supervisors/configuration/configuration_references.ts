/**
 * Checks how the parts of a configuration fit together: known names, sinks fed by one pipeline, no circle of pipelines.
 */
import { addressProblem } from "../../actors/log/redis/redis_connection.ts";
import { type LineAt, type Problem, pointer } from "./configuration_problem.ts";
import { auditStreamName, type KnownKinds, type Raw } from "./configuration_raw.ts";
import { securityProblems } from "./configuration_security.ts";
import { nearest } from "./nearest_word.ts";

export function referenceProblems(raw: Raw, kinds: KnownKinds, at: LineAt): Problem[] {
  const problems: Problem[] = [];
  const expect = (path: readonly (string | number)[], value: string, known: readonly string[], what: string) => {
    if (known.includes(value)) return;
    const guess = nearest(value, known);
    const hint = guess === undefined ? `known ones are [${known.join(", ")}]` : `did you mean ${guess}?`;
    problems.push({ line: at(path), path: pointer(path), reason: `unknown ${what} ${value}: ${hint}` });
  };
  const own = Object.keys(raw.streams ?? {});
  const audit = auditStreamName(raw.security);
  // Pipelines may read the audit stream like any other. Only the node writes it.
  const streams = audit === undefined ? own : [...own, audit];
  if (audit !== undefined && own.includes(audit)) {
    const path = ["streams", audit];
    const reason = `stream ${audit} is the audit's own: give security.audit.stream another name`;
    problems.push({ line: at(path), path: pointer(path), reason });
  }
  const sinks = Object.keys(raw.sinks ?? {});
  for (const [name, source] of Object.entries(raw.sources ?? {})) {
    expect(["sources", name, "stream"], String(source.stream), own, "stream");
    expect(["sources", name, "type"], String(source.type), [...kinds.sources.keys()], "type of source");
  }
  for (const [name, sink] of Object.entries(raw.sinks ?? {})) {
    expect(["sinks", name, "type"], String(sink.type), [...kinds.sinks.keys()], "type of sink");
    if (sink.type === "stream") expect(["sinks", name, "stream"], String(sink.stream), own, "stream");
  }
  for (const [name, pipeline] of Object.entries(raw.pipelines ?? {})) {
    expect(["pipelines", name, "from"], pipeline.from, streams, "stream");
    for (const [index, to] of pipeline.to.entries()) expect(["pipelines", name, "to", index], to, sinks, "sink");
  }
  problems.push(...redisProblems(raw, at), ...securityProblems(raw.security, at));
  if (raw.cluster?.caFile !== undefined && raw.security?.tls === undefined) {
    problems.push({
      line: at(["cluster", "caFile"]),
      path: "/cluster/caFile",
      reason: "nodes show each other the certificates of security.tls: none is configured",
    });
  }
  if (raw.cluster !== undefined && raw.log?.type !== "redis") {
    problems.push({
      line: at(["cluster"]),
      path: "/cluster",
      reason: `nodes of a cluster share a log of type redis: log.type is ${raw.log?.type ?? "lmdb"}`,
    });
  }
  return [...problems, ...sharedSinkProblems(raw, at), ...cycleProblems(raw, at)];
}

/** A stream with two schemas is refused, as one of them would be ignored. */
export function schemaTwice(raw: Raw, at: LineAt): Problem[] {
  return Object.entries(raw.streams ?? {}).flatMap(([name, { schema, schemaFile }]) => {
    if (schema === undefined || schemaFile === undefined) return [];
    const path = ["streams", name, "schemaFile"];
    return [
      { line: at(path), path: pointer(path), reason: "a stream must have one of schema and schemaFile: it has both" },
    ];
  });
}

/** The address of Redis must be given once, and only for a log of type redis. */
function redisProblems({ log = {} }: Raw, at: LineAt): Problem[] {
  const problemAt = (path: readonly string[], reason: string): Problem[] => [
    { line: at(path), path: pointer(path), reason },
  ];
  if (log.type === "redis") {
    const reason = addressProblem(log);
    return reason === undefined ? [] : problemAt(["log"], reason);
  }
  const { type = "lmdb" } = log;
  return (["url", "urls", "sentinel"] as const).flatMap((key) =>
    log[key] === undefined ? [] : problemAt(["log", key], `${key} is for a log of type redis: log.type is ${type}`),
  );
}

/** A sink has one position for each partition, so only one pipeline may feed it. */
function sharedSinkProblems(raw: Raw, at: LineAt): Problem[] {
  const fedBy = new Map<string, string>();
  return Object.entries(raw.pipelines ?? {}).flatMap(([name, pipeline]) =>
    pipeline.to.flatMap((sink, index) => {
      const other = fedBy.get(sink);
      fedBy.set(sink, other ?? name);
      const path = ["pipelines", name, "to", index];
      if (other === undefined) return [];
      return [{ line: at(path), path: pointer(path), reason: `sink ${sink} is fed by pipeline ${other} already` }];
    }),
  );
}

/** A pipeline whose derived streams lead back to its own input would run for ever (E19). */
function cycleProblems(raw: Raw, at: LineAt): Problem[] {
  const derived = (sink: string): string | undefined => {
    const options = raw.sinks?.[sink];
    return options?.type === "stream" && typeof options.stream === "string" ? options.stream : undefined;
  };
  const next = (stream: string): string[] =>
    Object.values(raw.pipelines ?? {})
      .filter((pipeline) => pipeline.from === stream)
      .flatMap((pipeline) => pipeline.to.flatMap((sink) => derived(sink) ?? []));
  const reaches = (from: string, target: string, seen: Set<string>): boolean =>
    next(from).some((stream) => stream === target || (!seen.has(stream) && reaches(stream, target, seen.add(stream))));
  return Object.entries(raw.pipelines ?? {}).flatMap(([name, pipeline]) => {
    if (!reaches(pipeline.from, pipeline.from, new Set())) return [];
    const path = ["pipelines", name];
    return [
      { line: at(path), path: pointer(path), reason: `stream ${pipeline.from} leads back to itself through pipelines` },
    ];
  });
}
