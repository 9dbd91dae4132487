"""The cage: everything that touches a student's bytes runs in here.

bubblewrap gives each program namespaces of its own: no network, no other
processes, no file but those named here, and none of them writable. Limits are
set inside (a limit on processes that is set outside would count the grader's
own), and do not hold for root, which is why root is refused.
"""
import fcntl
import os
import resource
import subprocess
import sys

MIB = 1 << 20
PROCESSES = 160  # and threads: the tests of a lesson call from 64 at once
INSIDE = ['--dir', '/dev', '--dev-bind', '/dev/null', '/dev/null']
WALLS = ['bwrap', '--unshare-all', '--unshare-user', '--disable-userns',
         '--uid', '65534', '--gid', '65534', '--die-with-parent',
         '--new-session', '--cap-drop', 'ALL', '--clearenv',
         '--setenv', 'PATH', '/usr/bin', '--setenv', 'LC_ALL', 'C',
         '--hostname', 'cage']
LINKS = ['--symlink', 'usr/lib', '/lib', '--symlink', 'usr/lib64', '/lib64',
         '--symlink', 'usr/bin', '/bin']


def limits(cpu, memory, file_size, processes=PROCESSES, stack=64 * MIB,
           files=256):
    return ['/usr/bin/prlimit', f'--cpu={cpu}', f'--as={memory}',
            f'--fsize={file_size}', f'--nproc={processes}', '--core=0',
            f'--nofile={files}', f'--stack={stack}']


def toolbox():
    """The compiler and its like, without what else stands in /usr."""
    hidden = ['/usr/local', '/usr/src', '/usr/games', '/usr/share']
    return (['--ro-bind', '/usr', '/usr']
            + [word for path in hidden if os.path.isdir(path)
               for word in ('--tmpfs', path)]
            + LINKS)


def libraries():
    """What a program needs that is linked to shared libraries."""
    return [word for path in ('/usr/lib', '/usr/lib64')
            if os.path.isdir(path) for word in ('--ro-bind', path, path)
            ] + ['--ro-bind', '/usr/bin/prlimit', '/usr/bin/prlimit'] + LINKS


# A function without the counter that the compiler puts into every block would
# take no steps, and assembler could do anything unseen: neither is C17.
COMPILE = r'''
cd "${PLACE:-/tmp}"
for file in "$FOLDER"/*.c; do
    gcc $FLAGS -fmax-errors=20 -fdiagnostics-color=never -I$TOP/include/lessons \
        $(for d in $TOP/include/lessons/*/; do echo "-I$d"; done) \
        -S "$file" -o s.s < /dev/null || exit 1
    $AWK '/^#APP/ { print "it has assembler in it"; exit 1 }
        /^\t\.type\t.*@function/ { split($2, n, ","); is[n[1]] = 1 }
        /^[A-Za-z_][A-Za-z0-9_.]*:/ { f = substr($1, 1, length($1) - 1)
            if (f in is) { now = f; steps = 0 } }
        /call\t__sanitizer_cov_trace_pc/ { steps++ }
        /^\t\.size\t/ && now != "" { if (!steps) {
            print "its function " now " hides its steps from the tests, " \
                "or is an empty loop without an end"; exit 1 }
            now = "" }' s.s >&2 || exit 42
    gcc -c s.s -o "$(basename "$file").o" || exit 1
done
gcc *.c.o $TOP/worker.o $LIBS -o w < /dev/null >&2 && cat w
'''


def compiler(sources, folder, include, worker, about, _room):
    """sources: name -> path. folder: where they stand inside."""
    return WALLS + toolbox() + INSIDE + [
        '--ro-bind', include, '/include', '--ro-bind', worker, '/worker.o',
        *(word for name, path in sources.items()
          for word in ('--ro-bind', path, f'{folder}/{name}')),
        '--setenv', 'FOLDER', folder,
        '--setenv', 'AWK', os.path.realpath('/usr/bin/awk'),
        '--setenv', 'FLAGS', about['flags'], '--setenv', 'LIBS', about['libs'],
        '--size', str(64 * MIB), '--tmpfs', '/tmp', '--remount-ro', '/', '--',
        *limits(cpu=10, memory=2048 * MIB, file_size=32 * MIB),
        '/bin/sh', '-c', COMPILE]


SERVERS = '/mnt'  # a file system for their directories, in a server_room


def with_servers(shared, network, serves):
    """What a program sees of the servers of its lesson, and nothing else.

    shared: a directory with their sockets, if it needs those.
    network: whether it stays in the network where we are; see server_room.
    serves: whether it may make sockets in that directory itself."""
    return (([f'--{"" if serves else "ro-"}bind', shared, '/tmp']
             if shared else [])
            + (['--share-net'] if network else []))


