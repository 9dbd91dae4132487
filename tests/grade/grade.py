#!/usr/bin/python3
"""grade.py: grades the submissions of a class; see README.md beside it.

It starts itself anew as an unprivileged user in namespaces of its own, takes
the submissions in, lets make run one job for each file, and writes the
gradebook. Ends with 0 when everything was graded, 1 when something was not, 2
when nothing could be: no cage, nothing to grade, another run at work.
"""
import argparse
import fcntl
import json
import os
import pwd
import secrets
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, HERE)
import cage  # noqa: E402
import reduced  # noqa: E402
import gradebook  # noqa: E402
import prove  # noqa: E402
import intake  # noqa: E402

INSIDE = '/tmp/grade'  # where the class, inside, has its folders


def stop(text):
    print(f'make grade: {text}', file=sys.stderr)
    sys.exit(2)


def options():
    p = argparse.ArgumentParser()
    p.add_argument('--root', required=True)
    p.add_argument('--class', dest='room', default='')
    p.add_argument('--submissions', default='')
    p.add_argument('--submission', default='')
    p.add_argument('--lessons', required=True)
    p.add_argument('--jobs', type=int, default=0)
    p.add_argument('--seed', default='')
    p.add_argument('--prove', default='',
                   choices=['', 'lesson', 'attacks', 'reduced'])
    p.add_argument('--isolation', default='', choices=['', 'reduced'])
    p.add_argument('--only', default='')
    p.add_argument('--inside', action='store_true')
    return p.parse_args()


# --- outside: who we are, and the namespaces --------------------------------

def submitted(o):
    """What bwrap is told, so that the submissions stand where they are looked
    for; of a single one the name is the student's."""
    for path in filter(None, (o.submissions, o.submission)):
        if not os.path.exists(path) or o.submissions and not os.path.isdir(path):
            stop(f'there is no folder {path}')
    if o.submissions:
        return ['--ro-bind', os.path.realpath(o.submissions),
                f'{INSIDE}/submissions']
    if o.submission:
        path = os.path.realpath(o.submission)
        return ['--perms', '0755', '--dir', f'{INSIDE}/submissions',
                '--ro-bind', path,
                f'{INSIDE}/submissions/{os.path.basename(path)}']
    return []


def room_of(o):
    """Results stay where their submissions are named: two classes, or halves
    of one, do not mix."""
    return o.room or f'{o.root}/build/grade/' + (
        'class-' + os.path.basename(os.path.realpath(o.submissions))
        if o.submissions else 'one' if o.submission else 'own')


def lock_room(room):
    """The lock is held by whoever is inside, for as long as it lives: of a run
    that was killed, for some moments more."""
    lock = os.open(f'{room}/lock', os.O_CREAT | os.O_RDWR, 0o644)
    until = time.monotonic() + 3
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except OSError:
            if time.monotonic() > until:
                stop(f'another run is at work in {room}')
            time.sleep(0.05)
    os.set_inheritable(lock, True)


def nobody_with(capabilities, room):
    """What makes of root the user "nobody", to whom the room is given."""
    nobody = pwd.getpwnam('nobody')
    for path, _, files in os.walk(room):
        for name in ['', *files]:
            os.chown(os.path.join(path, name), nobody.pw_uid, nobody.pw_gid,
                     follow_symlinks=False)
    few = ''.join(f',+{name}' for name in capabilities)
    return ['setpriv', f'--reuid={nobody.pw_uid}', f'--regid={nobody.pw_gid}',
            '--clear-groups', f'--inh-caps=-all{few}',
            *([f'--ambient-caps=-all{few}'] if few else []),
            f'--bounding-set=-all{few}', '--']


