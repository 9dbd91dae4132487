#!/usr/bin/python3
"""prove_class.py intake|resume|services RESULT LESSON: what `make test` holds the
grading of a whole class to, beyond the verdicts (see prove.py).

services: what is uploaded to Gradescope and Autolab does its work where they
put it, and what GitHub Classroom is told adds up.
intake: whatever is handed in, and under whatever name, has its clear line in
the gradebook and in the report, and nobody else loses a point by it.
resume: a run that was killed ten times, and then went on, writes the gradebook
of one that was left in peace, byte for byte; and only what has changed is
graded again.

Writes "ok ..." and "not ok ..." lines to RESULT.
"""
import base64
import csv
import fcntl
import gzip
import io
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile

from intake import files_of

HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.realpath(os.path.join(HERE, '../..'))


class Proof:
    def __init__(self, what, result, lesson):
        self.what, self.result = what, result
        self.lesson, self.files = lesson, files_of(lesson)
        self.name = self.files[0]
        self.module = self.name[:-2]
        self.room = os.path.realpath(result) + '.d'
        shutil.rmtree(self.room, ignore_errors=True)
        os.makedirs(self.room)
        os.chmod(self.room, 0o755)
        self.right = self.solution(self.name)
        self.lines = []

    def solution(self, name):
        with open(f'{ROOT}/solutions/{self.lesson}/{name}', 'rb') as file:
            return file.read()

    def say(self, holds, what, why=''):
        why = str(why).replace('\n', ' ')[:300]
        self.lines.append(f'ok {self.what}: {what}\n' if holds else
                          f'not ok {self.what}: {what}: {why}\n')

    def end(self):
        with open(self.result + '.new', 'w', encoding='utf-8') as file:
            file.writelines(self.lines)
        os.replace(self.result + '.new', self.result)
        print('.', end='', file=sys.stderr, flush=True)

    def start(self, room, submissions):
        """Starts a run in a process group of its own."""
        with open(f'{self.room}/log', 'ab') as log:
            return subprocess.Popen(
                [sys.executable, f'{HERE}/grade.py', '--root', ROOT,
                 '--class', f'{self.room}/{room}', '--submissions',
                 submissions, '--lessons', self.lesson,
                 '--jobs', '2', '--seed', '7'],
                env={**os.environ, 'GRADE_MEMORY': 'no'}, stdout=log,
                stderr=log, start_new_session=True)


# --- intake: whatever students hand in ---------------------------------------

