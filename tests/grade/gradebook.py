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
        self.held = {lesson.name: lesson.misconceptions(
            self.results[lesson.name] or {}) for lesson in lessons}
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
        table.writerow([spreadsheet_safe(s.name),
                        *(number(s.points[lesson.name]) for lesson in lessons),
                        number(s.total), hints,
                        '; '.join(remarks(s, lessons))])
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
        if result and result['isolation'] != 'caged':
            out.append(f"  Isolation: {result['isolation']}")
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
    whole = json.dumps({'score': s.total, 'output': report(s, lessons),
                        'output_format': 'text', 'visibility': 'visible',
                        'stdout_visibility': 'hidden'})
    # A line for each test; with its own indentation, json takes ten times as
    # long.
    return (whole[:-1] + ', "tests": [\n'
            + ',\n'.join(json.dumps(test) for test in tests) + ']}\n')


STYLE = '''
:root { --ink: #1d2328; --soft: #5c666f; --line: #d9dee2; --paper: #fff;
  --head: #f3f5f7; --full: #d5ecd9; --part: #fbeec9; --none: #f5d6d1;
  --bar: #3f74a8; --hit: #b5382c; --long: 6em }
@media (prefers-color-scheme: dark) { :root { --ink: #e3e7ea; --soft: #9aa5ae;
  --line: #3a4249; --paper: #15191d; --head: #20262b; --full: #1f4a2c;
  --part: #564618; --none: #5a2620; --bar: #6fa3d6; --hit: #e2695c } }
* { box-sizing: border-box }
body { font: 15px/1.45 system-ui, sans-serif; margin: 0 auto;
  padding: 1.5em 1.5em 5em; max-width: 90em;
  color: var(--ink); background: var(--paper) }
h1 { margin: 0 } h2 { margin: 2em 0 .3em } p { margin: .3em 0; max-width: 45em }
.soft { color: var(--soft) }
.wide { overflow: auto; max-height: 85vh; margin: .8em 0; width: max-content;
  max-width: 100%; border: 1px solid var(--line); border-radius: 4px }
table { border-collapse: separate; border-spacing: 0; font-size: 14px;
  font-variant-numeric: tabular-nums }
th, td { padding: 3px 8px; text-align: right;
  border-bottom: 1px solid var(--line); border-right: 1px solid var(--line) }
th { background: var(--head); font-weight: 600; position: sticky; top: 0;
  z-index: 1 }
th:first-child, td:first-child { position: sticky; left: 0; text-align: left;
  white-space: nowrap; max-width: 17em; overflow: hidden;
  text-overflow: ellipsis; background: var(--paper) }
th:first-child { background: var(--head); z-index: 2 }
td.full { background: var(--full) } td.part { background: var(--part) }
td.none { background: var(--none) }
.why { text-align: left; min-width: 18em }
td.why { color: var(--soft) }
tr.mean td { background: var(--head); font-weight: 600 }
.heat th { vertical-align: bottom; text-align: left }
.heat th div { writing-mode: vertical-rl; transform: rotate(180deg);
  font-weight: 400; height: 15em; line-height: 1.2; text-align: left }
.heat td { text-align: center; padding: 0; min-width: 2.6em; height: 1.7em }
.heat td:first-child { padding: 0 8px; text-align: left }
td.hit { background: var(--hit) } td.hit::after { content: "\\25a0";
  color: var(--paper) }
td[tabindex] { cursor: pointer }
td:focus { outline: 3px solid var(--bar); outline-offset: -3px }
td[title]:focus::before { content: attr(title); position: fixed; z-index: 9;
  inset: auto 0 0; padding: .8em 1.5em; font-size: 16px; font-weight: 400;
  text-align: left; color: var(--ink); background: var(--head);
  border-top: 3px solid var(--bar) }
svg { width: 100%; max-width: 560px; height: auto; fill: var(--ink) }
.bar { fill: var(--bar) } svg line { stroke: var(--line) }
.most td { border: 0; padding: 2px 10px 2px 0; background: none;
  position: static; text-align: left; white-space: normal }
.most td:first-child { white-space: nowrap; color: var(--soft) }
.most td:nth-child(2) { white-space: nowrap; min-width: 9em }
.most i { display: inline-block; height: .8em; margin-right: .5em;
  background: var(--bar) }
summary { cursor: pointer; font-weight: 600; margin-top: .6em }
@media (max-width: 40em) { body { padding: .8em .8em 5em } h1 { font-size: 1.5em }
  th:first-child, td:first-child { max-width: 9em } .most td { font-size: 13px }
  :root { --long: 3.5em } .most td:nth-child(2) { min-width: 6em } }
'''


