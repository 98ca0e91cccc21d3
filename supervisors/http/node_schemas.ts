/** What the routes of node_routes.ts answer. */
import type { FastifySchema } from "fastify";
import {
  again,
  amount,
  count,
  ERROR,
  json,
  listOf,
  objectOf,
  text,
  wordOf,
} from "../../actors/ingest/http/route_schemas.ts";
import type { ActorStatistics, DeadLetterSample } from "../../actors/kernel/actor.ts";
import type { DeliveryStanding } from "../node/delivery_board.ts";
import type { SourceTrouble } from "../node/sources.ts";

const TROUBLES = listOf(
  objectOf<SourceTrouble>({ source: text("Source."), code: text("The operating system's word, such as EACCES.") }),
  "Sources that cannot read now; left out where all can.",
);

export const HEALTH_ROUTE: FastifySchema = {
  summary: "Whether the process answers.",
  response: { 200: json("It does.", objectOf<{ status: string }>({ status: { const: "ok" } })) },
};

export const READY_ROUTE: FastifySchema = {
  summary: "Whether the node takes appends.",
  response: {
    200: json(
      "It does.",
      objectOf<{ status: string; sources?: object }>({ status: { const: "ready" } }, { sources: TROUBLES }),
    ),
    503: again("Not yet; why is named.", {
      oneOf: [
        objectOf<{ status: string; reasons: object; sources?: object }>(
          { status: { const: "not ready" }, reasons: listOf(text("Why, in a sentence.")) },
          { sources: TROUBLES },
        ),
        ERROR,
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
  summary: "Where each sink of the streams that the token shows stands in each partition.",
  response: {
    200: json(
      "Sinks.",
      objectOf<{ sinks: object }>({
        sinks: listOf(
          objectOf<DeliveryStanding>(
            {
              sink: text("Sink."),
              stream: text("Stream."),
              partition: count("Partition."),
              state: wordOf(["opening", "delivering", "retrying", "fenced", "stopped"]),
              nextOffset: count("Each record before it is in the sink, was filtered out, or was set aside."),
              lagRecords: count("Records committed and not yet delivered."),
              deliveredRecords: count("Records written since this node began with the partition."),
              deadLetters: count("Records set aside since this node began with the partition."),
              deadLettersStored: count("Dead letters in the partition now."),
            },
            {
              reason: text("Why the delivery is tried again."),
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
    200: json(
      "Actors.",
      objectOf<{ actors: object; deadLetters: object }>({
        actors: listOf(
          objectOf<ActorStatistics>({
            kind: text("Its path, where * stands for numbers and names."),
            messages: count("Messages handled."),
            crashes: count("Crashes."),
            restarts: count("Restarts."),
            busyMs: amount("Time spent in handlers."),
            longestMs: amount("The longest turn."),
            mailboxMessages: count("Messages that wait."),
            mailboxBytes: amount("Their bytes."),
          }),
        ),
        deadLetters: objectOf<{ count: number; recent: object }>({
          count: count("Messages that reached no actor."),
          recent: listOf(
            objectOf<DeadLetterSample>({
              path: text("The actor's path."),
              reason: wordOf(["stopped", "crashed", "unknown_actor", "unreachable"]),
              messageKind: text("The message's type; never its contents."),
              atMs: count("When, in milliseconds since 1970."),
            }),
            "The newest.",
          ),
        }),
      }),
    ),
  },
};