class Odd(Proof):
    """A class of odd submissions, and what is to be said of each."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.folder = f'{self.room}/submissions'.encode()
        os.makedirs(self.folder)
        self.wanted = []  # (shown name, whether it has its points, remark)

    def expect(self, shown, points, remark='', report=''):
        self.wanted.append((shown, points, remark, report or remark))

    def path(self, *parts):
        return os.path.join(self.folder, *(
            part if isinstance(part, bytes) else part.encode()
            for part in parts))

    def put(self, name, *parts, data=None):
        path = self.path(name, *parts)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'wb') as file:
            file.write(self.right if data is None else data)
        return path

    def zip(self, name, members):
        out = io.BytesIO()
        with zipfile.ZipFile(out, 'w', zipfile.ZIP_DEFLATED) as archive:
            for member, data in members:
                archive.writestr(member, data)
        return self.put(name, data=out.getvalue())

    def tar(self, name, members):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode='w:gz') as archive:
            for info, data in members:
                if isinstance(info, str):
                    info = tarfile.TarInfo(info)
                    info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        return self.put(name, data=out.getvalue())

    def right_ones(self):
        layout = f'lessons/{self.lesson}/{self.name}'
        self.put('own layout', layout)
        self.expect('own layout', True)
        self.put('flat', self.name)
        self.expect('flat', True)
        self.zip('zipped.zip', [(f'x/{layout}', self.right)])
        self.expect('zipped', True)
        self.tar('tarred.tar.gz', [(layout, self.right)])
        self.expect('tarred', True)
        self.put('solutions beside', layout)
        self.put('solutions beside', 'solutions', self.lesson, self.name,
                 data=b'int no;')
        self.put('solutions beside', 'tests', 'hack.sh', data=b'exit 0')
        self.expect('solutions beside', True, report='tests/hack.sh')

    def names(self):
        for name, shown in ((b'caf\xe9', r'caf\xe9'),
                            ('naïve'.encode(), 'naïve'),
                            (b'a b  c', 'a b  c'), (b"it's", "it's"),
                            (b'say "hi"', 'say "hi"'),
                            (b'two\nlines', r'two\x0alines'),
                            (b'<b>bold&', '<b>bold&'), (b'$(id)', '$(id)'),
                            (b'-rf', "'-rf"), (b'=1+1', "'=1+1"),
                            (b'a%s;#', 'a%s;#')):
            self.put(name, self.name)
            self.expect(shown, True)
        self.put('wrong names', 'main.c')
        self.put('wrong names', self.module + '.txt')
        self.expect('wrong names', False, "no lesson's file", 'main.c')
        self.put('odd name', b'\xff\xfe.bin', data=b'x')
        self.put('odd name', self.name)
        self.expect('odd name', True, report=r'\xff\xfe.bin')
        self.zip('climbs.zip', [(f'../../{self.name}', b'int no;'),
                                (f'/etc/{self.name}', b'int no;'),
                                (self.name, self.right)])
        self.expect('climbs', True, report='leads elsewhere')
        self.tar('climbs only.tar.gz', [(f'../{self.name}', self.right)])
        self.expect('climbs only', False, "no lesson's file",
                    'leads elsewhere')

    def no_files(self):
        os.mkdir(self.path('empty'))
        self.expect('empty', False, "no lesson's file")
        os.symlink('/etc', self.path('a link'))
        self.expect('a link', False, 'a link or a device')
        os.mkdir(self.path('link inside'))
        os.symlink(f'{ROOT}/solutions/{self.lesson}/{self.name}',
                   self.path('link inside', self.name))
        self.expect('link inside', False, "no lesson's file", '(a link)')
        os.mkdir(self.path('fifo'))
        os.mkfifo(self.path('fifo', self.name))
        self.expect('fifo', False, "no lesson's file", 'no regular file')
        for kind, name in ((tarfile.SYMTYPE, 'symlink'),
                           (tarfile.LNKTYPE, 'hard link'),
                           (tarfile.CHRTYPE, 'device'),
                           (tarfile.FIFOTYPE, 'pipe')):
            info = tarfile.TarInfo(self.name)
            info.type, info.linkname = kind, '/etc/passwd'
            info.devmajor = info.devminor = 1
            self.tar(f'{name} in tar.tar.gz', [(info, b'')])
            self.expect(f'{name} in tar', False, "no lesson's file",
                        '(a link)' if 'link' in name else 'no regular file')
        link = zipfile.ZipInfo(self.name)
        link.create_system, link.external_attr = 3, 0o120777 << 16
        self.zip('link in zip.zip', [(link, b'/etc/passwd')])
        self.expect('link in zip', False, "no lesson's file", '(a link)')
        self.put('notes.txt', data=b'hello')
        self.expect('notes.txt', False, 'neither a folder nor an archive')

    def large_ones(self):
        with open(self.put('100 MB', self.name), 'r+b') as file:
            file.truncate(100 << 20)
        self.expect('100 MB', False, 'too large')
        self.zip('bomb.zip', [(self.name, bytes(200 << 20))])
        self.expect('bomb', False, 'too large')
        path = self.zip('liar.zip', [(self.name, bytes(100 << 20))])
        with open(path, 'r+b') as file:  # says that it is small
            data = file.read().replace((100 << 20).to_bytes(4, 'little'),
                                       (100).to_bytes(4, 'little'))
            file.seek(0)
            file.write(data)
        self.expect('liar', False, self.lesson)
        self.put('bomb in tar.tar.gz', data=gzip.compress(bytes(300 << 20), 1))
        self.expect('bomb in tar', False, "no lesson's file")
        info = tarfile.TarInfo('large')
        info.size = 280 << 20
        self.tar('large beside.tar.gz', [(info, bytes(info.size)),
                                         (self.name, self.right)])
        self.expect('large beside', False, 'unpacks to more than')
        self.zip('many.zip', [(f'{i}', b'') for i in range(20001)])
        self.expect('many', False, 'more than 20000 files')
        deep = self.path('deep', *['d'] * 30)
        os.makedirs(deep)
        self.put('deep', *['d'] * 30, self.name)
        self.expect('deep', False, "no lesson's file", 'too deep')

    def broken_ones(self):
        layout = self.right.replace(b'\n', b'\r\n')
        self.put('crlf', self.name, data=layout)
        self.expect('crlf', True, 'CRLF')
        text = self.right.decode()
        for code in 'utf-16', 'utf-16-be':
            mark = b'\xfe\xff' if code == 'utf-16-be' else b''
            self.put(code, self.name, data=mark + text.encode(code))
            self.expect(code, False, 'UTF-16')
        self.put('bom', self.name, data=b'\xef\xbb\xbf' + self.right)
        self.expect('bom', True)
        self.put('latin', self.name,
                 data='/* naïve */\n'.encode('latin-1') + self.right)
        self.expect('latin', True)
        self.put('zero byte', self.name, data=self.right + b'\0')
        self.expect('zero byte', False, 'zero byte')
        self.put('blank', self.name, data=b' \n')
        self.expect('blank', False, 'it is empty')
        self.put('no C', self.name, data=b'Dear grader, I was ill.\n')
        self.expect('no C', False, 'does not compile', 'error:')
        self.put('torn.zip', data=b'PK\3\4torn')
        self.expect('torn', False, 'cannot be read')
        self.put('torn tar.tar.gz', data=b'\x1f\x8btorn')
        self.expect('torn tar', False, 'cannot be read')
        self.put('text.zip', data=b'I could not zip it.')
        self.expect('text', False, 'cannot be read')
        path = self.zip('locked.zip', [(self.name, self.right)])
        with open(path, 'r+b') as file:  # the flag for "encrypted", twice
            data = bytearray(file.read())
            data[6] |= 1
            data[data.rindex(b'PK\1\2') + 8] |= 1
            file.seek(0)
            file.write(data)
        self.expect('locked', False, "no lesson's file", 'encrypted')

    def two_of_one(self):
        self.put('twice', self.name, data=b'int old;')
        path = self.zip('twice.zip', [(self.name, self.right)])
        later = time.time() + 10
        os.utime(path, (later, later))
        self.expect('twice', True, 'two submissions')
        self.zip('double.zip', [(f'a/{self.name}', self.right),
                                (f'b/c/{self.name}', b'int no;')])
        self.expect('double', True, 'second file')

    def judge(self):
        room = f'{self.room}/class-{self.lesson}'
        with open(f'{room}/gradebook.csv', newline='',
                  encoding='utf-8') as file:
            rows = {row['student']: row for row in csv.DictReader(file)}
        with open(f'{room}/gradebook.html',
                  encoding='utf-8') as file:
            page = file.read()
        self.say('<b>bold' not in page, 'no name is taken for HTML')
        reports = {}
        for folder in os.listdir(f'{room}/reports'):
            path = f'{room}/reports/{folder}'
            with open(f'{path}/report.txt', encoding='utf-8') as file:
                text = file.read()
            with open(f'{path}/results.json', encoding='utf-8') as file:
                json.load(file)
            reports[re.sub(': [0-9.]+ of [0-9.]+ points$', '',
                           text.split('\n')[0])] = text
        for shown, points, remark, report in self.wanted:
            row = rows.pop(shown, None)
            text = reports.get(shown.lstrip("'"), '')
            wrong = []
            if row is None:
                wrong.append('is not in the gradebook')
            else:
                if (float(row[self.lesson] or 0) > 9.99) != points:
                    wrong.append(f'has {row[self.lesson]} points')
                if remark not in row['remarks']:
                    wrong.append(f'is said to be: {row["remarks"]}')
            if report not in text:
                wrong.append(f'has the report {text[:250]}')
            self.say(not wrong, f'"{shown}" '
                     + ('has its points' if points else 'has no points')
                     + (f', and a word on {remark or report}'
                        if remark or report else ''), '; '.join(wrong))
        self.say(not rows, 'nobody else is in the gradebook', list(rows))


    def several(self):
        """Of a lesson of several files: all of them, or not."""
        *most, last = self.files
        for name in self.files:
            self.put('all of them', name, data=self.solution(name))
        self.expect('all of them', True)
        for who in 'without one', 'one is empty', 'one is the stub':
            for name in most:
                self.put(who, name, data=self.solution(name))
        instead = f'{last}, for which its stub stands in'
        self.expect('without one', False, f'without {instead}')
        self.put('one is empty', last, data=b'')
        self.expect('one is empty', False, f'{last}: it is empty')
        with open(f'{ROOT}/tests/{self.lesson}/stub/{last}', 'rb') as stub:
            self.put('one is the stub', last, data=stub.read())
        self.expect('one is the stub', False, report='not written yet')
        self.put('one only', last, data=self.solution(last))
        self.expect('one only', False, f'without {self.name}')

    def grade(self):
        """Returns: how long it took."""
        begun = time.monotonic()
        status = self.start(f'class-{self.lesson}', self.folder).wait()
        self.say(status == 0, 'the class is graded to the end', status)
        self.judge()
        shutil.rmtree(self.folder)
        return time.monotonic() - begun


def intake(what, result, lesson, lesson_of_several):
    os.umask(0o022)
    proof = Odd(what, result, lesson)
    for part in (proof.right_ones, proof.names, proof.no_files,
                 proof.large_ones, proof.broken_ones, proof.two_of_one):
        part()
    took = proof.grade()
    proof.say(took < 300, 'nothing holds it up', f'it took {took:.0f} s')
    more = Odd(what, result, lesson_of_several)
    more.several()
    more.grade()
    proof.lines += more.lines
    proof.end()


# --- resume: killed ten times --------------------------------------------------

def small_class(proof):
    """Right, wrong and broken files; enough of them to be killed among."""
    folder = f'{proof.room}/submissions'
    stub = f'{ROOT}/tests/{proof.lesson}/stub/{proof.name}'
    with open(stub, 'rb') as file:
        stub = file.read()
    for i in range(18):
        os.makedirs(f'{folder}/student-{i}')
        with open(f'{folder}/student-{i}/{proof.name}', 'wb') as file:
            file.write((proof.right, stub, b'no C at all\n')[i % 3]
                       + b'/* %d */\n' % i)
    return folder


def made(proof, room):
    """What a run has written for people, by name."""
    found = {}
    top = f'{proof.room}/{room}'
    for path, _, files in os.walk(top):
        below = os.path.relpath(path, top)
        if below.split('/')[0] in ('.', 'reports', 'results'):
            for name in files:
                if name not in ('lock', 'todo'):
                    with open(f'{path}/{name}', 'rb') as file:
                        found[f'{below}/{name}'] = file.read()
    return found


def times(proof, room):
    top = f'{proof.room}/{room}/results'
    return {path: os.stat(f'{path}/{name}').st_mtime_ns
            for path, _, files in os.walk(top) for name in files}


def killed(proof, room, folder, after):
    run = proof.start(room, folder)
    try:
        run.wait(after)
        return False
    except subprocess.TimeoutExpired:
        os.kill(run.pid, signal.SIGKILL)
        run.wait()
        return True


def start_locked(proof, room, folder, seconds):
    """Starts a run in a room that somebody leaves so many seconds later."""
    with open(f'{proof.room}/{room}/lock', 'wb') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        run = proof.start(room, folder)
        time.sleep(seconds)
    return run


def resume(*arguments):
    proof = Proof(*arguments)
    os.umask(0o022)
    folder = small_class(proof)
    begun = time.monotonic()
    proof.say(proof.start('calm', folder).wait() == 0, 'a run ends well')
    whole = time.monotonic() - begun
    calm = made(proof, 'calm')
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    kills, stood, all_of_it = 0, [], len(times(proof, 'calm'))
    while kills < 10 or not 0 < stood[-1] < all_of_it:
        kills += killed(proof, 'hard', folder, chance.uniform(0.1, whole / 2))
        stood.append(len(times(proof, 'hard')))
        if stood[-1] == all_of_it:
            shutil.rmtree(f'{proof.room}/hard')  # nothing left to disturb
    proof.say(start_locked(proof, 'hard', folder, 6).wait() != 0,
              'two runs are not at work in one folder')
    proof.say(start_locked(proof, 'hard', folder, 1).wait() == 0,
              'a run that was killed goes on, while that one still ends')
    hard = made(proof, 'hard')
    differ = [name for name in calm.keys() | hard.keys()
              if calm.get(name) != hard.get(name)]
    proof.say(calm and not differ, 'after ten kills and more the gradebook, '
              'reports and results are the same, byte for byte',
              f'seed {seed}, results at each kill {stood}: {differ}')
    print(f'(seed {seed}: {kills} kills, with {stood} of {all_of_it} results)',
          end='', file=sys.stderr)
    before = times(proof, 'hard')
    with open(f'{folder}/student-3/{proof.name}', 'ab') as file:
        file.write(b'/* changed */\n')
    proof.say(proof.start('hard', folder).wait() == 0, 'it can be run again')
    after = times(proof, 'hard')
    changed = [path for path in after if after[path] != before.get(path)]
    proof.say(len(changed) == 1, 'only the one that has changed is graded '
              'again', changed)
    proof.end()


# --- services: as they run it, in folders of our own --------------------------

def wrong_with(results):
    """What Gradescope would object to in a results.json."""
    kinds = {'score': (int, float), 'output': str, 'tests': list}
    wrong = [key for key, kind in kinds.items()
             if not isinstance(results.get(key), kind)]
    for test in results.get('tests', ()):
        if not (0 <= test['score'] <= test['max_score'] and test['name']
                and test['status'] in ('passed', 'failed')
                and test['output_format'] == 'text'
                and test['visibility'] == 'visible'):
            wrong.append(test)
    total = sum(test['score'] for test in results.get('tests', ()))
    if abs(total - (results.get('score') or 0)) > 0.01:
        wrong.append(f'the tests add up to {total}')
    return wrong


class Services(Proof):
    def run(self, *command, cwd=None, **settings):
        done = subprocess.run(command, cwd=cwd or ROOT, check=False,
                              capture_output=True, text=True,
                              env={'PATH': os.environ['PATH'], **settings})
        with open(f'{self.room}/log', 'a', encoding='utf-8') as log:
            log.write(done.stdout + done.stderr)
        return done

    def package(self, service):
        self.run(sys.executable, f'{HERE}/package.py', service,
                 f'{self.room}/{service}', self.lesson, '')

    def submit(self, top, source):
        shutil.rmtree(f'{top}/submission', ignore_errors=True)
        os.makedirs(f'{top}/submission')
        if source:
            with open(f'{top}/submission/{self.name}', 'wb') as file:
                file.write(source)
        done = self.run(f'{top}/run_autograder', AUTOGRADER=top)
        try:
            with open(f'{top}/results/results.json', encoding='utf-8') as file:
                return json.load(file)
        except OSError:
            return {'score': None, 'output': done.stdout + done.stderr}

    def gradescope(self):
        self.package('gradescope')
        top = f'{self.room}/autograder'
        os.makedirs(f'{top}/source')
        with zipfile.ZipFile(f'{self.room}/gradescope/gradescope.zip') as all_:
            all_.extractall(f'{top}/source')
            roots = set(all_.namelist())
        self.say({'setup.sh', 'run_autograder'} <= roots, 'both of '
                 "Gradescope's scripts stand at the root of the zip", roots)
        for script in 'setup.sh', 'run_autograder':
            os.chmod(f'{top}/source/{script}', 0o755)
        shutil.copy(f'{top}/source/run_autograder', top)
        done = self.run(f'{top}/source/setup.sh', AUTOGRADER=top)
        self.say(done.returncode == 0, 'its setup.sh builds', done.stderr)
        right = self.submit(top, self.right)
        self.say(right['score'] == 10 and 'memory clean' in right['output'],
                 'its run_autograder gives a right submission all points',
                 right['output'])
        self.say(not wrong_with(right), 'results.json is as it wants it',
                 wrong_with(right))
        shutil.copy(f'{top}/results/results.json', f'{self.room}/right.json')
        wrong = self.submit(top, b'no C at all')
        self.say(wrong['score'] == 0 and 'does not compile' in wrong['output']
                 and not wrong_with(wrong), 'and one that does not compile '
                 'none, with the reason', wrong)
        none = self.submit(top, b'')
        self.say(none['score'] == 0 and "no lesson's file" in none['output'],
                 'and an empty one none, with the reason', none)
        os.rename(f'{top}/source/workbook/solutions', f'{top}/gone')
        with open(f'{top}/source/settings', 'a', encoding='utf-8') as file:
            file.write('LESSONS=99\n')
        self.say(self.submit(top, self.right)['score'] is None, 'a fault of '
                 'the grader leaves no results.json, and is no zero')

    def classroom(self):
        told = self.run(sys.executable, f'{HERE}/adapt.py', 'github',
                        f'{self.room}/right.json').stdout
        name, _, code = told.strip().partition('=')
        result = json.loads(base64.b64decode(code))
        scores = sum(test['score'] for test in result['tests'])
        self.say(name == f"lesson-{self.lesson.split('-')[0].lstrip('0')}"
                 and result['status'] == 'pass' and result['version'] == 1
                 and abs(result['max_score'] - scores) < 0.01
                 and all(test['status'] == 'pass' for test in result['tests']),
                 "GitHub Classroom's reporter is told the points of each "
                 'lesson', told[:200])

    def autolab(self):
        self.package('autolab')
        top = f'{self.room}/autolab'
        os.rename(f'{top}/autograde-Makefile', f'{top}/Makefile')
        with open(f'{top}/handin.c', 'wb') as file:
            file.write(self.right)
        os.rename(f'{top}/handin.c', f'{top}/{self.name}')
        lines = self.run('make', '-s', cwd=top).stdout.strip().split('\n')
        self.say(len(lines) > 2 and json.loads(lines[-1])['scores']
                 == {f"lesson {self.lesson.split('-')[0].lstrip('0')}": 10}
                 and json.loads(lines[-2])['_presentation'] == 'semantic',
                 'Autolab reads the scores in the last line', lines[-2:])


def services(*arguments):
    proof = Services(*arguments)
    os.umask(0o022)
    proof.gradescope()
    proof.classroom()
    proof.autolab()
    proof.end()


if __name__ == '__main__':
    {'intake': intake, 'resume': resume,
     'services': services}[sys.argv[1]](*sys.argv[1:])
