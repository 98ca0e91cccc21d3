/** Redraws lines in place on a terminal. Their texts are escaped, so that they cannot steer the terminal. */
import { visibleText } from "../../protocols/values/visible_text.ts";

export interface Screen {
  draw(lines: readonly string[]): void;
  /** Ends the drawing, and leaves the last lines on the screen. */
  close(): void;
}

type Terminal = Pick<NodeJS.WriteStream, "write" | "columns" | "rows">;

const HIDE_CURSOR = "\u001b[?25l";
const SHOW_CURSOR = "\u001b[?25h";
const ERASE_BELOW = "\u001b[J";
const upLines = (count: number): string => (count === 0 ? "\r" : `\u001b[${count}F`);

export const isTerminal = (): boolean => process.stdout.isTTY === true;

export function openScreen(terminal: Terminal = process.stdout): Screen {
  let drawn = 0;
  terminal.write(HIDE_CURSOR);
  return {
    draw(lines) {
      // A line that wraps, or lies below the edge, could not be redrawn.
      const width = Math.max(1, terminal.columns ?? 80);
      const height = Math.max(2, terminal.rows ?? 24) - 1;
      const fitting = lines.slice(0, height).map((line) => visibleText(line).slice(0, width));
      terminal.write(`${upLines(drawn)}${ERASE_BELOW}${fitting.map((line) => `${line}\n`).join("")}`);
      drawn = fitting.length;
    },
    close: () => {
      terminal.write(SHOW_CURSOR);
    },
  };
}
