#!/usr/bin/python3 -IS
"""job.py SOURCE LESSON RESULT: grades one lesson of one student. SOURCE is a
folder with its files, or, where the lesson is all in one, that file.

Compiles it in the cage, runs the lesson's tests, which hold none of the
student's code, against a caged worker, which holds it; then, if all pass, the
memory check. Writes RESULT, by rename: it is there whole, or not at all.
Ends with status 3 when the grader itself has failed; that is never a zero.
"""
import fcntl
import json
import os
import re
import resource
import select
import shutil
import socket
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, HERE)
if os.environ.get('GRADE_ISOLATION') == 'reduced':
    import reduced as cage  # noqa: E402
else:
    import cage  # noqa: E402

PARTS = os.path.join(HERE, '../../build/grade')
LIMIT_MS = int(os.environ.get('GRADE_LIMIT_MS', 2000))


def read_about(lesson):
    with open(f'{PARTS}/{lesson}/about', encoding='utf-8') as file:
        lines = (line.rstrip('\n').partition(' ') for line in file)
        return {key: value for key, _, value in lines}


def take_processor():
    """Tests and worker take turns, so they share a processor: a message to
    another one costs ten times as much. Each job takes one of its own."""
    for processor in sorted(os.sched_getaffinity(0)):
        if cage.claim(f'{tempfile.gettempdir()}/grade-cpu-{processor}'):
            os.sched_setaffinity(0, {processor})
            return


def compiled(source, lesson, about, part, room):
    """Returns: the program's path or None, and what the compiler said."""
    files = ({name: f'{source}/{name}' for name in os.listdir(source)}
             if os.path.isdir(source) else {f"{about['module']}.c": source})
    status, program, said = cage.capped(
        cage.compiler(files, f'/src/lessons/{lesson}', f'{PARTS}/include',
                      f'{PARTS}/{lesson}/{part}.o', about, room),
        32 << 20, 20)
    cage.clean_up()
    text = without_place(cage.printable(said, 65536))
    if status is None:
        return None, 'the compiler did not end'
    if status == 42:
        return None, 'this cannot be graded: ' + text.strip()
    if status != 0 or program[:4] != b'\x7fELF':
        return None, text or 'the compiler failed without a word'
    path = f'{room}/{part}'
    with open(path, 'wb') as file:
        file.write(program)
    os.chmod(path, 0o500)
    return path, text


def without_place(text):
    """A file's name as its author knows it."""
    return re.sub(r"[^\s'\"]*/src/lessons/", 'lessons/', text)


def first_error(text):
    lines = text.splitlines()
    for i, line in enumerate(lines):
        if re.search(r': (fatal )?error: |undefined reference', line):
            return '\n'.join(lines[i:i + 4])
    return '\n'.join(lines[:4])


