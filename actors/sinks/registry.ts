/** Every kind of sink, by its `type` in the configuration. A new kind is one file of the same shape, and a line here. */
import { fileSink } from "./file/file_sink.ts";
import { httpSink } from "./http/http_sink.ts";
import type { SinkDefinition } from "./sink.ts";
import { stdoutSink } from "./stdout_sink.ts";
import { streamSink } from "./stream_sink.ts";

/** A sink whose options were validated against its `optionsSchema` before it is opened. */
export type AnySink = SinkDefinition<never>;

const ALL: readonly AnySink[] = [fileSink, httpSink, stdoutSink, streamSink];

export const SINKS: ReadonlyMap<string, AnySink> = new Map(ALL.map((sink) => [sink.type, sink]));
