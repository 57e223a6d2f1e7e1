import { timesOf, type Drawn } from '../lib/drawn';
import { formatTime } from '../lib/time';
import { formatValue } from '../lib/units';

/** What a chart draws as numbers: least, mean, greatest and last of each series. */
export function DataTable({ drawn, unit }: { drawn: Drawn; unit: string }) {
  if (drawn.kind === 'heat')
    return (
      <p class="note">
        {drawn.cells.lot.length} cells in {drawn.bounds.length - 1} buckets; percentiles are in the tooltip.
      </p>
    );
  const times = timesOf(drawn);
  const rows = drawn.lines.map((line) => {
    const some = [...line.mean].filter((v) => !Number.isNaN(v));
    const low = min(line.least ?? line.mean);
    const high = max(line.greatest ?? line.mean);
    return { line, low, high, mean: some.reduce((a, b) => a + b, 0) / some.length, last: some.at(-1)! };
  });
  return (
    <div class="scroll table" tabIndex={0} role="region" aria-label="values">
      <table>
        <caption>
          {formatTime(times[0]!, 1)} to {formatTime(times.at(-1)!, 1)}
        </caption>
        <thead>
          <tr>
            <th scope="col">series</th>
            <th scope="col">least</th>
            <th scope="col">mean</th>
            <th scope="col">greatest</th>
            <th scope="col">last</th>
          </tr>
        </thead>
        <tbody>
          {rows.map(({ line, low, mean, high, last }) => (
            <tr key={`${line.key} ${line.side}`}>
              <th scope="row">{line.label}</th>
              {[low, mean, high, last].map((v, i) => (
                <td key={i}>{formatValue(v, unit)}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

const min = (values: Float64Array) => values.reduce((a, v) => (v < a ? v : a), Infinity);
const max = (values: Float64Array) => values.reduce((a, v) => (v > a ? v : a), -Infinity);
