"""What `make test` holds the grader to: the reference and the other right
designs of a lesson have all their points, the stub has none, and each of the
attacks gets nothing, learns nothing, and leaves nothing behind.

Writes "ok ..." and "not ok ..." lines to the file `lines`.
"""
import json
import os
import re
import subprocess
import time

import intake
import reduced

HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.realpath(os.path.join(HERE, '../..'))
SLOWEST = 60  # seconds, for the worst of attacks


def graded(source, lesson):
    """Returns: the result, or None when the grader failed; and the seconds."""
    target = os.path.abspath('proof.json')
    if os.path.exists(target):
        os.unlink(target)
    begun = time.monotonic()
    subprocess.run(['/usr/bin/python3', '-IS', f'{HERE}/job.py', source,
                    lesson, target],
                   env={**os.environ, 'GRADE_MEMORY': 'no'}, check=False)
    took = time.monotonic() - begun
    try:
        with open(target, encoding='utf-8') as file:
            return json.load(file), took
    except OSError:
        return None, took


def passed(result):
    return [t['name'] for t in (result or {}).get('tests', ())
            if t['outcome'] == 'OK']


def say(file, holds, lesson, what, why=''):
    why = why.replace('\n', ' ')[:300]
    file.write(f'ok {lesson}: {what}\n' if holds else
               f'not ok {lesson}: {what}: {why}\n')


def prove_lesson(file, lesson):
    right = [f'solutions/{lesson}']
    alternates = f'{ROOT}/tests/{lesson}/alternates'
    right += [f'tests/{lesson}/alternates/{name}'
              for name in sorted(os.listdir(alternates))]
    for path in right:
        result, _ = graded(f'{ROOT}/{path}', lesson)
        bad = [f"{t['name']} {t['outcome']} {t['message']}"
               for t in (result or {}).get('tests', ())
               if t['outcome'] != 'OK']
        say(file, passed(result) and not bad, lesson,
            f'the grader gives {path} all points',
            '; '.join(bad) or str((result or {}).get('compiler')))
    result, _ = graded(f'{ROOT}/tests/{lesson}/stub', lesson)
    say(file, result and result['tests'] and not passed(result), lesson,
        'the grader gives the stub no point', ' '.join(passed(result)))


def composed(name):
    """An attack on lesson 1, and what it leaves out."""
    with open(f'{HERE}/attacks/{name}.c', encoding='utf-8') as file:
        attack = file.read()
    with open(f'{HERE}/attacks/rest.h', encoding='utf-8') as file:
        rest = file.read()
    own = set(re.findall(r'^\w[\w *]*?(kv_\w+)\([^;]*\) \{', attack, re.M))
    if 'kv_create:' in attack:
        own.add('kv_create')
    return attack, attack + ''.join(f'#define NO_{f}\n'
                                    for f in sorted(own)) + rest


def composed_with_stub(lesson, name):
    """An attack on another lesson, behind that one's stub."""
    stub, = intake.files_of(lesson)
    texts = []
    for path in (f'{HERE}/attacks/rest-of-stub.h',
                 f'{ROOT}/tests/{lesson}/stub/{stub}',
                 f'{HERE}/attacks/{lesson}/{name}.c'):
        with open(path, encoding='utf-8') as file:
            texts.append(file.read())
    rest, stub, attack = texts
    own = re.findall(r'^status (\w+)\([^;]*?\) \{', attack, re.M)
    if 'void attack(void)' not in attack:
        attack += '\nstatic void attack(void) {\n}\n'
    return attack, rest + ''.join(
        [f'#define {f} stub_{f}\n' for f in own] + [stub]
        + [f'#undef {f}\n' for f in own] + [attack])


def written(text):
    path = os.path.abspath('attack.c')
    with open(path, 'w', encoding='utf-8') as file:
        file.write(text)
    return path


def idea(attack):
    """What an attack's first line says that it tries."""
    what = re.match(r'/\* Attack: (.*?)\. \*/', attack, re.S)[1]
    return ' '.join(what.replace('\n *', '').split())


