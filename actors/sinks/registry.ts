/** Every kind of sink, by its `type` in the configuration. A new kind is one file of the same shape, and a line here. */
import { dropSink } from "./drop_sink.ts";
import { fileSink } from "./file/file_sink.ts";
import { httpSink } from "./http/http_sink.ts";
import type { SinkClient, SinkClientContext, SinkDefinition } from "./sink.ts";
import { stdoutSink } from "./stdout_sink.ts";
import { streamSink } from "./stream_sink.ts";

/**
 * A sink of any kind. Its options were validated against its `optionsSchema` before it is opened, and a client that it
 * gets was made by its own `connect`.
 */
export interface AnySink extends Omit<SinkDefinition<never, never>, "connect"> {
  connect?(options: never, context: SinkClientContext): Promise<SinkClient | undefined>;
}

const ALL: readonly AnySink[] = [dropSink, fileSink, httpSink, stdoutSink, streamSink];

export const SINKS: ReadonlyMap<string, AnySink> = new Map(ALL.map((sink) => [sink.type, sink]));