def shade(points, worth):
    if points is None:
        return ''
    return 'full' if points >= worth else 'part' if points > 0 else 'none'


def remarks(s, lessons):
    """All that there is to say of a student's submission."""
    found = list(s.record['notes'])
    for lesson in lessons:
        file = s.record['files'].get(lesson.name)
        result = s.results[lesson.name]
        if file and file['note']:
            found.append(f"{lesson.name}: {file['note']}")
        if result and result['build'] != 'ok':
            found.append(f'{lesson.name}: does not compile')
        elif s.points[lesson.name] is None:
            found.append(f'{lesson.name}: not graded yet')
        if result and result['isolation'] != 'caged':
            found.append(f"{lesson.name}: isolation {result['isolation']}")
    return found


def cell(s, lesson):
    """A student's points in a lesson, and what the cell tells of them. By the
    keyboard one gets to those that have more to tell than "all is well"."""
    points = s.points[lesson.name]
    told = [state(s.record, lesson, s.results[lesson.name])]
    told += [what for _, what, _ in s.held[lesson.name]]
    if lesson.name in s.record['hints']:
        step, _, rung = s.record['hints'][lesson.name].partition('/')
        told.append(f'hint {rung} of 3 at step {step}')
    shaded = shade(points, lesson.worth)
    well = shaded == 'full' and len(told) == 1 and ' not ' not in told[0]
    text = f'{s.name}, lesson {lesson.number}: {"; ".join(told)}'
    return (f'<td class="{shaded}" tabindex={-1 if well else 0} '
            f'title="{html.escape(text)}">{number(points) or "-"}')


def points_table(lessons, students):
    esc = html.escape
    out = ['<div class=wide><table><tr><th>student']
    out += [f'<th title="{esc(lesson.name)}">{lesson.number}'
            for lesson in lessons]
    out.append('<th>total<th class=why>remarks\n<tr class=mean><td>mean')
    count = len(students) or 1
    for lesson in lessons:
        total = sum(s.points[lesson.name] or 0 for s in students)
        out.append(f'<td>{total / count:.1f}')
    out.append(f'<td>{sum(s.total for s in students) / count:.1f}<td>')
    for s in students:
        out.append(f'\n<tr><td title="{esc(s.name)}">{esc(s.name)}')
        out += [cell(s, lesson) for lesson in lessons]
        out.append(f'<td>{number(s.total)}<td class=why>'
                   + esc('; '.join(remarks(s, lessons))))
    out.append('</table></div>')
    return ''.join(out)


def distribution(lessons, students):
    """How many students have so much of the points, in tenths."""
    most = sum(lesson.worth for lesson in lessons) or 1
    counts = [0] * 10
    for s in students:
        counts[min(9, int(10 * s.total / most))] += 1
    high = max(counts) or 1
    out = ['<svg viewBox="0 0 560 205" role="img" '
           'aria-label="How many students have how many points">'
           '<line x1="14" y1="160.5" x2="546" y2="160.5"/>']
    for i, count in enumerate(counts):
        tall = 135 * count / high
        out.append(f'<rect class=bar x="{18 + 53 * i}" y="{160 - tall:.1f}" '
                   f'width="47" height="{tall:.1f}"/>'
                   f'<text x="{41 + 53 * i}" y="{154 - tall:.1f}" '
                   f'text-anchor="middle" font-size="14">{count or ""}</text>')
    for i in range(11):
        out.append(f'<text x="{14 + 53 * i}" y="178" text-anchor="middle" '
                   f'font-size="12">{10 * i}</text>')
    out.append('<text x="280" y="199" text-anchor="middle" font-size="13">'
               'percent of all points</text></svg>')
    return '\n'.join(out)


