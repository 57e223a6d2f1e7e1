import { markdown, type Inline } from '../lib/notebook';

function Line({ text }: { text: Inline[] }) {
  return (
    <>
      {text.map((part, i) => {
        if (part.kind === 'code') return <code key={i}>{part.text}</code>;
        if (part.kind === 'strong') return <strong key={i}>{part.text}</strong>;
        if (part.kind === 'em') return <em key={i}>{part.text}</em>;
        if (part.kind !== 'link') return part.text;
        return (
          <a key={i} href={part.href} rel="noreferrer" target="_blank">
            {part.text}
          </a>
        );
      })}
    </>
  );
}

/** Text with a little Markdown. Whatever is written in it, it is text. */
export function Markdown({ text }: { text: string }) {
  return (
    <div class="prose">
      {markdown(text).map((block, i) => {
        if (block.kind === 'list')
          return (
            <ul key={i}>
              {block.items.map((item, k) => (
                <li key={k}>
                  <Line text={item} />
                </li>
              ))}
            </ul>
          );
        if (block.kind === 'paragraph')
          return (
            <p key={i}>
              <Line text={block.text} />
            </p>
          );
        // The page has the first heading.
        const Heading = (['h2', 'h3', 'h4'] as const)[block.level - 1]!;
        return (
          <Heading key={i}>
            <Line text={block.text} />
          </Heading>
        );
      })}
    </div>
  );
}
