"""The gradebook: from the results of a class, its tables and pages.

Reads students/*.json and results/*/*.json, and writes gradebook.csv,
gradebook.html, and for each student reports/NAME/report.txt and results.json
(Gradescope's schema). What is there is read, nothing is graded here.
"""
import csv
import glob
import html
import io
import json
import os
import re
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, HERE)
import intake  # noqa: E402

ROOT = os.path.join(HERE, '../..')


class Lesson:
    """A lesson's tests, promises, misconceptions and points."""

    def __init__(self, name, points):
        self.name = name
        self.number = name.split('-')[0].lstrip('0')
        with open(f'{ROOT}/tests/{name}/test.c', encoding='utf-8') as file:
            found = re.findall(r'^TEST\(\s*(\w+),\s*"(\w+)",\s*"([\w.]+)"',
                               file.read(), re.M)
        self.tests = [test for test, _, _ in found]
        self.steps = {test: step for test, _, step in found}
        self.worth = points.get((name, '*'), 10.0)
        self.shares = {test: points.get((name, test), 1.0)
                       for test in self.tests}
        self.all_shares = sum(self.shares.values()) or 1.0
        self.signatures = []  # (mutant, what it is, the tests that it fails)
        with open(f'{ROOT}/tests/{name}/signatures.tsv',
                  encoding='utf-8') as file:
            for line in file:
                if not line.startswith('#'):
                    mutant, what, failing = line.rstrip('\n').split('\t')
                    self.signatures.append((mutant, what,
                                            frozenset(failing.split())))

    def points(self, result):
        passed = sum(self.shares.get(t['name'], 0)
                     for t in result.get('tests', ())
                     if t['outcome'] == 'OK')
        return round(self.worth * passed / self.all_shares, 2)

    def of_test(self, test):
        return round(self.worth * self.shares.get(test, 0) / self.all_shares,
                     4)

    def misconceptions(self, result):
        """The mutants that fail what this fails, as tests/tools/page.awk has
        it: while steps are not written, the tests up to the first failure's
        step tell. More than three names are no name."""
        tests = result.get('tests', ())
        failing = [t for t in tests if t['outcome'] != 'OK']
        if not failing or failing[0]['outcome'] in ('TODO', 'SKIP'):
            return []
        todo = any(t['outcome'] == 'TODO' for t in tests)
        first = failing[0]
        judged = [t for t in tests
                  if not (todo and t['step'] != first['step']
                          and int(t['line']) > int(first['line']))]
        fails = {t['name'] for t in judged if t['outcome'] != 'OK'}
        looked_at = {t['name'] for t in judged}
        found = [s for s in self.signatures if s[2] & looked_at == fails]
        return found if len(found) <= 3 else []


def read_points(path):
    points = {}
    with open(path, encoding='utf-8') as file:
        for number, line in enumerate(file, 1):
            if line.startswith('#') or not line.strip():
                continue
            try:
                lesson, test, worth = line.rstrip('\n').split('\t')
                points[lesson, test] = float(worth)
            except ValueError:
                sys.exit(f'{path}:{number}: not "lesson, test, points", with '
                         'tabs between them')
    return points


def load(path):
    with open(path, encoding='utf-8') as file:
        return json.load(file)


def state(record, lesson, result):
    """One word or two on what became of a lesson's file."""
    taken = record['files'].get(lesson.name)
    if not taken:
        return 'nothing handed in'
    if not taken['taken']:
        return taken['note']
    if result is None:
        return 'not graded yet'
    if result['build'] != 'ok':
        return 'does not compile'
    ok = sum(t['outcome'] == 'OK' for t in result['tests'])
    text = f"{ok} of {len(result['tests'])} tests"
    if 'memory' in result:
        text += {'clean': ', memory clean', 'errors': ', memory not clean',
                 'unknown': ', memory not judged'}[result['memory']]
    return text


