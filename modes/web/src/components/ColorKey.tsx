import { formatValue } from '../lib/units';
import * as view from '../state/view';
import { colorOf, type Scale } from './pictures';

interface Props extends Scale {
  unit: string;
  log?: boolean;
}

/** Which colour is which value. */
export function ColorKey({ unit, log, ...scale }: Props) {
  const { low, high, diverging } = scale;
  const stops = Array.from({ length: 9 }, (_, i) => `rgb(${colorOf(scale, view.dark.value)(i / 8).join(' ')})`);
  const middle = log ? Math.sqrt(low * high) : (low + high) / 2;
  const text = (value: number) => (diverging === 'ratio' ? `${+(2 ** value).toPrecision(3)} ×` : formatValue(value, unit));
  return (
    <span class="color-key">
      {text(low)}
      <i style={{ background: `linear-gradient(to right, ${stops.join(', ')})` }} title={`half-way: ${text(middle)}`} />
      {text(high)}
    </span>
  );
}
