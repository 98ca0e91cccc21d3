/** Lines that are drawn over themselves on a terminal. */

export interface Screen {
  draw(lines: readonly string[]): void;
  /** Leaves what was drawn last. */
  close(): void;
}

type Terminal = Pick<NodeJS.WriteStream, "write" | "columns" | "rows">;

const HIDE_CURSOR = "\u001b[?25l";
const SHOW_CURSOR = "\u001b[?25h";
const ERASE_BELOW = "\u001b[J";
const upLines = (count: number): string => (count === 0 ? "\r" : `\u001b[${count}F`);

export function openScreen(terminal: Terminal): Screen {
  let drawn = 0;
  terminal.write(HIDE_CURSOR);
  return {
    draw(lines) {
      // A line that wraps, or one below the edge, could not be drawn over.
      const width = Math.max(1, terminal.columns ?? 80);
      const height = Math.max(2, terminal.rows ?? 24) - 1;
      const fitting = lines.slice(0, height).map((line) => line.slice(0, width));
      terminal.write(`${upLines(drawn)}${ERASE_BELOW}${fitting.map((line) => `${line}\n`).join("")}`);
      drawn = fitting.length;
    },
    close: () => {
      terminal.write(SHOW_CURSOR);
    },
  };
}