class Student:
    def __init__(self, room, record, lessons):
        self.record = record
        self.name = record['name']
        self.results = {}
        self.points = {}
        for lesson in lessons:
            path = f"{room}/results/{record['id']}/{lesson.name}.json"
            taken = record['files'].get(lesson.name, {}).get('taken')
            try:
                result = load(path) if taken else None
            except OSError:
                result = None
            self.results[lesson.name] = result
            pending = taken and result is None
            self.points[lesson.name] = (
                None if pending else lesson.points(result) if result else 0.0)
        self.total = round(sum(p or 0 for p in self.points.values()), 2)
        safe = re.fullmatch(r'[A-Za-z0-9][\w.@+-]{0,60}', self.name)
        self.folder = self.name if safe else record['id']


def number(value):
    return '' if value is None else f'{value:.2f}'.rstrip('0').rstrip('.')


def write(path, text):
    """By rename, and only if it says something new."""
    data = text.encode('utf-8', 'replace')
    try:
        with open(path, 'rb') as file:
            if file.read() == data:
                return
    except OSError:
        pass
    with open(path + '.new', 'wb') as file:
        file.write(data)
    os.replace(path + '.new', path)


def spreadsheet_safe(text):
    """A name that starts like a formula is none."""
    return "'" + text if text[:1] in ('=', '+', '-', '@', '\t') else text


def write_csv(room, lessons, students):
    out = io.StringIO()
    table = csv.writer(out, lineterminator='\n')
    table.writerow(['student', *(lesson.name for lesson in lessons), 'total',
                    'hints', 'remarks'])
    for s in students:
        hints = ' '.join(s.record['hints'][lesson.name] for lesson in lessons
                         if lesson.name in s.record['hints'])
        remarks = list(s.record['notes'])
        for lesson in lessons:
            file = s.record['files'].get(lesson.name)
            if file and file['note']:
                remarks.append(f"{lesson.name}: {file['note']}")
            result = s.results[lesson.name]
            if result and result['build'] != 'ok':
                remarks.append(f'{lesson.name}: does not compile')
            elif s.points[lesson.name] is None:
                remarks.append(f'{lesson.name}: not graded yet')
        table.writerow([spreadsheet_safe(s.name),
                        *(number(s.points[lesson.name]) for lesson in lessons),
                        number(s.total), hints, '; '.join(remarks)])
    write(f'{room}/gradebook.csv', out.getvalue())


def report(s, lessons):
    out = [f'{s.name}: {number(s.total)} of '
           f'{number(sum(lesson.worth for lesson in lessons))} points', '']
    out += [f'Note: {note}' for note in s.record['notes']]
    for lesson in lessons:
        result = s.results[lesson.name]
        out.append(f'Lesson {lesson.number} ({lesson.name}): '
                   f'{number(s.points[lesson.name]) or "-"} of '
                   f'{number(lesson.worth)} points, '
                   f'{state(s.record, lesson, result)}')
        file = s.record['files'].get(lesson.name)
        if file and file['note'] and file['taken']:
            out.append(f"  Note: {file['note']}")
        if result:
            out += ['  ' + line for line in page(lesson, result)]
        out.append('')
    if s.record['ignored']:
        out.append('Not looked at, since only the lessons\' files are:')
        out += ['  ' + name for name in s.record['ignored']]
    return '\n'.join(out).rstrip() + '\n'


def page(lesson, result):
    """What the student would see on the own page."""
    if result['build'] != 'ok':
        return ['It does not compile:',
                *('  ' + line for line in result['compiler'].splitlines())]
    if 'page' in result:
        return result['page'].splitlines()
    return []


def gradescope(s, lessons):
    tests = []
    for lesson in lessons:
        result = s.results[lesson.name]
        done = {t['name']: t for t in (result or {}).get('tests', ())}
        for test in lesson.tests:
            t = done.get(test)
            passed = t is not None and t['outcome'] == 'OK'
            worth = lesson.of_test(test)
            output = ('' if passed else
                      t['outcome'] + '  ' + t['message'].replace('\\n', '\n')
                      if t else state(s.record, lesson, result))
            tests.append({'name': f"{lesson.number}: "
                                  f"{test.replace('_', ' ')}",
                          'score': worth if passed else 0,
                          'max_score': worth, 'output': output,
                          'output_format': 'text',
                          'status': 'passed' if passed else 'failed',
                          'visibility': 'visible'})
    return json.dumps({'score': s.total, 'output': report(s, lessons),
                       'output_format': 'text', 'visibility': 'visible',
                       'stdout_visibility': 'hidden', 'tests': tests},
                      indent=0) + '\n'


