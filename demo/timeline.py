# SPDX-License-Identifier: Apache-2.0
"""The time line: when each writer was writing, and when it waited in a write; as text, and as a picture."""

import os

from screen import paint

LONG = 0.1  # seconds: a write that took longer has waited
COLUMNS = 62
MARGIN = 12


class Timeline:
    def __init__(self, writers, marks):
        """`marks`: (time, text), what happened when."""
        self.began, self.ended = writers.began, writers.ended
        self.rows = {writer.name: [(note.began, note.ended) for note in writer.notes] for writer in writers.members}
        self.marks = marks

    def waits(self, name, since, until):
        """The longest write of a writer that overlaps a span of time, in seconds."""
        return max((end - begin for begin, end in self.rows[name] if begin < until and end > since), default=0.0)

    def writes_between(self, name, since, until):
        return sum(1 for begin, end in self.rows[name] if begin >= since and end <= until)

    def text(self):
        legend = f"{paint('#', '32')} writing   {paint('.', '44;97')} waiting in one write   blank: not writing"
        out = [" " * MARGIN + legend, ""]
        for name, writes in self.rows.items():
            out.append(f"  {name:<{MARGIN - 2}}{self._coloured(self._cells(writes))}")
        ticks, times = "", ""
        for second in range(int(self.ended - self.began) + 1):
            at = self._column(self.began + second)
            ticks, times = ticks.ljust(at) + "|", times.ljust(at) + str(second)
        out += [" " * MARGIN + ticks, " " * MARGIN + times + " s"]
        arrows = ""
        for time, _ in self.marks:
            arrows = arrows.ljust(self._column(time)) + "^"
        out.append(" " * MARGIN + arrows)
        out += [" " * MARGIN + line for line in self._labels()]
        return "\n".join(out)

    def _labels(self):
        """The marks' texts, on as many lines as they need."""
        lines = []
        for time, label in self.marks:
            at = self._column(time)
            for number, line in enumerate(lines):
                if len(line) < at:
                    lines[number] = line.ljust(at) + label
                    break
            else:
                lines.append(" " * at + label)
        return lines

    def _column(self, time):
        return min(COLUMNS - 1, int((time - self.began) / (self.ended - self.began) * COLUMNS))

    def _cells(self, writes):
        cells = [" "] * COLUMNS
        for begin, end in writes:
            for column in range(self._column(begin), self._column(end) + 1):
                if end - begin > LONG:
                    cells[column] = "."
                elif cells[column] == " ":
                    cells[column] = "#"
        return cells

    @staticmethod
    def _coloured(cells):
        out, run = "", ""
        for cell in cells + [""]:
            if run and run[0] != cell:
                out += {"#": paint(run, "32"), ".": paint(run, "44;97")}.get(run[0], run)
                run = ""
            run += cell
        return out.rstrip()

    def draw(self, picture, title):
        """Writes the picture to a descriptor, if there is one."""
        if picture is not None:
            os.ftruncate(picture, 0)
            os.write(picture, self._svg(title).encode())

    def _svg(self, title):
        left, top, width, row = 110, 46, 780, 26
        height = top + row * len(self.rows) + 74
        scale = width / (self.ended - self.began)

        def x(time):
            return left + (time - self.began) * scale

        out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 30} {height}"'
               ' font-family="sans-serif" font-size="13">',
               f'<rect width="100%" height="100%" fill="#fff"/><text x="{left}" y="22" font-size="15">{title}</text>']
        for number, (name, writes) in enumerate(self.rows.items()):
            y = top + row * number
            out.append(f'<text x="{left - 10}" y="{y + 14}" text-anchor="end">{name}</text>')
            for begin, end, has_waited in spans(writes, 2 / scale):
                colour = "#2b6cb0" if has_waited else "#38a169"
                out.append(f'<rect x="{x(begin):.1f}" y="{y}" width="{max(1, (end - begin) * scale):.1f}" height="18"'
                           f' fill="{colour}"/>')
        bottom = top + row * len(self.rows)
        for second in range(int(self.ended - self.began) + 1):
            out.append(f'<text x="{x(self.began + second):.1f}" y="{bottom + 14}" fill="#666" text-anchor="middle">'
                       f'{second} s</text>')
        for number, (time, label) in enumerate(self.marks):
            y = bottom + 36 + 16 * (number % 2)
            out.append(f'<line x1="{x(time):.1f}" x2="{x(time):.1f}" y1="{top - 8}" y2="{y - 12}" stroke="#c53030"/>'
                       f'<text x="{x(time):.1f}" y="{y}" fill="#c53030" text-anchor="middle">{label}</text>')
        out.append(f'<rect x="{left}" y="{top - 20}" width="10" height="10" fill="#38a169"/>'
                   f'<text x="{left + 15}" y="{top - 11}">writing</text>'
                   f'<rect x="{left + 80}" y="{top - 20}" width="10" height="10" fill="#2b6cb0"/>'
                   f'<text x="{left + 95}" y="{top - 11}">waiting in one write</text></svg>')
        return "\n".join(out) + "\n"


def spans(writes, gap):
    """(begin, end, whether it is one write that has waited): short writes that follow each other within `gap` are one."""
    joined = []
    for begin, end in writes:
        has_waited = end - begin > LONG
        if joined and not has_waited and not joined[-1][2] and begin - joined[-1][1] < gap:
            begin = joined.pop()[0]
        joined.append((begin, end, has_waited))
    return joined
