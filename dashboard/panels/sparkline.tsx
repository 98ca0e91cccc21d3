/** A small line without axes: the shape of the last readings. */
const WIDTH = 120;
const HEIGHT = 32;

interface SparklineProps {
  readonly values: readonly number[];
  /** The least value at the top of the scale; 1 for ratios. */
  readonly topMin: number;
}

export function Sparkline({ values, topMin }: SparklineProps) {
  if (values.length < 2) return <svg class="spark" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} aria-hidden="true" />;
  const top = Math.max(topMin, ...values);
  const step = WIDTH / (values.length - 1);
  const points = values.map((value, index) => {
    const y = HEIGHT - 1 - (top === 0 ? 0 : (value / top) * (HEIGHT - 3));
    return `${(index * step).toFixed(1)} ${y.toFixed(1)}`;
  });
  const line = `M${points.join("L")}`;
  return (
    <svg class="spark" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
      <path class="spark-area" d={`${line}L${WIDTH} ${HEIGHT}L0 ${HEIGHT}Z`} />
      <path class="spark-line" d={line} />
    </svg>
  );
}
