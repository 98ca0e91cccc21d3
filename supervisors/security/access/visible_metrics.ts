/** Filters the metrics to those that a token may see. Pure. */
import type { Grants } from "./grants.ts";

const SAMPLE = /^([A-Za-z_:][A-Za-z0-9_:]*)(?:\{(.*)\})? [^ ]+/;
const STREAM_LABEL = /(?:^|,)stream="((?:[^"\\]|\\.)*)"/;

/** Keeps the samples of visible streams; others are for tokens that see all. @param exposition Prometheus text */
export function visibleMetrics(
  exposition: string,
  { mayObserve, mayObserveAll, mayAdministrate }: Pick<Grants, "mayObserve" | "mayObserveAll" | "mayAdministrate">,
): string {
  if (mayAdministrate) return exposition;
  const shown = exposition.split("\n").filter((line) => {
    const labels = SAMPLE.exec(line)?.[2];
    if (labels === undefined) return line.startsWith("#") || line === "" || mayObserveAll;
    const stream = STREAM_LABEL.exec(labels)?.[1];
    return stream === undefined ? mayObserveAll : mayObserve(unescaped(stream));
  });
  return shown.join("\n");
}

/** Label values are escaped in the text format. */
const unescaped = (value: string): string =>
  value.replace(/\\(.)/g, (_, character: string) => (character === "n" ? "\n" : character));
