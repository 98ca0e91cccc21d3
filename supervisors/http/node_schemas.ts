/** What the routes of node_routes.ts answer. */
import type { FastifySchema } from "fastify";
import * as schema from "../../actors/ingest/http/route_schemas.ts";
import type { ActorStatistics, DeadLetterSample } from "../../actors/kernel/actor.ts";
import type { DeliveryStanding } from "../node/delivery_board.ts";
import type { SourceTrouble } from "../node/sources.ts";

const TROUBLES = schema.listOf(
  schema.objectOf<SourceTrouble>({
    source: schema.text("Source."),
    code: schema.text("The operating system's word, such as EACCES."),
  }),
  "Sources that cannot read now; left out where all can.",
);

export const HEALTH_ROUTE: FastifySchema = {
  summary: "Whether the process answers.",
  response: { 200: schema.json("It does.", schema.objectOf<{ status: string }>({ status: { const: "ok" } })) },
};

export const READY_ROUTE: FastifySchema = {
  summary: "Whether the node takes appends.",
  response: {
    200: schema.json(
      "It does.",
      schema.objectOf<{ status: string; sources?: object }>({ status: { const: "ready" } }, { sources: TROUBLES }),
    ),
    503: schema.again("Not yet; why is named.", {
      oneOf: [
        schema.objectOf<{ status: string; reasons: object; sources?: object }>(
          { status: { const: "not ready" }, reasons: schema.listOf(schema.text("Why, in a sentence.")) },
          { sources: TROUBLES },
        ),
        schema.ERROR,
      ],
    }),
  },
};

export const METRICS_ROUTE: FastifySchema = {
  summary: "Metrics of the streams that the token shows; all others with the scope observe or admin.",
  response: {
    200: {
      description: "Metrics in the Prometheus text format.",
      content: { "text/plain": { schema: { type: "string" } } },
    },
  },
};

export const SINKS_ROUTE: FastifySchema = {
  summary: "Where each delivery to a sink, of the streams that the token shows, stands in each partition.",
  response: {
    200: schema.json(
      "Sinks.",
      schema.objectOf<{ sinks: object }>({
        sinks: schema.listOf(
          schema.objectOf<DeliveryStanding>(
            {
              sink: schema.text("Sink."),
              stream: schema.text("Stream."),
              partition: schema.count("Partition."),
              state: schema.wordOf(["opening", "delivering", "retrying", "fenced", "stopped"]),
              nextOffset: schema.count("Each record before it is in the sink, was filtered out, or was set aside."),
              lagRecords: schema.count(
                "Records that the pipeline has not read yet, and outputs that are not yet delivered.",
              ),
              deliveredRecords: schema.count("Records written since this node began with the partition."),
              deadLetters: schema.count("Records set aside since this node began with the partition."),
              deadLettersStored: schema.count("Dead letters in the partition now."),
            },
            {
              as: schema.text("Name of the delivery among those of this stream to this sink; left out without one."),
              reason: schema.text("Why the delivery is tried again."),
              needsPerson: { const: true, description: "A person must act first; left out otherwise." },
              lastDelayMs: {
                type: "number",
                description: "From append to commit, of the oldest record of the last batch.",
              },
            },
          ),
        ),
      }),
    ),
  },
};

export const ACTORS_ROUTE: FastifySchema = {
  summary: "Actors and their dead letters, for those who look into the node. Needs the scope observe or admin.",
  response: {
    200: schema.json(
      "Actors.",
      schema.objectOf<{ actors: object; deadLetters: object }>({
        actors: schema.listOf(
          schema.objectOf<ActorStatistics>({
            kind: schema.text("Its path, where * stands for numbers and names."),
            messages: schema.count("Messages handled."),
            crashes: schema.count("Crashes."),
            restarts: schema.count("Restarts."),
            busyMs: schema.amount("Time spent in handlers."),
            longestMs: schema.amount("The longest turn."),
            mailboxMessages: schema.count("Messages that wait."),
            mailboxBytes: schema.amount("Their bytes."),
          }),
        ),
        deadLetters: schema.objectOf<{ count: number; recent: object }>({
          count: schema.count("Messages that reached no actor."),
          recent: schema.listOf(
            schema.objectOf<DeadLetterSample>({
              path: schema.text("The actor's path."),
              reason: schema.wordOf(["stopped", "crashed", "unknown_actor", "unreachable"]),
              messageKind: schema.text("The message's type; never its contents."),
              atMs: schema.count("When, in milliseconds since 1970."),
            }),
            "The newest.",
          ),
        }),
      }),
    ),
  },
};