def walls(o, room):
    """Namespaces around the whole run: bwrap and its arguments."""
    root = os.geteuid() == 0
    return ['bwrap', '--die-with-parent', '--unshare-pid', '--unshare-ipc',
            '--unshare-net', '--ro-bind', '/', '/', '--dev', '/dev',
            *([] if root else ['--unshare-user', '--proc', '/proc']),
            '--perms', '1777', '--tmpfs', '/tmp',
            '--perms', '0755', '--dir', INSIDE,
            '--ro-bind', os.path.realpath(o.root), f'{INSIDE}/workbook',
            '--bind', room, f'{INSIDE}/class', *submitted(o),
            '--chdir', f'{INSIDE}/class', '--',
            # bwrap's own /proc has lids on some of its folders, when made by
            # root, and with these no cage inside may have a /proc, which
            # Valgrind needs.
            *(['/bin/sh', '-c', 'mount -t proc proc /proc && exec "$@"', 'sh']
              if root else [])]


def again(o, workbook, room, submissions, only=''):
    return ['/usr/bin/python3', '-I', f'{workbook}/tests/grade/grade.py',
            '--inside', '--root', workbook, '--class', room,
            '--lessons', o.lessons, '--jobs', str(o.jobs), '--seed', o.seed,
            '--prove', o.prove, '--isolation', o.isolation,
            '--submissions', submissions, '--only', only]


def caged_run(o, room):
    root = os.geteuid() == 0
    given = o.submissions or o.submission
    return (walls(o, room) + (nobody_with([], room) if root else [])
            + again(o, f'{INSIDE}/workbook', f'{INSIDE}/class',
                    f'{INSIDE}/submissions' if given else ''))


def reduced_run(o, room):
    submitted(o)  # whether it is there
    path = os.path.realpath(o.submission) if o.submission else ''
    folder = os.path.dirname(path) or (o.submissions
                                       and os.path.realpath(o.submissions))
    user = []
    if os.geteuid() == 0:
        user = nobody_with(['setuid', 'setgid'], room)
        os.environ['GRADE_OTHER_USER'] = '1'
        if subprocess.run([*user, 'test', '-r', f'{HERE}/grade.py', '-a', '-x',
                           room], check=False).returncode:
            stop('with ISOLATION=reduced the workbook and its results must be '
                 'readable for the user "nobody"')
    os.environ['GRADE_ISOLATION'] = 'reduced'
    command = user + again(o, os.path.realpath(o.root), room, folder or '',
                           os.path.basename(path))
    os.chdir(room)
    return command


def outside(o):
    room = os.path.realpath(room_of(o))
    os.makedirs(room, exist_ok=True)
    os.environ['GRADE_SHOWN'] = os.path.relpath(room)
    os.environ.pop('GRADE_ISOLATION', None)
    os.environ.pop('GRADE_OTHER_USER', None)
    lock_room(room)
    command = (reduced_run if o.isolation else caged_run)(o, room)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        stop(f'{command[0]} is missing: {error}')


# --- inside -------------------------------------------------------------------

