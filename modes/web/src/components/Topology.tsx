import { formatValue } from '../lib/units';

interface Cpu {
  cpu: number;
  core: number;
  die: number;
  package: number;
  numa_node: number | null;
}

/** What is read of the agent's `/systeminfo`; other agents leave parts out. */
export interface SystemInfo {
  hostname?: string;
  distribution?: string;
  kernel?: string;
  cpu_model?: string;
  cpus?: number;
  memory_total_bytes?: number;
  cpu_topology?: Cpu[];
  caches?: { level: string; size: string; instances: number; shared_cpus?: number[][] }[];
  nics?: { name: string; driver?: string | null; speed?: number | null }[];
  memory_nodes?: { node: number; total_bytes: number }[];
}

/** Packages, memory nodes, last caches and cores as boxes within boxes. */
export function Topology({ system }: { system: SystemInfo }) {
  const cpus = system.cpu_topology;
  if (!Array.isArray(cpus) || !cpus.length) return null;
  const own = (system.caches ?? []).filter((c) => c.shared_cpus?.every((s) => s.length <= 2));
  return (
    <figure class="topology" aria-label={`${cpus.length} CPUs`}>
      {grouped(cpus, (c) => c.package).map(([id, inPackage]) => (
        <div class="box package" key={id}>
          <h3>package {id}</h3>
          {grouped(inPackage, (c) => c.numa_node ?? 0).map(([node, inNode]) => (
            <div class="box node" key={node}>
              <h3>
                memory node {node} <i>{memory(system, node)}</i>
              </h3>
              {sharing(system, inNode).map(({ name, members }) => (
                <div class="box cache" key={members[0]!.cpu}>
                  {name && <h3>{name}</h3>}
                  <div class="cores">
                    {grouped(members, (c) => c.core).map(([core, threads]) => (
                      <div class="core" key={core} title={`core ${core}`}>
                        {threads.map((t) => (
                          <b key={t.cpu}>{t.cpu}</b>
                        ))}
                      </div>
                    ))}
                  </div>
                </div>
              ))}
            </div>
          ))}
        </div>
      ))}
      {own.length > 0 && <figcaption class="note">each core: {own.map((c) => `${c.level} ${c.size}`).join(', ')}</figcaption>}
    </figure>
  );
}

function memory(system: SystemInfo, node: number) {
  const found = system.memory_nodes?.find((m) => m.node === node);
  return found ? formatValue(found.total_bytes, 'bytes') : '';
}

/** CPUs by the last cache that they share. */
function sharing(system: SystemInfo, cpus: Cpu[]) {
  const last = (system.caches ?? [])
    .filter((c) => c.shared_cpus)
    .sort((a, b) => a.level.localeCompare(b.level))
    .at(-1);
  if (!last) return [{ name: '', members: cpus }];
  const sets = last.shared_cpus!.map((ids) => ({
    name: `${last.level} ${last.size}`,
    members: cpus.filter((c) => ids.includes(c.cpu)),
  }));
  const rest = cpus.filter((c) => !last.shared_cpus!.some((ids) => ids.includes(c.cpu)));
  return [...sets, { name: '', members: rest }].filter((s) => s.members.length);
}

function grouped(cpus: Cpu[], by: (cpu: Cpu) => number): [number, Cpu[]][] {
  const out = new Map<number, Cpu[]>();
  for (const cpu of cpus) out.set(by(cpu), [...(out.get(by(cpu)) ?? []), cpu]);
  return [...out].sort((a, b) => a[0] - b[0]);
}
