#!/usr/bin/python3
"""package.py gradescope|autolab FOLDER LESSONS ISOLATION: what is uploaded to
such a service, into FOLDER: gradescope.zip, or autograde.tar and
autograde-Makefile. Both hold the part of this workbook that grading needs.
"""
import glob
import io
import os
import sys
import tarfile
import zipfile

HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.realpath(os.path.join(HERE, '../..'))
NEEDED = ('Makefile', 'LICENSE', 'lessons/*/*.[ch]', 'solutions/*/*.c',
          'tests/*/test.c', 'tests/*/stub/*.c', 'tests/*/signatures.tsv',
          'tests/support/*', 'tests/tools/*', 'tests/grade/*')


def members(scripts, settings):
    """Yields (name, data, mode)."""
    for pattern in NEEDED:
        for path in sorted(glob.glob(pattern, root_dir=ROOT)):
            if os.path.isfile(f'{ROOT}/{path}'):
                yield f'workbook/{path}', f'{ROOT}/{path}'
    for script in scripts:
        yield script, f'{HERE}/services/{script}'
    yield 'settings', settings.encode()


def data_and_mode(what):
    if isinstance(what, bytes):
        return what, 0o644
    with open(what, 'rb') as file:
        return file.read(), os.stat(what).st_mode & 0o777


def gradescope(folder, settings):
    path = f'{folder}/gradescope.zip'
    with zipfile.ZipFile(path + '.new', 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, what in members(('setup.sh', 'run_autograder'), settings):
            data, mode = data_and_mode(what)
            info = zipfile.ZipInfo(name)
            info.external_attr = (0o100000 | mode) << 16
            archive.writestr(info, data, zipfile.ZIP_DEFLATED)
    os.replace(path + '.new', path)
    return path


def autolab(folder, settings):
    path = f'{folder}/autograde.tar'
    with tarfile.open(path + '.new', 'w') as archive:
        for name, what in members(('autolab.sh',), settings):
            data, mode = data_and_mode(what)
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), mode
            archive.addfile(info, io.BytesIO(data))
    os.replace(path + '.new', path)
    data, _ = data_and_mode(f'{HERE}/services/autograde-Makefile')
    with open(f'{folder}/autograde-Makefile', 'wb') as file:
        file.write(data)
    return f'{path} and autograde-Makefile'


def main():
    service, folder, lessons, isolation = sys.argv[1:]
    os.makedirs(folder, exist_ok=True)
    settings = f"LESSONS='{lessons}'\nISOLATION='{isolation}'\n"
    made = {'gradescope': gradescope, 'autolab': autolab}[service](folder,
                                                                   settings)
    print(f'{made}: to be uploaded (tests/grade/README.md says how)')


main()
