/** Keeps a stream's number of partitions, which can never change, in the log (E2). */
import type { Log } from "../../actors/log/log.ts";
import { ConfigurationError } from "../../protocols/errors.ts";
import type { Configuration } from "../configuration/configuration_schema.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

const FORMAT_VERSION = 1;

function decodeSettings(stream: string, value: Uint8Array): { readonly partitions: number } {
  const stored = JSON.parse(decoder.decode(value)) as { format: number; partitions: number };
  if (stored.format <= FORMAT_VERSION) return stored;
  throw new ConfigurationError(
    "FORMAT_TOO_NEW",
    `Cannot read the settings of stream ${stream} as their format must be at most ${FORMAT_VERSION}: current value is ${stored.format}`,
  );
}

/** Registers each stream. Throws `ConfigurationError` where its number of partitions differs from the registered one. */
export async function registerStreams(log: Log, configuration: Configuration): Promise<void> {
  for (const [name, { partitions }] of Object.entries(configuration.streams)) {
    const key = `stream/${name}`;
    const written = await log.writeMetadata(
      key,
      encoder.encode(JSON.stringify({ format: FORMAT_VERSION, partitions })),
      0,
    );
    if (written !== undefined) continue;
    const stored = await log.readMetadata(key);
    const before = stored === undefined ? undefined : decodeSettings(name, stored.value);
    if (before === undefined || before.partitions === partitions) continue;
    throw new ConfigurationError(
      "INVALID_CONFIGURATION",
      `Cannot start stream ${name} as its number of partitions must stay ${before.partitions}, so that a retry splits alike: current value is ${partitions} (a stream of another name can have another number)`,
    );
  }
}