STYLE = '''
body { font: 14px/1.4 system-ui, sans-serif; margin: 2em; color: #222 }
table { border-collapse: collapse; margin: 1em 0 2em }
th, td { border: 1px solid #ddd; padding: 2px 7px; text-align: right }
th { background: #f4f4f4; font-weight: 600 }
td:first-child, th:first-child { text-align: left; white-space: nowrap }
td.full { background: #dcefe0 } td.part { background: #fdf3d8 }
td.none { background: #f6dcd8 } td.left { text-align: left }
.bar { fill: #4477aa } .heat td { text-align: center; min-width: 1.2em }
.heat th.up { vertical-align: bottom; height: 17em; padding: 4px 0 }
.heat th.up div { writing-mode: vertical-rl; transform: rotate(180deg);
  font-weight: 400; max-height: 17em; overflow: hidden; margin: auto }
td.hit { background: #b5382c; color: #fff } .wide { overflow-x: auto }
.small { color: #666; font-size: 90% }
'''


def shade(points, worth):
    if points is None:
        return ''
    return 'full' if points >= worth else 'part' if points > 0 else 'none'


def points_table(lessons, students):
    esc = html.escape
    out = ['<div class=wide><table><tr><th>student']
    out += [f'<th title="{esc(lesson.name)}">{lesson.number}'
            for lesson in lessons]
    out.append('<th>total<th>remarks')
    for s in students:
        out.append(f'<tr><td>{esc(s.name)}')
        for lesson in lessons:
            points = s.points[lesson.name]
            told = state(s.record, lesson, s.results[lesson.name])
            out.append(f'<td class="{shade(points, lesson.worth)}" '
                       f'title="{esc(told)}">{number(points) or "-"}')
        out.append(f'<td>{number(s.total)}<td class=left>'
                   + esc('; '.join(s.record['notes'])))
    out.append('</table></div>')
    return '\n'.join(out)


def distribution(lessons, students):
    """How many students have so much of the points, in tenths."""
    most = sum(lesson.worth for lesson in lessons) or 1
    counts = [0] * 10
    for s in students:
        counts[min(9, int(10 * s.total / most))] += 1
    high = max(counts) or 1
    out = ['<svg width="560" height="200" role="img" '
           'aria-label="How many students have how many points">']
    for i, count in enumerate(counts):
        tall = 140 * count / high
        out.append(f'<rect class=bar x="{20 + 52 * i}" y="{160 - tall:.1f}" '
                   f'width="44" height="{tall:.1f}"/>'
                   f'<text x="{42 + 52 * i}" y="{154 - tall:.1f}" '
                   f'text-anchor="middle">{count or ""}</text>'
                   f'<text x="{42 + 52 * i}" y="178" text-anchor="middle" '
                   f'font-size="11">{10 * i}-{10 * i + 10} %</text>')
    out.append('</svg>')
    return '\n'.join(out)


def heat_map(lessons, students):
    """Who looks as if holding which misconception."""
    seen = {}  # (lesson, mutant) -> [what, students]
    for s in students:
        for lesson in lessons:
            for mutant, what, _ in lesson.misconceptions(
                    s.results[lesson.name] or {}):
                seen.setdefault((lesson.name, mutant), [what, set()])[1].add(
                    s.record['id'])
    if not seen:
        return '<p>No misconception was recognised.</p>'
    esc = html.escape
    columns = sorted(seen.items(), key=lambda c: (c[0][0], -len(c[1][1]),
                                                  c[0][1]))
    out = ['<div class=wide><table class=heat><tr><th>student']
    for (lesson, _), (what, _) in columns:
        out.append(f"<th class=up><div>{int(lesson.split('-')[0])}: "
                   f'{esc(what)}</div>')
    out.append('<tr><th>together')
    out += [f'<th>{len(who)}' for _, (_, who) in columns]
    for s in students:
        hits = [s.record['id'] in who for _, (_, who) in columns]
        if any(hits):
            out.append(f'<tr><td>{esc(s.name)}')
            out += ['<td class=hit>&#9632;' if hit else '<td>'
                    for hit in hits]
    out.append('</table></div>')
    return '\n'.join(out)