def server_room():
    """For a whole job: a network of its own, in which there is nothing but the
    servers that its tests start, and room for their files, with an end. They
    could be made to talk to others, and to write."""
    return ['bwrap', '--die-with-parent', '--dev-bind', '/', '/',
            '--unshare-net', '--size', str(512 * MIB), '--tmpfs', SERVERS,
            '--']


def tests_with_servers(tests, shared):
    """The tests, which hold no student's code, and the servers that they
    start, which do what students tell them: they see neither the class nor the
    workbook."""
    return (['bwrap', '--die-with-parent', '--ro-bind', '/usr', '/usr',
             '--ro-bind', '/etc', '/etc'] + LINKS
            + ['--dev-bind', '/dev', '/dev', '--bind', '/proc', '/proc',
               '--bind', shared, '/tmp', '--ro-bind', tests, '/tmp/tests',
               '--', '/usr/bin/prlimit', f'--as={2048 * MIB}',
               f'--fsize={256 * MIB}', '--core=0', '/tmp/tests'])


def runner(program, servers=(), files=256):
    return WALLS + libraries() + INSIDE + [*servers] + [
        '--ro-bind', program, '/worker', '--remount-ro', '/', '--',
        *limits(cpu=20, memory=1024 * MIB, file_size=MIB, files=files),
        '/worker']


def valgrind(log):
    return ['/usr/bin/valgrind', '--leak-check=full', '--vgdb=no',
            '--show-leak-kinds=definite,indirect', '--num-callers=12',
            '--errors-for-leak-kinds=definite,indirect',
            '--main-stacksize=67108864', f'--log-fd={log}']


def memory_checker(program, log, servers=(), files=256):
    return WALLS + toolbox() + INSIDE + [*servers] + [
        '--size', str(16 * MIB), '--tmpfs', '/own', '--setenv', 'TMPDIR',
        '/own', '--proc', '/proc', '--ro-bind', program, '/worker',
        '--remount-ro', '/', '--',
        *limits(cpu=120, memory=8192 * MIB, file_size=8 * MIB,
                stack=64 * MIB, files=files),
        *valgrind(log), '/worker']


def line_finder(program):
    return WALLS + toolbox() + INSIDE + [
        '--ro-bind', program, '/worker', '--remount-ro', '/', '--',
        *limits(cpu=5, memory=512 * MIB, file_size=MIB),
        '/usr/bin/addr2line', '-e', '/worker']


def end(process):
    process.kill()
    process.wait()


def capped(command, most, seconds, end_it=end):
    """Runs a program; of what it writes, at most so much is kept.

    Returns: its status (None when its time was up), stdout, stderr."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    import selectors
    import time
    kept = {process.stdout: bytearray(), process.stderr: bytearray()}
    watch = selectors.DefaultSelector()
    for pipe in kept:
        watch.register(pipe, selectors.EVENT_READ)
    until = time.monotonic() + seconds
    late = False
    while watch.get_map():
        left = until - time.monotonic()
        if left <= 0:
            late = True
            break
        for key, _ in watch.select(left):
            data = os.read(key.fd, 65536)
            if not data:
                watch.unregister(key.fileobj)
            elif len(kept[key.fileobj]) < most:
                kept[key.fileobj] += data[:most - len(kept[key.fileobj])]
    if late:
        end_it(process)
    status = process.wait()
    process.stdout.close()
    process.stderr.close()
    return (None if late else status, bytes(kept[process.stdout]),
            bytes(kept[process.stderr]))


def printable(data, most=8192):
    """Text for a report: no control characters, nothing a terminal obeys."""
    text = data[:most].decode('utf-8', 'replace')
    return ''.join(c if c == '\n' or c.isprintable() else '?' for c in text)


def claim(path):
    """A lock for as long as this process lives. Returns: whether it is ours."""
    try:
        lock = os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def how():
    return 'caged'


def adopt():
    """Nothing to do: what runs in a cage ends with it."""


def clean_up(*_keep):
    """Nothing to do, either."""


def works():
    """Whether a program can be caged here. Returns: what went wrong, or ''."""
    if os.geteuid() == 0:
        return 'the kernel limits no processes of root'
    try:
        status, _, said = capped(
            WALLS + libraries() + INSIDE
            + ['--remount-ro', '/', '--',
               *limits(1, 256 * MIB, MIB), '/usr/bin/prlimit'], 4096, 20)
    except OSError as error:
        return str(error)
    return '' if status == 0 else printable(said, 400).strip() or 'no bwrap'
