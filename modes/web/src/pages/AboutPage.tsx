import type { About, Input } from '../api/types';
import { Samplers } from '../components/Samplers';
import { Topology, type SystemInfo } from '../components/Topology';
import { formatDuration, formatLength, formatTime } from '../lib/time';
import { formatValue } from '../lib/units';
import * as view from '../state/view';

/** What is known of each input: where it comes from, the machine, the samplers, what happened. */
export function AboutPage() {
  return (
    <>
      <div class="head">
        <h1>About</h1>
        <span class="note">rezolus {view.server.value?.version}</span>
      </div>
      <div class={view.inputs.value.length > 1 ? 'columns' : ''}>
        {view.inputs.value.map((input, i) => (
          <OneInput key={input.name} side={i} input={input} about={view.abouts.value[i] ?? null} />
        ))}
      </div>
    </>
  );
}

function OneInput({ side, input, about }: { side: number; input: Input; about: About | null }) {
  const system = about?.systeminfo as SystemInfo | null | undefined;
  return (
    <section class="group">
      <h2>{input.title}</h2>
      <Facts facts={facts(input, about)} />
      {input.error && (
        <p class="error" role="alert">
          {input.error}
        </p>
      )}
      <h2>Machine</h2>
      {system ? (
        <>
          <Facts facts={machine(system)} />
          <Topology system={system} />
        </>
      ) : (
        <p class="note">Nothing is recorded about the machine.</p>
      )}
      <h2>Samplers</h2>
      <Samplers status={about?.status ?? null} />
      <h2>Events</h2>
      <Happened about={about} side={side} />
    </section>
  );
}

function facts(input: Input, about: About | null): [string, string][] {
  const out: [string, string][] = [
    ['kind', input.kind],
    ['source', input.source],
    ['from', formatTime(input.start, 1)],
    ['to', formatTime(input.end, 1)],
    ['duration', formatLength(input.end - input.start)],
    ['interval', formatDuration(input.interval)],
    ['series', String(input.series)],
  ];
  if (about?.file) {
    out.push(
      ['rows', String(about.file.rows)],
      ['columns', String(about.file.columns)],
      ['size', formatValue(about.file.bytes, 'bytes')],
    );
    for (const [key, value] of Object.entries(about.file.keys)) if (value.length < 100) out.push([key, value]);
  }
  return out;
}

function machine(system: SystemInfo): [string, string][] {
  const out: [string, string][] = [];
  const add = (key: string, value: unknown) => value != null && value !== '' && out.push([key, String(value)]);
  add('host', system.hostname);
  add('system', system.distribution);
  add('kernel', system.kernel?.replace(/^Linux version (\S+).*/, '$1'));
  add('processor', system.cpu_model);
  add('CPUs', system.cpus);
  if (system.memory_total_bytes) add('memory', formatValue(system.memory_total_bytes, 'bytes'));
  for (const nic of system.nics ?? []) add(nic.name, [nic.driver, nic.speed && `${nic.speed} Mbit/s`].filter(Boolean).join(', '));
  return out;
}

function Facts({ facts }: { facts: [string, string][] }) {
  return (
    <dl class="facts">
      {facts.map(([key, value]) => (
        <div key={key}>
          <dt>{key}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function Happened({ about, side }: { about: About | null; side: number }) {
  const events = view.eventsOf(side);
  const missed = about?.missed ?? [];
  const shift = view.shiftOf(side);
  const show = (start: number, end: number) => view.show(start - shift, end - shift);
  if (!events.length && !missed.length) return <p class="note">No events, and no tick was missed.</p>;
  return (
    <ul class="events">
      {events.map((e) => (
        <li key={`${e.timestamp} ${e.description}`}>
          <button onClick={() => show(e.timestamp - 30, e.timestamp + 30)}>{formatTime(e.timestamp, 1)}</button>{' '}
          {e.description} <i>{e.kind}</i>
        </li>
      ))}
      {missed.map((m) => (
        <li key={`missed ${m.start}`}>
          <button onClick={() => show(m.start - 10, m.end + 10)}>{formatTime(m.start, 1)}</button> {m.count} ticks missed:{' '}
          {m.reason}
        </li>
      ))}
    </ul>
  );
}