def run_tests(lesson, program, room, checker=False):
    """Runs all tests against a caged worker. Returns: the report's rows, what
    the worker printed, and what Valgrind said."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    # A worker that takes no requests must not stop who sends them.
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO,
                    struct.pack('ll', 0, 200000))
    log_end, log = os.pipe() if checker else (-1, -1)
    about = read_about(lesson)
    shared, servers = None, ()
    if about['fixtures']:
        shared = (f'{cage.SERVERS}/{os.path.basename(room)}'
                  f'{"-memory" if checker else ""}')
        os.makedirs(shared, exist_ok=True)
        servers = cage.with_servers(shared if about['sockets'] else None,
                                    about['network'], about['serves'])
    files = {'files': 1024} if about['serves'] else {}  # a crowd of clients
    command = (cage.memory_checker(program, 9, servers, **files) if checker
               else cage.runner(program, servers, **files))

    def enter():
        # First out of the way, then into place.
        s, l = (fcntl.fcntl(fd, fcntl.F_DUPFD, 20) for fd in
                (theirs.fileno(), log if checker else theirs.fileno()))
        os.dup2(s, 3, inheritable=True)
        if checker:
            os.dup2(l, 9, inheritable=True)
        os.closerange(4, 9)
        os.closerange(10 if checker else 4, 256)

    printed = open(f'{room}/printed', 'wb')
    sink = subprocess.Popen(['/usr/bin/head', '-c', '65536'],
                            stdin=subprocess.PIPE, stdout=printed)
    worker = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                              stdout=sink.stdin, stderr=sink.stdin,
                              close_fds=False, preexec_fn=enter)
    theirs.close()
    sink.stdin.close()
    said = b''
    try:
        rows = ask(lesson, ours, room, shared, checker,
                   log_end if checker else None, log)
        if checker:
            rows, said = rows
    finally:
        ours.close()
        if checker and rows_are_whole(rows):
            wait_for(worker, 20)
        cage.end(worker)
        cage.clean_up(sink.pid)
        sink.wait()
        printed.close()
    with open(f'{room}/printed', 'rb') as file:
        return rows, file.read(), said


def rows_are_whole(rows):
    return rows and rows[-1][0] == 'done'


def tests_command(lesson, shared, checker):
    tests = f"{PARTS}/{lesson}/tests{'-memory' if checker else ''}"
    return cage.tests_with_servers(tests, shared) if shared else [tests]


def ask(lesson, door, room, shared, checker, log_end, log):
    report = open(f'{room}/report', 'wb+')
    env = {'PATH': '/usr/bin:/bin', 'LC_ALL': 'C',
           'GRADE_DOOR': str(door.fileno()),
           'TEST_REPORT': f'/dev/fd/{report.fileno()}',
           'TEST_SEED': os.environ.get('GRADE_SEED', '42'),
           'TEST_SECONDS': '10',  # of patience: others are at work here too
           'GRADE_LIMIT_MS': str(LIMIT_MS)}
    if checker or read_about(lesson)['less']:
        env.update(TEST_LESS='1', GRADE_LEAST_MS='500')
    if checker:
        env.update(GRADE_TOGETHER='1', GRADE_LIMIT_MS='90000')
    command = tests_command(lesson, shared, checker)
    pass_fds = [door.fileno(), report.fileno()]
    said = b''
    if checker:
        os.close(log)
    tests = subprocess.Popen(command, env=env, pass_fds=pass_fds,
                             stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL,
                             stderr=open(f'{room}/errors', 'wb'))
    if checker:
        door.close()  # the worker ends when the tests have
        said = listen(log_end, 1 << 20)
        os.close(log_end)
    wait_for(tests, 240 if checker else 120)
    report.close()
    with open(f'{room}/report', encoding='utf-8', errors='replace') as file:
        rows = [line.rstrip('\n').split('\t') for line in file]
    return (rows, said) if checker else rows


def wait_for(process, seconds):
    """Waits until it ends, and ends it when its time is up. (With a limit,
    subprocess looks every 50 ms only.)"""
    ended = os.pidfd_open(process.pid)
    if not select.select([ended], [], [], seconds)[0]:
        process.kill()
    process.wait()
    os.close(ended)


def listen(end, most):
    kept = bytearray()
    while data := os.read(end, 65536):
        kept += data[:most - len(kept)]
    return bytes(kept)


def resolve(rows, program):
    """code+0x12,0x34 becomes the first of these that is a line of the
    student's own; a program of the system finds them, in the cage."""
    wanted = set()
    for row in rows:
        for found in re.findall(r'code\+([0-9a-fx,]+)', row[-1]):
            wanted.update(found.split(','))
    if not wanted:
        return
    wanted = sorted(wanted)[:2000]
    _, out, _ = cage.capped(cage.line_finder(program) + wanted, 1 << 20, 10)
    lines = out.decode('ascii', 'replace').splitlines()
    names = {}
    for at, line in zip(wanted, lines):
        if m := re.search(r'((?:lessons|solutions)/[\w./-]+\.[ch]:\d+)', line):
            names[at] = m[1]

    def name(match):
        for at in match[1].split(','):
            if at in names:
                return names[at]
        return "a place outside the lesson's code"
    for row in rows:
        row[-1] = re.sub(r'code\+([0-9a-fx,]+)', name, row[-1])


