import { timesOf, type Drawn } from '../lib/drawn';
import { tabled } from '../lib/summary';
import { formatSpan } from '../lib/time';
import { formatValue } from '../lib/units';
import * as view from '../state/view';

/** What a chart draws as numbers: least, mean, greatest and last of each series, or of each quantile. */
export function DataTable({ drawn, unit }: { drawn: Drawn; unit: string }) {
  const times = timesOf(drawn);
  const rows = tabled(drawn);
  const two = rows.some((row) => row.side);
  return (
    <div class="scroll table" tabIndex={0} role="group" aria-label="values">
      <table>
        <caption>
          {formatSpan(times[0]!, times.at(-1)!).join(' to ')}
        </caption>
        <thead>
          <tr>
            <th scope="col">{drawn.kind === 'heat' ? 'quantile' : 'series'}</th>
            <th scope="col">least</th>
            <th scope="col">mean</th>
            <th scope="col">greatest</th>
            <th scope="col">last</th>
          </tr>
        </thead>
        <tbody>
          {rows.map(({ label, side, least, mean, greatest, last }, i) => (
            <tr key={i}>
              <th scope="row">
                {label}
                {two && ` · ${view.inputs.value[side]?.name ?? ''}`}
              </th>
              {[least, mean, greatest, last].map((v, k) => (
                <td key={k}>{formatValue(v, unit)}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
