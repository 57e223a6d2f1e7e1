import type { Dashboard } from '../api/types';
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
          <div class={grid}>
            {group.charts.map((chart) => (
              <ChartCard key={chart.title} id={`${dashboard.id}/${group.title}/${chart.title}`} chart={chart} />
            ))}
          </div>
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