def memory(source, lesson, about, room):
    """Returns: ('clean' | 'errors' | 'unknown', the first finding)."""
    program, _ = compiled(source, lesson, about, 'worker-memory', room)
    if not program:
        return 'unknown', 'it could not be linked'
    rows, _, said = run_tests(lesson, program, room, checker=True)
    text = cage.printable(said, 1 << 20)
    ends = re.findall(r'==\d+== ERROR SUMMARY: (\d+) errors', text)
    resolve(rows[:-1], program)
    failed = [f'{row[0].replace("_", " ")} fails in this run only: {row[-1]}'
              for row in rows if row[0] != 'done' and row[4] != 'OK']
    if not rows_are_whole(rows):
        return 'unknown', 'the tests did not end'
    if ends and not any(int(n) for n in ends) and not failed:
        return 'clean', ''
    found = re.search(r'(?m)^==\d+== ((?:Invalid|Conditional|Use of|Syscall|'
                      r'Source and|Argument|Mismatched).*|.* definitely lost '
                      r'in .*)\n((?:==\d+==    .*\n)*)', text)
    if found:
        lines = [found[1]] + [re.sub(r'^==\d+==\s+', '  ', line)
                              for line in found[2].splitlines()]
        return 'errors', '\n'.join(lines[:8])
    if failed:
        return 'errors', failed[0]
    return 'unknown', 'Valgrind said nothing'


def page(lesson, module, rows, room):
    """The student's own page (tests/tools/page.awk), without its last lines on
    what to type next."""
    root = os.path.join(HERE, '../..')
    with open(f'{room}/page.tsv', 'w', encoding='utf-8') as file:
        file.writelines('\t'.join(row) + '\n' for row in rows)
    done = subprocess.run(
        ['/usr/bin/awk', '-f', f'{root}/tests/tools/page.awk', '-v', 'n=N',
         '-v', f'source=lessons/{lesson}/{module}.c', '-v', 'rows=999',
         '-v', 'colour=', '-v', f'all={len(rows) - 1}',
         '-v', f'next_file={room}/next',
         f'{root}/tests/{lesson}/signatures.tsv',
         f'{root}/lessons/{lesson}/{module}.h', f'{room}/page.tsv'],
        stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, check=False)
    text = cage.printable(done.stdout, 65536)
    return text.split('\nNext: step')[0].strip('\n')


def grade(source, lesson, room):
    about = read_about(lesson)
    result = {'lesson': lesson, 'isolation': cage.how(),
              'tests': []}
    program, said = compiled(source, lesson, about, 'worker', room)
    if not program:
        return {**result, 'build': 'failed', 'compiler': first_error(said)}
    result['build'] = 'ok'
    rows, printed, _ = run_tests(lesson, program, room)
    if not rows_are_whole(rows):
        return None
    resolve(rows[:-1], program)
    for row in rows[:-1]:
        row[-1] = without_place(row[-1])
    result['tests'] = [dict(zip(('name', 'line', 'promise', 'step', 'outcome',
                                 'message'), row)) for row in rows[:-1]]
    result['printed'] = cage.printable(printed, 2000)
    result['page'] = page(lesson, about['module'], rows, room)
    if (all(t['outcome'] == 'OK' for t in result['tests'])
            and os.environ.get('GRADE_MEMORY') != 'no'):
        result['memory'], result['finding'] = memory(source, lesson, about,
                                                     room)
        result['page'] += ('\n\nMemory: ' + (
            'clean (Valgrind; a determined program can hide from it)'
            if result['memory'] == 'clean' else
            f"not clean\n{result['finding']}"
            if result['memory'] == 'errors' else
            f"not judged: {result['finding']}"))
    return result


def main():
    source, lesson, target = sys.argv[1:]
    if read_about(lesson)['fixtures'] and 'GRADE_ROOM' not in os.environ:
        os.environ['GRADE_ROOM'] = 'own'
        again = cage.server_room()
        os.execvp(again[0], again + [sys.executable, '-IS', *sys.argv])
    take_processor()
    cage.adopt()
    resource.setrlimit(resource.RLIMIT_STACK, (64 << 20, 64 << 20))
    room = tempfile.mkdtemp(prefix='grade-')
    try:
        for attempt in ('first', 'second'):  # a fault of ours is not theirs
            os.mkdir(f'{room}/{attempt}')
            result = grade(source, lesson, f'{room}/{attempt}')
            if result:
                break
        else:
            with open(f'{room}/second/errors', 'rb') as file:
                print(f'grader error: {source}: no complete report:',
                      cage.printable(file.read(), 400), file=sys.stderr)
            sys.exit(3)
        with open(target + '.new', 'w', encoding='utf-8') as file:
            json.dump(result, file, ensure_ascii=True, sort_keys=True,
                      indent=0)
        os.replace(target + '.new', target)
    finally:
        shutil.rmtree(room, ignore_errors=True)


if __name__ == '__main__':
    main()