def self_check(o, lessons):
    """A good and a bad submission, before any other: does it judge right?"""
    if o.isolation:
        if why := reduced.works(lessons):
            stop(f'ISOLATION=reduced cannot grade here: {why}')
    elif why := cage.works():
        stop('no cage can be built here, so nothing was graded.\n'
             f'  bubblewrap says: {why}\n'
             '  A container must allow user namespaces (docker run '
             '--security-opt seccomp=unconfined, or --privileged);\n'
             '  a host must have user.max_user_namespaces above 0 and, on '
             'Ubuntu, kernel.apparmor_restrict_unprivileged_userns=0.\n'
             '  ISOLATION=reduced does with less; tests/grade/README.md says '
             'with what, and every result is stamped with it.')
    lesson = lessons[0]
    root = os.path.join(HERE, '../..')
    cases = [('good', f'{root}/solutions/{lesson}'),
             ('bad', f'{root}/tests/{lesson}/stub')]
    jobs = [(kind, subprocess.Popen(
        ['/usr/bin/python3', '-IS', f'{HERE}/job.py', path, lesson,
         f'{o.room}/{kind}.new'],
        env={**os.environ, **({'GRADE_MEMORY': 'no'} if kind == 'bad' else {})}))
        for kind, path in cases]
    for kind, job in jobs:
        if job.wait() != 0:
            stop('the self-check could not be run: see above')
        with open(f'{o.room}/{kind}.new', encoding='utf-8') as file:
            result = json.load(file)
        os.unlink(f'{o.room}/{kind}.new')
        green = [t['name'] for t in result['tests'] if t['outcome'] == 'OK']
        whole = result['tests'] and len(green) == len(result['tests'])
        if (kind == 'good') != bool(whole) or (kind == 'bad' and green):
            stop(f'the self-check failed: the known-{kind} submission of '
                 f'{lesson} has {len(green)} of {len(result["tests"])} tests; '
                 f'nothing was graded. {result.get("compiler", "")}')
        if kind == 'good' and result.get('memory', 'clean') != 'clean':
            stop('the self-check failed: the memory check says of a clean '
                 f'program "{result["finding"]}"; nothing was graded.\n'
                 '  GRADE_MEMORY=no grades without it.')


def own_tree(room, lessons):
    """Without submissions: the lessons of this very tree."""
    record = {'name': 'this tree', 'id': 'tree', 'notes': [], 'ignored': [],
              'hints': {}, 'files': {}}
    os.makedirs(f'{room}/work/tree', exist_ok=True)
    os.makedirs(f'{room}/students', exist_ok=True)
    for lesson in lessons:
        found = {}
        for file in intake.files_of(lesson):
            name = f'lessons/{lesson}/{file}'
            try:
                with open(os.path.join(HERE, '../..', name), 'rb') as source:
                    found[file] = source.read(), ''
            except OSError:
                record['notes'].append(f'{name} is gone')
        if found:
            record['files'][lesson] = intake.settle(
                lesson, found, f'{room}/work/tree/{lesson}')
    intake.put(f'{room}/students/tree.json',
               json.dumps(record, sort_keys=True, indent=0).encode())


def drop_other_lessons(room, lessons):
    """Work of lessons that are not asked for is left as it is, but not done."""
    wanted, there = [], 0
    for who in sorted(os.listdir(f'{room}/work')):
        for lesson in sorted(os.listdir(f'{room}/work/{who}')):
            if lesson in lessons:
                wanted.append(f'results/{who}/{lesson}.json')
    return wanted


def stale(target):
    """Whether make will have to do it; good enough for a count."""
    try:
        folder = target.replace('results/', 'work/')[:-5]
        sources = [f'{folder}/{file}' for file in os.listdir(folder)]
        lesson = os.path.basename(target)[:-5]
        made = os.stat(target).st_mtime_ns
        parts = f'{HERE}/../../build/grade/{lesson}'
        return made < max(os.stat(p).st_mtime_ns for p in
                          (*sources, 'seed', 'isolation', f'{parts}/tests',
                           f'{parts}/worker.o'))
    except OSError:
        return True


def run_jobs(targets, jobs):
    todo = [t for t in targets if stale(t)]
    print(f'{len(targets)} files to grade, {len(targets) - len(todo)} of them '
          'are graded already', flush=True)
    if not todo:
        return
    with open('todo', 'w', encoding='utf-8') as file:
        file.write('wanted: ' + ' '.join(todo) + '\n')
    env = {'PATH': '/usr/bin:/bin', 'LC_ALL': 'C.UTF-8', 'HOME': '/tmp'}
    env.update({k: v for k, v in os.environ.items()
                if k.startswith('GRADE_')})
    make = subprocess.Popen(
        ['make', '-s', '-k', '-f', f'{HERE}/grade.mk', '-f', 'todo',
         f'-j{jobs}', f'PARTS={HERE}/../../build/grade',
         f'JOB=/usr/bin/python3 -IS {HERE}/job.py', 'wanted'], env=env)
    watch(make, todo)


