"""The table, with what is wanted of it."""
import statistics

# Whom a ratio is to: the first of them that was measured beside us.
BESIDE = ('Postfix', 'OpenSSL')
COLUMNS = ('ours', 'Postfix', 'Dovecot', 'OpenSSL', 'the disk')


class Table:
    def __init__(self):
        self.rows, self.values = {}, {}

    def row(self, what, unit, digits=0, ratio=None, ours=None):
        """A line, and what is wanted: ('at least' or 'at most', number), of the
        ratio or of our own figure."""
        self.rows.setdefault(what, (unit, digits, ratio, ours))

    def take(self, what, column, value):
        self.values.setdefault((what, column), []).append(value)

    def median(self, what, column):
        values = self.values.get((what, column))
        return statistics.median(values) if values else None

    def derive(self, what, unit, value, wanted):
        """A line that follows from others."""
        self.row(what, unit, 3, ours=wanted)
        self.take(what, 'ours', value)

    def line(self, what, columns, judged):
        """A line of the table, and whether all is as wanted, if that is `judged`."""
        unit, digits, ratio_wanted, ours_wanted = self.rows[what]
        ours = self.median(what, 'ours')
        beside = [median for column in BESIDE if (median := self.median(what, column))]
        ratio = ours / beside[0] if ours is not None and beside else None
        medians = [self.median(what, column) for column in columns]
        cells = [f'{what:<{self.width()}} {unit:<9}']
        cells += ['-' if value is None else f'{value:,.{digits}f}' for value in medians]
        cells.append('-' if ratio is None else f'{ratio:.2f}')
        kept = True
        for value, wanted in ((ratio, ratio_wanted), (ours, ours_wanted)):
            if judged and wanted and value is not None:
                how, bound = wanted
                good = value >= bound if how == 'at least' else value <= bound
                kept &= good
                cells.append(f'   {how} {bound:g}: {"kept" if good else "NOT KEPT"}')
        first, *numbers = cells
        return first + ''.join(f'{cell:>10}' for cell in numbers), kept

    def width(self):
        return max(map(len, self.rows))

    def print(self, judged):
        """Medians, ratios, and what is kept; gives whether all is."""
        columns = [name for name in COLUMNS if any(column == name for _, column in self.values)]
        print(f'\n{"":<{self.width() + 10}}' + ''.join(f'{name:>10}' for name in [*columns, 'ratio']))
        lines = [self.line(what, columns, judged) for what in self.rows]
        print(*(line for line, _ in lines), sep='\n')
        return all(kept for _, kept in lines)