def write_html(room, lessons, students):
    most = number(sum(lesson.worth for lesson in lessons))
    write(f'{room}/gradebook.html', f'''<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Gradebook</title>
<style>{STYLE}</style>
<h1>Gradebook</h1>
<p>{len(students)} students, {len(lessons)} lessons, {most} points in all. A
cell tells more when the pointer rests on it.</p>
<h2>Points</h2>
{points_table(lessons, students)}
<h2>Distribution</h2>
<p class=small>Students by their share of all points.</p>
{distribution(lessons, students)}
<h2>Misconceptions</h2>
<p class=small>The tests that fail are those that this mistake makes fail. Only
students in whom one was recognised.</p>
{heat_map(lessons, students)}
</html>
''')


def gradebook(room, names, points_path):
    points = read_points(points_path)
    lessons = [Lesson(name, points) for name in names]
    students = []
    for file in sorted(os.listdir(f'{room}/students')):
        if file.endswith('.json'):
            students.append(Student(room, load(f'{room}/students/{file}'),
                                    lessons))
    students.sort(key=lambda s: (s.name, s.record['id']))
    write_csv(room, lessons, students)
    write_html(room, lessons, students)
    for s in students:
        folder = f'{room}/reports/{s.folder}'
        os.makedirs(folder, exist_ok=True)
        write(f'{folder}/report.txt', report(s, lessons))
        write(f'{folder}/results.json', gradescope(s, lessons))
    return lessons, students


def merged(records):
    """What several runs say about one student. Where two have graded the same
    lesson, the last named counts."""
    whole = {'files': {}, 'notes': [], 'ignored': [], 'hints': {}}
    for record in records:
        for lesson in record['files']:
            if lesson in whole['files']:
                whole['notes'].append(f'{lesson}: is in two of the folders; '
                                      'the last named counts')
        for part in ('files', 'hints'):
            whole[part].update(record[part])
        for part in ('notes', 'ignored'):
            whole[part] += [x for x in record[part] if x not in whole[part]]
    if whole['files']:
        whole['notes'] = [note for note in whole['notes']
                          if note != intake.NOTHING]
    return {**whole, 'name': records[0]['name'], 'id': records[0]['id']}


def merge(rooms, target):
    """Puts the results of several runs into one room."""
    records = {}
    for room in rooms:
        for file in sorted(os.listdir(f'{room}/students')):
            if file.endswith('.json'):
                records.setdefault(file, []).append(
                    load(f'{room}/students/{file}'))
        for path in sorted(glob.glob(f'{glob.escape(room)}/results/*/*.json')):
            copy = os.path.join(target, os.path.relpath(path, room))
            os.makedirs(os.path.dirname(copy), exist_ok=True)
            with open(path, encoding='utf-8') as file:
                write(copy, file.read())
    os.makedirs(f'{target}/students', exist_ok=True)
    for file in set(os.listdir(f'{target}/students')) - records.keys():
        os.unlink(f'{target}/students/{file}')
    for file, several in records.items():
        write(f'{target}/students/{file}',
              json.dumps(merged(several), sort_keys=True, indent=0))


def main():
    """gradebook.py LESSONS ROOM [OTHER...]: writes the gradebook of ROOM anew,
    from its own results or from those of the others."""
    names, room, others = sys.argv[1].split(), sys.argv[2], sys.argv[3:]
    room = room or os.path.join(ROOT, 'build/grade/merged')
    try:
        if others:
            merge(others, room)
        _, found = gradebook(room, names, f'{HERE}/points.tsv')
    except OSError as error:
        sys.exit(f'make gradebook: no results there: {error}')
    print(f'{len(found)} students: {os.path.relpath(room)}/gradebook.html')


if __name__ == '__main__':
    main()
