import { ApiError } from '../api/client';

/** What is wrong with a query, and where: bytes of the query are underlined. */
export function QueryError({ error, query }: { error: Error; query: string }) {
  const range = error instanceof ApiError ? error.range : null;
  const bytes = new TextEncoder().encode(query);
  const text = (from: number, to: number) => new TextDecoder().decode(bytes.slice(from, to));
  return (
    <div class="error" role="alert">
      {range && query && (
        <code>
          {text(0, range[0])}
          <mark>{text(range[0], range[1]) || ' '}</mark>
          {text(range[1], bytes.length)}
        </code>
      )}
      <p>{error.message}</p>
    </div>
  );
}
