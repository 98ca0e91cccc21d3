/** Reads one histogram out of Prometheus text, and a quantile out of its buckets. */

/** Cumulative counts by upper bound in seconds, ascending; the last bound is infinite. */
export type Buckets = ReadonlyMap<number, number>;

/** All series of the histogram added up, whatever their labels. */
export function readHistogram(exposition: string, name: string): Buckets {
  const totals = new Map<number, number>();
  const line = new RegExp(`^${name}_bucket\\{[^}]*le="([^"]+)"[^}]*\\} (\\S+)`, "gm");
  for (const [, bound, count] of exposition.matchAll(line)) {
    const at = bound === "+Inf" ? Number.POSITIVE_INFINITY : Number(bound);
    totals.set(at, (totals.get(at) ?? 0) + Number(count));
  }
  return new Map([...totals].sort(([left], [right]) => left - right));
}

/** What was counted since `before`. A node that started again counts from nothing. */
export function since(before: Buckets, now: Buckets): Buckets {
  const isRestarted = [...now].some(([bound, count]) => count < (before.get(bound) ?? 0));
  if (isRestarted) return now;
  return new Map([...now].map(([bound, count]) => [bound, count - (before.get(bound) ?? 0)]));
}

/** The value below which a share `quantile` lies, interpolated within its bucket; undefined where nothing was counted. */
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
