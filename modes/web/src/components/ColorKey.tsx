import { heatColor } from '../lib/palette';
import { formatValue } from '../lib/units';
import * as view from '../state/view';

interface Props {
  low: number;
  high: number;
  unit: string;
  log?: boolean;
}

/** Which colour is which value. */
export function ColorKey({ low, high, unit, log }: Props) {
  const stops = Array.from({ length: 9 }, (_, i) => `rgb(${heatColor(i / 8, view.dark.value).join(' ')})`);
  const middle = log ? Math.sqrt(low * high) : (low + high) / 2;
  return (
    <span class="color-key">
      {formatValue(low, unit)}
      <i style={{ background: `linear-gradient(to right, ${stops.join(', ')})` }} title={`half-way: ${formatValue(middle, unit)}`} />
      {formatValue(high, unit)}
    </span>
  );
}
