import { signal } from '@preact/signals';
import type { Chart } from '../api/types';

const KEPT = 'rezolus.pages';

function kept(): Record<string, Chart[]> {
  try {
    return JSON.parse(localStorage.getItem(KEPT) ?? '{}') ?? {};
  } catch {
    return {};
  }
}

/** Charts that were added to pages, by the page's id: of this browser, whatever is open. */
export const extra = signal<Record<string, Chart[]>>(kept());

function set(page: string, charts: Chart[]) {
  const { [page]: _, ...others } = extra.value;
  extra.value = charts.length ? { ...others, [page]: charts } : others;
  try {
    localStorage.setItem(KEPT, JSON.stringify(extra.value));
  } catch {
    // Not kept then, but there until the page is left.
  }
}

export const extraOf = (page: string) => (Object.hasOwn(extra.value, page) ? extra.value[page]! : []);

export const addTo = (page: string, chart: Chart) => set(page, [...extraOf(page), chart]);

export const removeFrom = (page: string, chart: Chart) => set(page, extraOf(page).filter((c) => c !== chart));
