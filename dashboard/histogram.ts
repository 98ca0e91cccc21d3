/** Reads one histogram out of Prometheus text, and a quantile out of its buckets. */

/** Cumulative counts by upper bound in seconds, ascending; the last bound is infinite. */
export type Buckets = ReadonlyMap<number, number>;

/** The sum of all series of the histogram, whatever their labels. */
export function readHistogram(exposition: string, name: string): Buckets {
  const totals = new Map<number, number>();
  const line = new RegExp(`^${name}_bucket\\{[^}]*le="([^"]+)"[^}]*\\} (\\S+)`, "gm");
  for (const [, bound, count] of exposition.matchAll(line)) {
    const at = bound === "+Inf" ? Number.POSITIVE_INFINITY : Number(bound);
    totals.set(at, (totals.get(at) ?? 0) + Number(count));
  }
  return new Map([...totals].sort(([left], [right]) => left - right));
}

/** The counts since `before`. A node that was restarted counts from 0. */
export function since(before: Buckets, now: Buckets): Buckets {
  const isRestarted = [...now].some(([bound, count]) => count < (before.get(bound) ?? 0));
  if (isRestarted) return now;
  return new Map([...now].map(([bound, count]) => [bound, count - (before.get(bound) ?? 0)]));
}

/** The quantile (0 to 1) of the counts, interpolated within its bucket; undefined where the counts are 0. */
export function quantileOf(buckets: Buckets, quantile: number): number | undefined {
  const total = [...buckets.values()].at(-1) ?? 0;
  if (total === 0) return undefined;
  const wanted = total * quantile;
  let lowerBound = 0;
  let lowerCount = 0;
  for (const [bound, count] of buckets) {
    if (count >= wanted && count > lowerCount) {
      if (bound === Number.POSITIVE_INFINITY) return lowerBound;
      return lowerBound + ((bound - lowerBound) * (wanted - lowerCount)) / (count - lowerCount);
    }
    if (bound !== Number.POSITIVE_INFINITY) lowerBound = bound;
    lowerCount = count;
  }
  return lowerBound;
}
