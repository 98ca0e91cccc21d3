/** A configuration with this machine's own metrics, and a stream for first tries. */
const demo = (
  partitions: { readonly hostMetrics: number; readonly events: number },
  archive = "archive",
): string => `# The configuration that Headrace starts with. Save it as headrace.yaml and change it.
streams:
  host_metrics:
    partitions: ${partitions.hostMetrics}
    key: /metric
    eventTime: /at
    retention: { size: 512MiB, age: 7d }
    schema:
      type: object
      required: [at, host, metric, value, unit]
      properties:
        at: { type: string, format: date-time }
        host: { type: string }
        metric: { type: string }
        value: { type: number }
        unit: { enum: [ratio, bytes, bytes_per_second, processes, seconds] }
      additionalProperties: false
  events:
    partitions: ${partitions.events}
    retention: { size: 256MiB, age: 7d }

sources:
  this_machine: { type: host_metrics, stream: host_metrics, everyMs: 1000 }

pipelines:
  archive:
    from: host_metrics
    to: [archive]

sinks:
  archive: { type: file, directory: ${archive}, format: ndjson }
`;

/** The configuration of `headrace up` without a headrace.yaml. */
export const DEMO_CONFIGURATION = demo({ hostMetrics: 2, events: 4 });

/** The configuration of `npm run cluster`: the same, with enough partitions to spread over nodes. */
export const clusterDemoConfiguration = (archiveFolder: string): string =>
  demo({ hostMetrics: 12, events: 24 }, `${JSON.stringify(archiveFolder)}, shared: true`);
