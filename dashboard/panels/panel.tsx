/** A titled part of the page. */
import type { ComponentChildren } from "preact";

interface PanelProps {
  readonly id: string;
  readonly title: string;
  /** The meaning of the numbers, beside the title. */
  readonly note?: ComponentChildren;
  /** Controls at the right of the title. */
  readonly controls?: ComponentChildren;
  readonly children: ComponentChildren;
}

export function Panel({ id, title, note, controls, children }: PanelProps) {
  return (
    <section class="panel" id={id} aria-labelledby={`${id}-title`}>
      <div class="panel-head">
        <h2 id={`${id}-title`}>{title}</h2>
        {note === undefined ? null : <span class="note">{note}</span>}
        {controls === undefined ? null : <div class="controls">{controls}</div>}
      </div>
      {children}
    </section>
  );
}

/** A table wider than its panel scrolls within it, by keyboard too. */
export function TableScroll({ label, children }: { readonly label: string; readonly children: ComponentChildren }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling table must be reachable by keyboard
    <section class="table-scroll" aria-label={label} tabIndex={0}>
      {children}
    </section>
  );
}
