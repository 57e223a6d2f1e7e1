import type { Chart, Dashboard } from '../api/types';
import { CgroupPicker } from '../components/CgroupPicker';
import { ChartCard } from '../components/ChartCard';
import * as view from '../state/view';
import { extraOf, removeFrom } from '../state/extra';

/** A page of a plugin: its groups, and their charts in a grid. */
export function DashboardPage({ dashboard }: { dashboard: Dashboard }) {
  const two = view.inputs.value.length > 1 && view.compare.value.mode === 'side';
  const grid = `grid${two ? ' two' : ''}${view.small.value ? ' small' : ''}`;
  const cgroups = dashboard.groups.some((g) => g.charts.some((c) => c.queries.some((q) => /\bcgroup_/.test(q.query))));
  return (
    <>
      <div class="head">
        <h1>{dashboard.title}</h1>
        {cgroups && <CgroupPicker />}
      </div>
      {dashboard.groups.map((group) => (
        <section key={group.title} class="group">
          <h2>{group.title}</h2>
          <Charts grid={grid} charts={group.charts} id={`${dashboard.id}/${group.title}`} />
        </section>
      ))}
      {extraOf(dashboard.id).length > 0 && (
        <section class="group">
          <h2>Added here</h2>
          <div class={grid}>
            {extraOf(dashboard.id).map((chart, at) => (
              <ChartCard
                key={`${at} ${chart.title}`}
                id={`${dashboard.id}/added/${at}`}
                chart={chart}
                remove={() => removeFrom(dashboard.id, chart)}
              />
            ))}
          </div>
        </section>
      )}
    </>
  );
}

/** Charts as cards, and in few words those whose metrics are not there: they have nothing to draw that would need room. */
function Charts({ grid, charts, id }: { grid: string; charts: Chart[]; id: string }) {
  const [there, missing] = [charts.filter((c) => !c.missing), charts.filter((c) => c.missing)];
  // Beside lines a heatmap is as high as they are: the rest of their cards would be empty.
  const tall = there.every((c) => c.kind === 'heatmap');
  return (
    <>
      {there.length > 0 && (
        <div class={grid}>
          {there.map((chart) => (
            <ChartCard key={chart.title} id={`${id}/${chart.title}`} chart={chart} tall={tall} />
          ))}
        </div>
      )}
      {missing.length > 0 && (
        <ul class="missing">
          {missing.map(({ title, description, missing: why }) => (
            <li key={title} title={description}>
              <strong>{title}</strong> {why}
            </li>
          ))}
        </ul>
      )}
    </>
  );
}