def traces():
    """Processes and files that are here."""
    processes = []
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{pid}/cmdline', 'rb') as file:
                if b'worker' in file.read():
                    processes.append(pid)
        except OSError:
            pass
    files = [f'{place}/{name}' for place in ('/tmp', '/dev/shm', '.')
             for name in os.listdir(place)
             if not name.startswith(('grade-cpu', 'attack.c', 'proof.json'))]
    return sorted(processes + files)


def prove_attacks(file, lesson):
    first = lesson == '01-introduction'
    for name in sorted(n[:-2] for n in os.listdir(
            f'{HERE}/attacks/{"" if first else lesson}') if n.endswith('.c')):
        attack, text = (composed(name) if first
                        else composed_with_stub(lesson, name))
        path = written(text)
        before = traces()
        result, took = graded(path, lesson)
        text = json.dumps(result)
        wrong = []
        if result is None:
            wrong.append('the grader failed')
        if not first and (result or {}).get('build') != 'ok':
            wrong.append('it does not compile: '
                         + (result or {}).get('compiler', ''))
        if set(passed(result)) - {'destroy_of_null_does_nothing'}:
            wrong.append('it passes ' + ' '.join(passed(result)))
        if 'STOLEN' in text or 'root:x:' in text or '[P1]' in str(
                (result or {}).get('printed')):
            wrong.append('it learned ' + (result or {}).get('printed', '')
                         + (result or {}).get('compiler', ''))
        if re.search(r'[\x00-\x08\x0b-\x1f\x7f]',
                     str((result or {}).get('printed'))):
            wrong.append('it put control characters into the report')
        if took > SLOWEST:
            wrong.append(f'it took {took:.0f} s')
        left = set(traces()) - set(before)
        for _ in range(20):  # what was killed may take a moment to be gone
            if left:
                time.sleep(0.1)
                left = set(traces()) - set(before)
        if left:
            wrong.append('it left behind ' + ' '.join(sorted(left)))
        say(file, not wrong, 'attack', idea(attack), '; '.join(wrong))
        if os.environ.get('GRADE_VERBOSE'):
            print(f'{took:6.1f} s  {name}: {len(passed(result))} passed '
                  f'{"; ".join(wrong)}', flush=True)


def states():
    """Returns: pid -> (state, user), of all processes."""
    found = {}
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{pid}/stat', encoding='ascii',
                      errors='replace') as file:
                state = file.read().rpartition(')')[2].split()[0]
            found[int(pid)] = state, os.stat(f'/proc/{pid}').st_uid
        except OSError:
            pass
    return found


def prove_reduced(file, lesson):
    """Without a cage: right is right, and nobody else is harmed. (Who starts
    this does so in a PID namespace: were it wrong, it would harm the machine.)
    """
    neighbour = subprocess.Popen(['/bin/sleep', '1000'])
    before = states()
    prove_lesson(file, lesson)
    for name in ('kill-everyone', 'stop-everyone', 'kill-parent', 'daemon',
                 'fork-bomb', 'use-the-network', 'become-root'):
        attack, text = composed(name)
        result, _ = graded(written(text), lesson)
        now = states()
        wrong = [f'{pid} is {now.get(pid, ("gone",))[0]}' for pid in before
                 if now.get(pid, 'Z')[0] in 'TZ']
        wrong += [f'{pid} is left' for pid, (state, user) in now.items()
                  if user in reduced.USERS and state != 'Z']
        if set(passed(result)) - {'destroy_of_null_does_nothing'}:
            wrong.append('it passes ' + ' '.join(passed(result)))
        if not (result or {}).get('isolation', '').startswith('reduced'):
            wrong.append('the result does not say that it is reduced')
        say(file, not wrong, 'reduced', idea(attack), '; '.join(wrong))
    neighbour.kill()


def prove(what, lessons):
    with open('lines', 'w', encoding='utf-8') as file:
        for lesson in lessons:
            {'lesson': prove_lesson, 'reduced': prove_reduced,
             'attacks': prove_attacks}[what](file, lesson)
