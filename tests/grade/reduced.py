"""Reduced isolation, for machines that forbid cages: what cage.py does, with
less. By explicit choice only (ISOLATION=reduced); every result says so.

A program runs through confine.c: as another user if the grader was started as
root, system calls filtered, no network, files closed off by Landlock where the
kernel has it; and with the same limits. It shares the machine's processes with
the grader, so what it leaves running is looked for and killed.
"""
import ctypes
import os
import shutil
import signal
import subprocess
import time

import cage
from cage import MIB, claim, limits, printable, with_servers  # noqa: F401

HERE = os.path.dirname(os.path.realpath(__file__))
PARTS = os.path.join(HERE, '../../build/grade')
CONFINE = f'{PARTS}/confine'
SYSTEM = [word for path in ('/usr', '/lib', '/lib64', '/bin', '/dev/null',
                            '/etc/ld.so.cache')
          if os.path.exists(path) for word in ('-r', path)]
USERS = range(64000, 65000)  # confine.c sweeps no others
user = None  # the number that this job's programs run as


def other_user():
    """A user of this job's own, so that jobs cannot meet."""
    global user
    if user is None and os.environ.get('GRADE_OTHER_USER'):
        user = next(number for number in USERS
                    if claim(f'/tmp/grade-user-{number}'))
    return ['-u', str(user)] if user else []


def how():
    """What is in force, for the results."""
    told = subprocess.run([CONFINE, '-a'], capture_output=True, text=True,
                          check=True).stdout
    return (f"reduced ({'another' if other_user() else 'the same'} user, "
            f'{told})')


def processes(own):
    """The limit counts all of a user's: those that are there come on top."""
    if other_user():
        return own
    mine = 0
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            if os.stat(f'/proc/{pid}').st_uid == os.getuid():
                mine += len(os.listdir(f'/proc/{pid}/task'))
        except OSError:
            pass
    return mine + own


def confined(*words):
    return [CONFINE, *other_user(), *SYSTEM, '-e', 'PATH=/usr/bin', '-e',
            'LC_ALL=C', *words, '--']


def place_beside(path, name):
    """A folder that the programs' user may write to."""
    place = os.path.join(os.path.dirname(path), name)
    os.makedirs(place, exist_ok=True)
    os.chmod(place, 0o777 if other_user() else 0o700)
    return place


def compiler(sources, folder, include, worker, about, room):
    """Sources and headers are copied: the workbook itself stays closed."""
    os.chmod(room, 0o711)
    os.chmod(os.path.dirname(room), 0o711)
    top = f'{room}/top'
    if not os.path.isdir(top):
        shutil.copytree(include, f'{top}/include')
    os.makedirs(top + folder, exist_ok=True)
    for name, path in sources.items():
        shutil.copyfile(path, f'{top}{folder}/{name}')
    shutil.copyfile(worker, f'{top}/worker.o')
    subprocess.run(['/bin/chmod', '-R', 'a+rX', top], check=True)
    place = place_beside(top, 'place')
    return confined('-r', top, '-w', place, '-e', f'TOP={top}', '-e',
                    f'PLACE={place}', '-e', f'TMPDIR={place}', '-e',
                    f'FOLDER={top}{folder}', '-e',
                    f"AWK={os.path.realpath('/usr/bin/awk')}", '-e',
                    f"FLAGS={about['flags']}", '-e', f"LIBS={about['libs']}"
                    ) + [*limits(cpu=10, memory=2048 * MIB,
                                 file_size=32 * MIB,
                                 processes=processes(cage.PROCESSES)),
                         '/bin/sh', '-c', cage.COMPILE]


def runner(program, _servers=()):
    os.chmod(program, 0o555)
    return confined('-r', program) + [
        *limits(cpu=20, memory=1024 * MIB, file_size=MIB,
                processes=processes(cage.PROCESSES)), program]


def memory_checker(program, log, _servers=()):
    os.chmod(program, 0o555)
    own = place_beside(program, 'own')
    return confined('-r', program, '-r', '/proc', '-w', own, '-e',
                    f'TMPDIR={own}') + [
        *limits(cpu=120, memory=8192 * MIB, file_size=8 * MIB,
                processes=processes(cage.PROCESSES)),
        *cage.valgrind(log), program]


def line_finder(program):
    return confined('-r', program) + [
        *limits(cpu=5, memory=512 * MIB, file_size=MIB,
                processes=processes(cage.PROCESSES)),
        '/usr/bin/addr2line', '-e', program]


def adopt():
    """Whoever loses its parent becomes our child, and can be found."""
    set_child_subreaper = 36
    ctypes.CDLL(None).prctl(set_child_subreaper, 1, 0, 0, 0)


def sweep():
    """Ends all that runs as this job's other user; the grader itself has no
    power over it, so confine does it as that user."""
    if other_user():
        subprocess.run([CONFINE, *other_user(), '-k'], check=True)


def end(process):
    while process.poll() is None:
        try:
            process.kill()
        except PermissionError:
            sweep()
        time.sleep(0.001)


def clean_up(*keep):
    """Ends what a program has left running. keep: children of our own."""
    sweep()
    if not other_user():
        end_descendants(keep)
    until = time.monotonic() + 10
    while left := [pid for pid, parent in parents().items()
                   if parent == os.getpid() and pid not in keep]:
        if time.monotonic() > until:
            raise RuntimeError(f'processes that cannot be ended: {left}')
        for pid in left:
            os.waitpid(pid, os.WNOHANG)
        time.sleep(0.001)


def end_descendants(keep):
    """First all are stopped, so that none starts another meanwhile."""
    stopped = set()
    for _ in range(1000):
        new = descendants(keep) - stopped
        if not new:
            break
        send(new, signal.SIGSTOP)
        stopped |= new
    send(stopped, signal.SIGKILL)


def send(pids, number):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def descendants(keep):
    """Whoever has lost its parent is a child of ours: see adopt()."""
    of, found, new = parents(), set(), {os.getpid()}
    while new:
        new = {pid for pid, parent in of.items()
               if parent in new and pid not in keep}
        found |= new
    return found


def capped(command, most, seconds):
    return cage.capped(command, most, seconds, end)


def parents():
    """Returns: pid -> its parent's, of all processes."""
    found = {}
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{pid}/stat', encoding='ascii',
                      errors='replace') as file:
                found[int(pid)] = int(file.read().rpartition(')')[2].split()[1])
        except OSError:
            pass
    return found


def needs_servers(lesson):
    with open(f'{PARTS}/{lesson}/about', encoding='utf-8') as file:
        return any(line.split()[1:] for line in file
                   if line.startswith('fixtures'))


def works(lessons=()):
    """Whether a program can be confined here. Returns: what went wrong."""
    for lesson in filter(needs_servers, lessons):
        return (f'{lesson} is tested with servers, which need a cage; name '
                'the others in LESSONS="..."')
    if 'NOT' in how() and not other_user():
        return ('the kernel has no Landlock, so submissions could write to '
                'the grader itself; started as root, it would use other users')
    try:
        status, _, said = capped(
            confined() + [*limits(1, 256 * MIB, MIB,
                                  processes=processes(cage.PROCESSES)),
                          '/usr/bin/prlimit'], 4096, 20)
    except OSError as error:
        return str(error)
    return '' if status == 0 else printable(said, 400).strip() or 'it fails'