def watch(make, todo):
    """Says how far it is, and when it will be done."""
    begun = time.monotonic()
    left, said = list(todo), 0.0
    tty = sys.stdout.isatty()
    while make.poll() is None:
        time.sleep(0.2)
        left = [t for t in left if stale(t)]
        now = time.monotonic()
        if now - said < (1 if tty else 10):
            continue
        said = now
        done = len(todo) - len(left)
        eta = (f', about {round((now - begun) / done * len(left))} s to go'
               if done else '')
        print(f'{done} of {len(todo)} done, {len(left)} left{eta}',
              end='   \r' if tty else '\n', flush=True)
    took = time.monotonic() - begun
    left = [t for t in left if stale(t)]
    print(f'{len(todo) - len(left)} of {len(todo)} done in {took:.0f} s'
          + ' ' * 20, flush=True)


def show_own(lessons, student):
    for lesson in lessons:
        told = gradebook.state(student.record, lesson,
                               student.results[lesson.name])
        print(f'  {lesson.name:<24}'
              f'{gradebook.number(student.points[lesson.name]) or "-":>6} of '
              f'{gradebook.number(lesson.worth)}   {told}')
    print(f'  {"total":<24}{gradebook.number(student.total) or "0":>6} of '
          f'{gradebook.number(sum(l.worth for l in lessons))}')


def show_class(lessons, students):
    most = gradebook.number(sum(l.worth for l in lessons))
    totals = sorted(s.total for s in students)
    if totals:
        middle = totals[len(totals) // 2]
        print(f'{len(students)} students; of {most} points the best has '
              f'{gradebook.number(totals[-1]) or "0"}, the median '
              f'{gradebook.number(middle) or "0"}')
    for s in students:
        for note in s.record['notes']:
            print(f'  {s.name}: {note}')


def forget_halves(room):
    """What a killed run was just writing."""
    for path, _, files in os.walk(room):
        for name in files:
            if name.endswith('.new'):
                os.unlink(f'{path}/{name}')


def inside(o):
    os.umask(0o022)
    forget_halves(o.room)
    lessons = o.lessons.split()
    room = o.room
    if o.prove:
        why = (reduced if o.isolation else cage).works()
        if why:
            stop(f'nothing can be held here: {why}')
        prove.prove(o.prove, lessons)
        return
    self_check(o, lessons)
    intake.put(f'{room}/isolation', (reduced if o.isolation else cage
                                     ).how().encode())
    if o.seed:
        intake.put(f'{room}/seed', o.seed.encode())
    elif not os.path.exists(f'{room}/seed'):
        intake.put(f'{room}/seed', str(secrets.randbits(31)).encode())
    if o.submissions:
        try:
            count = intake.intake(o.submissions, lessons, room, o.only)
        except PermissionError as error:
            stop(f'submissions must be readable for the user "nobody": '
                 f'{error}')
        if count == 0:
            stop('there is no submission in the folder')
    else:
        own_tree(room, lessons)
    targets = drop_other_lessons(room, lessons)
    run_jobs(targets, o.jobs or len(os.sched_getaffinity(0)))
    book, students = gradebook.gradebook(room, lessons,
                                         f'{HERE}/points.tsv')
    show = os.environ.get('GRADE_SHOWN', room)
    if o.submissions:
        show_class(book, students)
        print(f'{show}/gradebook.html, gradebook.csv, and a report for each '
              f'in {show}/reports/')
    else:
        show_own(book, students[0])
        print(f'Details: {show}/reports/{students[0].folder}/report.txt')
    missing = [t for t in targets if stale(t)]
    for target in missing:
        print(f'not graded, by a fault of the grader: {target}',
              file=sys.stderr)
    sys.exit(1 if missing else 0)


def main():
    o = options()
    if o.inside:
        inside(o)
    else:
        outside(o)


if __name__ == '__main__':
    main()
