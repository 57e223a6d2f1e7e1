import { ApiError } from '../api/client';
import { cut } from '../lib/promql/places';

/** What is wrong with a query, and where: the query as it was asked, underlined. */
export function QueryError({ error }: { error: Error }) {
  const { range, query } = error instanceof ApiError ? error : { range: null, query: '' };
  const [before, marked, behind] = range && query ? cut(query, range) : [];
  return (
    <div class="error" role="alert">
      {marked !== undefined && (
        <code>
          {before}
          <mark>{marked || ' '}</mark>
          {behind}
        </code>
      )}
      <p>{error.message}</p>
    </div>
  );
}