def recognised(lessons, students):
    """Returns: lesson -> [(what it is, the students)], the most held first."""
    found = {}
    for lesson in lessons:
        seen = {}
        for s in students:
            for mutant, what, _ in s.held[lesson.name]:
                seen.setdefault((mutant, what), set()).add(s.record['id'])
        if seen:
            found[lesson] = sorted(
                ((what, who) for (_, what), who in seen.items()),
                key=lambda held: (-len(held[1]), held[0]))
    return found


def most_held(found):
    """The misconceptions that the most students hold: what to teach again."""
    held = sorted(((lesson, what, len(who)) for lesson, several in found.items()
                   for what, who in several), key=lambda h: -h[2])[:12]
    out = ['<table class=most>']
    out += [f'<tr><td>lesson {lesson.number}<td><i style="width:'
            f'calc(var(--long) * {count / held[0][2]:.2f})"></i>{count}'
            f'<td>{html.escape(what)}' for lesson, what, count in held]
    return '\n'.join(out) + '</table>'


def heat_map(lesson, several, students):
    """Who in a lesson looks as if holding which misconception."""
    esc = html.escape
    holders = set().union(*(who for _, who in several))
    people = 'student' if len(holders) == 1 else 'students'
    out = [f'<details open><summary>Lesson {lesson.number}, '
           f'{esc(lesson.name.partition("-")[2])}: {len(holders)} {people}'
           '</summary><div class=wide><table class=heat><tr><th>student']
    out += [f'<th><div>{esc(what)}</div>' for what, _ in several]
    out.append('\n<tr class=mean><td>together')
    out += [f'<td>{len(who)}' for _, who in several]
    for s in students:
        if s.record['id'] in holders:
            out.append(f'\n<tr><td>{esc(s.name)}')
            out += ['<td class=hit tabindex=0 title="'
                    + esc(f'{s.name}: {what}') + '">'
                    if s.record['id'] in who else '<td>'
                    for what, who in several]
    out.append('</table></div></details>')
    return ''.join(out)


def misconceptions(lessons, students):
    found = recognised(lessons, students)
    if not found:
        return '<p>None was recognised.</p>'
    return (most_held(found) + '<p class=soft>And who holds which (a click or a tap on a '
            'cell says it in words):</p>\n'
            + '\n'.join(heat_map(lesson, several, students)
                        for lesson, several in found.items()))


def write_html(room, lessons, students):
    most = number(sum(lesson.worth for lesson in lessons))
    loose = {r['isolation'] for s in students for r in s.results.values()
             if r and r['isolation'] != 'caged'}
    stamp = ''.join(f'<p><b>Not caged:</b> isolation {html.escape(how)}.</p>'
                    for how in sorted(loose))
    write(f'{room}/gradebook.html', f'''<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Gradebook</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<style>{STYLE}</style>
<h1>Gradebook</h1>
<p>{len(students)} students, {len(lessons)} lessons, {most} points in all.</p>
{stamp}
<h2>Points</h2>
<p class=soft>Click or tap a cell, or go to it with the Tab key, to see its
tests, the misconception that shows in them, and the hints asked for.</p>
{points_table(lessons, students)}
<h2>Distribution</h2>
<p class=soft>How many students have how much of all points.</p>
{distribution(lessons, students)}
<h2>Misconceptions</h2>
<p class=soft>A misconception is recognised when exactly those tests fail that
it makes fail. How many students hold the most frequent ones:</p>
{misconceptions(lessons, students)}
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
