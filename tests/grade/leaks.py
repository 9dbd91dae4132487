#!/usr/bin/python3
"""leaks.py ROOT HANDOUT: whether HANDOUT has anything of ROOT's solutions,
mutants and alternates that students are not given anyway.

Secret are runs of lines that stand in no text, header, demo or stub: four in
a row in a text (one alone may be an idiom that the tests use as well), a single
one in an object. Nor may an object have debug information, or the name of a
function that is its solution's own.
"""
import os
import re
import subprocess
import sys


def files(root, *below):
    for start in below or ('',):
        for path, folders, names in os.walk(os.path.join(root, start)):
            folders[:] = [f for f in folders if f not in ('build', '.git')]
            for name in names:
                yield os.path.join(path, name)


def runs(lines, length):
    """What is to be found: so many lines in a row, if they say enough."""
    lines = [re.sub(rb'\s+', b' ', line.strip()) for line in lines]
    lines = [line for line in lines if line and line[:1] != b'#']
    found = (b'\n'.join(lines[i:i + length])
             for i in range(len(lines) - length + 1))
    return {run for run in found if len(run) >= 20 * length + 4}


def text(path):
    with open(path, 'rb') as file:
        return file.read()


def secrets(root, length):
    """Returns: run -> the file that it is a secret of."""
    given = set()
    for path in files(root, 'lessons'):
        folder, name = os.path.split(path)
        stub = f'{root}/tests/{os.path.basename(folder)}/stub/{name}'
        own = stub if os.path.exists(stub) else path
        given |= runs(text(own).split(b'\n'), length)
    found = {}
    for path in files(root, 'solutions', 'tests'):
        lines = text(path).split(b'\n')
        if '/mutants/' in path:
            lines = [line[1:] for line in lines
                     if line[:1] == b'+' and line[:3] != b'+++']
        elif '/tests/' in path and '/alternates/' not in path:
            continue
        if '/faults/' not in path:
            found.update((run, path) for run in runs(lines, length))
    return {run: path for run, path in found.items() if run not in given}


def own_names(path):
    """The functions that only their own file can call."""
    return set(re.findall(r'^static [^=;]*?\b(\w+)\([^;]*?\) \{$',
                          text(path).decode(), re.M))


def shown_by(*command):
    return subprocess.run(command, capture_output=True, text=True,
                          check=True).stdout


def told_by_object(path, source, secret):
    for run in runs(re.split(rb'[\n\0]', text(path)), 1) & secret.keys():
        yield run.decode(errors='replace')
    yield from own_names(source) & set(shown_by('nm', '-a', path).split())
    if '.debug' in shown_by('readelf', '-SW', path):
        yield 'debug information'


def main():
    root, handout = map(os.path.realpath, sys.argv[1:])
    one, four = secrets(root, 1), secrets(root, 4)
    if not one or not four:
        sys.exit('there is nothing to be kept secret: is this the workbook?')
    leaks = []
    for path in files(handout):
        name = os.path.relpath(path, handout)
        if name.endswith('.o'):
            source = f"{root}/{name.split('.')[0]}.c"
            leaks += [f'{name} tells {what}'
                      for what in told_by_object(path, source, one)]
            continue
        if re.match('solutions/|.*/(mutants|alternates)/', name):
            leaks.append(f'{name} is in it')
        for run in runs(text(path).split(b'\n'), 4) & four.keys():
            leaks.append(f'{name} has lines of '
                         f'{os.path.relpath(four[run], root)}: '
                         + run.decode(errors='replace').replace('\n', ' | '))
    print('\n'.join(leaks))
    sys.exit(1 if leaks else 0)


main()
