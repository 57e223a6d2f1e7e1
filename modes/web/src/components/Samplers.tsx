interface Sampler {
  name: string;
  description?: string;
  state: string;
  reason?: string;
  metrics?: number;
  programs?: { name: string; attached?: string; reason?: string }[];
}

interface Plugin {
  name: string;
  version?: string;
  state: string;
  reason?: string;
  samplers?: Sampler[];
}

/** Which samplers ran, and why others did not: the agent's `/status`. */
export function Samplers({ status }: { status: Record<string, unknown> | null }) {
  const plugins = Array.isArray(status?.plugins) ? (status.plugins as Plugin[]) : [];
  if (!plugins.length) return <p class="note">The status of samplers is not recorded.</p>;
  return (
    <div class="scroll" tabIndex={0} role="group" aria-label="samplers">
      <table class="samplers">
        <thead>
          <tr>
            <th scope="col">sampler</th>
            <th scope="col">state</th>
            <th scope="col">what</th>
            <th scope="col">attached to</th>
          </tr>
        </thead>
        <tbody>
          {plugins.flatMap((plugin) =>
            (plugin.samplers ?? [{ name: plugin.name, state: plugin.state, reason: plugin.reason ?? '' }]).map((s: Sampler) => (
              <tr key={`${plugin.name}/${s.name}`}>
                <th scope="row">{s.name}</th>
                <td class={`state ${s.state}`}>{s.state}</td>
                <td>{s.reason || s.description}</td>
                <td>{(s.programs ?? []).map((p) => p.attached ?? p.reason ?? p.name).join(', ')}</td>
              </tr>
            )),
          )}
        </tbody>
      </table>
    </div>
  );
}
