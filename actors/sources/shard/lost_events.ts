/** Resumes a shard from before the events that its stream has lost with its tail (E6, source O8). */
import type { Producer } from "../../../protocols/client/producer/producer.ts";
import type { Resending } from "../../../protocols/client/producer/resending.ts";
import type { SourceBatch, SourceContext, SourcePosition } from "../source.ts";
import type { ResumePoint } from "./resume_point.ts";

/** The place of a batch is the resume point before it. */
export type Again = Resending<SourcePosition | undefined>;

interface Loss {
  readonly name: string;
  readonly stream: string;
  readonly report: SourceContext["log"];
  readonly producer: Pick<Producer, "open">;
  readonly point: ResumePoint;
  readonly again: Again;
}

/** Answers where to resume, and stores it. Rejects where the stream or the store is away: the next life tries again. */
export async function resumeBefore(loss: Loss): Promise<SourcePosition | undefined> {
  const { name, stream, report, producer, point, again } = loss;
  const way = await again.wayBack(producer, ({ place }) => point.store(place));
  const about = { source: name, stream, resume: way?.place };
  if (way?.isComplete !== true) report("error", "the stream has lost events that cannot be read again", about);
  if (way === undefined) return point.stored;
  report("warn", "the stream has lost events: the source resumes from before them", about);
  return way.place;
}

/** The batches of a reader that began after `resume`, each noted before it is sent. */
export async function* noted(
  batches: AsyncIterable<SourceBatch>,
  resume: SourcePosition | undefined,
  again: Again,
): AsyncIterable<SourceBatch> {
  let before = resume;
  for await (const batch of batches) {
    const [first] = batch.items;
    if (first !== undefined) again.begin(before, [first.term, first.position, 0]);
    before = batch.resume;
    yield batch;
  }
}
