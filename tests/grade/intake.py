"""Takes submissions in: of each student's folder or archive the files of each
lesson that students write, and nothing else.

What comes in may be broken or hostile. No archive is ever unpacked: members
are read one by one, by what they are, and their names decide nothing but which
of them is a lesson's file. Links, devices and odd names are listed, not
followed. Each submission is read by a process of its own, with limits.
"""
import hashlib
import json
import os
import re
import resource
import shutil
import stat
import tarfile
import zipfile

ROOT = os.path.join(os.path.dirname(os.path.realpath(__file__)), '../..')
LARGEST_FILE = 1 << 20
LARGEST_ARCHIVE = 50 << 20
MOST_UNPACKED = 256 << 20
MOST_ENTRIES = 20000
NOTHING = ('there is no lesson\'s file in it (like '
           'lessons/01-introduction/kv.c, or just kv.c)')
ARCHIVES = (b'.zip', b'.tar.gz', b'.tgz', b'.tar')


def shown(name):
    """A name for people: what does not print as itself as \\x41."""
    if isinstance(name, str):
        name = name.encode('utf-8', 'surrogateescape')
    text = name.decode('utf-8', 'surrogateescape')
    out = ''.join(c if c.isprintable() and c != '\\' else
                  ''.join(f'\\x{b:02x}'
                          for b in c.encode('utf-8', 'surrogateescape'))
                  for c in text)
    return out if len(out) <= 120 else out[:117] + '...'


def identity(name):
    return hashlib.sha256(name).hexdigest()[:16]


class Refused(Exception):
    """Why a whole submission, or a file of it, cannot be taken."""


def read_some(file, most):
    data = file.read(most + 1)
    if len(data) > most:
        raise Refused(f'too large (more than {most >> 20} MiB)')
    return data


class Folder:
    """Each source yields (name, size, read) for regular files, and (name,
    None, what) for everything else."""

    def __init__(self, path):
        self.path = path

    def entries(self):
        seen = 0
        todo = [b'']
        while todo:
            here = todo.pop()
            if here.count(b'/') > 20:
                yield here, None, 'too deep'
                continue
            with os.scandir(os.path.join(self.path, here)) as entries:
                for entry in sorted(entries, key=lambda e: e.name):
                    seen += 1
                    if seen > MOST_ENTRIES:
                        yield here, None, f'more than {MOST_ENTRIES} files'
                        return
                    name = os.path.join(here, entry.name)
                    mode = entry.stat(follow_symlinks=False).st_mode
                    if stat.S_ISDIR(mode):
                        todo.append(name)
                    elif stat.S_ISREG(mode):
                        size = entry.stat(follow_symlinks=False).st_size
                        yield name, size, self.reader(name)
                    else:
                        yield name, None, ('a link' if stat.S_ISLNK(mode)
                                           else 'no regular file')

    def reader(self, name):
        def read(most):
            fd = os.open(os.path.join(self.path, name),
                         os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with os.fdopen(fd, 'rb') as file:
                return read_some(file, most)
        return read


class Zip:
    def __init__(self, path):
        self.path = path

    def entries(self):
        with open(self.path, 'rb') as file, zipfile.ZipFile(file) as archive:
            infos = archive.infolist()
            if len(infos) > MOST_ENTRIES:
                raise Refused(f'more than {MOST_ENTRIES} files')
            for info in infos:
                name = info.filename.encode('utf-8', 'surrogateescape')
                mode = info.external_attr >> 16
                if info.is_dir():
                    continue
                if mode and not stat.S_ISREG(mode) and stat.S_IFMT(mode):
                    yield name, None, ('a link' if stat.S_ISLNK(mode)
                                       else 'no regular file')
                elif info.flag_bits & 1:
                    yield name, None, 'encrypted'
                else:
                    yield name, info.file_size, self.reader(archive, info)

    @staticmethod
    def reader(archive, info):
        def read(most):
            with archive.open(info) as file:
                return read_some(file, most)
        return read


class Counted:
    """A file that refuses to give more than so much: for bombs."""

    def __init__(self, file, most):
        self.file, self.left = file, most

    def read(self, size=-1):
        data = self.file.read(min(size, 1 << 20) if size > 0 else 1 << 20)
        self.left -= len(data)
        if self.left < 0:
            raise Refused(f'unpacks to more than {MOST_UNPACKED >> 20} MiB')
        return data


class Tar:
    def __init__(self, path):
        self.path = path

    def entries(self):
        import gzip
        with open(self.path, 'rb') as raw:
            packed = raw.read(2) == b'\x1f\x8b'
            raw.seek(0)
            file = Counted(gzip.GzipFile(fileobj=raw) if packed else raw,
                           MOST_UNPACKED)
            seen = 0
            with tarfile.open(fileobj=file, mode='r|') as archive:
                for info in archive:
                    archive.members = []  # or it keeps them all
                    seen += 1
                    if seen > MOST_ENTRIES:
                        raise Refused(f'more than {MOST_ENTRIES} files')
                    name = info.name.encode('utf-8', 'surrogateescape')
                    if info.isreg():
                        yield name, info.size, self.reader(archive, info)
                    elif not info.isdir():
                        yield name, None, ('a link' if info.issym()
                                           or info.islnk()
                                           else 'no regular file')

    @staticmethod
    def reader(archive, info):
        def read(most):
            return read_some(archive.extractfile(info), most)
        return read


def odd(name):
    parts = name.split(b'/')
    if name.startswith(b'/') or b'..' in parts or b'\0' in name:
        return 'a name that leads elsewhere'
    return ''


def files_of(lesson):
    """What students write of a lesson: the files that there is a stub of."""
    return sorted(os.listdir(f'{ROOT}/tests/{lesson}/stub'))


def rank(name, lesson, file):
    """How well a name says that this is that file of the lesson; None: it is
    not."""
    parts = name.split(b'/')
    if parts[-1] != file.encode():
        return None
    if b'solutions' in parts or b'tests' in parts or b'build' in parts:
        return None
    layout = parts[-3:-1] == [b'lessons', lesson.encode()]
    return (not layout, len(parts), name)


def judged(data):
    """What is wrong, and what is odd, about a source."""
    if not data.strip():
        raise Refused('it is empty')
    if data[:2] in (b'\xff\xfe', b'\xfe\xff'):
        raise Refused('it is saved as UTF-16; save it as UTF-8')
    if b'\0' in data:
        raise Refused('it is no text: there is a zero byte in it')
    return ('it has CRLF line ends, which is fine' if b'\r\n' in data else '')


def take(source, lessons, target):
    """Reads one submission. Returns: what there is to say about it.

    target: where the files of LESSON are written to, into a folder LESSON."""
    record = {'files': {}, 'notes': [], 'ignored': [], 'hints': {}}
    best = {}
    ours = [(lesson, file) for lesson in lessons for file in files_of(lesson)]
    ignored = 0
    for name, size, read in source.entries():
        strange = odd(name)
        wanted = {own: rank(name, *own) for own in ours}
        wanted = {own: r for own, r in wanted.items() if r is not None}
        if strange or size is None or not wanted:
            hint = re.fullmatch(rb'(?:.*/)?build/report/([\w-]+)/hint', name)
            if hint and size is not None and size < 64 and not strange:
                said = re.fullmatch(rb'(\d+[a-c]?\.\d+) ([123])\s*', read(64))
                if said and hint[1].decode() in lessons:
                    record['hints'][hint[1].decode()] = (
                        f'{said[1].decode()}/{said[2].decode()}')
            ignored += 1
            if len(record['ignored']) < 20:
                why = strange or (read if size is None else '')
                record['ignored'].append(
                    shown(name) + (f' ({why})' if why else ''))
            continue
        for own, rank_of in wanted.items():
            if own in best and best[own][0] <= rank_of:
                record['notes'].append(
                    f'{own[0]}: {shown(name)} is a second file of that name; '
                    f'not taken')
                continue
            if own in best:
                record['notes'].append(
                    f'{own[0]}: {shown(best[own][0][2])} is a second file '
                    'of that name; not taken')
            try:
                if size > LARGEST_FILE:
                    raise Refused(f'too large ({size >> 20} MiB; at most '
                                  f'{LARGEST_FILE >> 20} MiB)')
                data = read(LARGEST_FILE)
                note = judged(data)
                best[own] = (rank_of, data, note)
            except Refused as why:
                best[own] = (rank_of, None, str(why))
            except (OSError, zipfile.BadZipFile, tarfile.TarError, EOFError,
                    NotImplementedError, ValueError) as why:
                best[own] = (rank_of, None, f'cannot be read: {why}')
    if ignored > 20:
        record['ignored'].append(f'and {ignored - 20} more')
    for lesson in lessons:
        found = {file: best[lesson, file][1:] for file in files_of(lesson)
                 if (lesson, file) in best}
        if found:
            record['files'][lesson] = settle(lesson, found,
                                             os.path.join(target, lesson))
    if not best:
        record['notes'].append(NOTHING)
    return record


def settle(lesson, found, target):
    """Puts the files of a lesson where they are graded. For one of several that
    is not there, or cannot be taken, its stub stands in.

    found: file -> (its bytes or None, what there is to say about it).
    Returns: what the record says of the lesson."""
    files = files_of(lesson)
    several = len(files) > 1
    taken = any(data is not None for data, _ in found.values())
    notes = [f'{file}: {note}' if several else note
             for file, (_, note) in found.items() if note]
    for file in files if taken else ():
        data = found.get(file, (None,))[0]
        if data is None:
            notes.append(f'without {file}, for which its stub stands in')
            with open(f'{ROOT}/tests/{lesson}/stub/{file}', 'rb') as stub:
                data = stub.read()
        put(os.path.join(target, file), data)
    return {'note': '; '.join(notes), 'taken': taken}


def put(path, data):
    """Writes a file, unless it says the same already: make goes by that."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    try:
        with open(path, 'rb') as file:
            if file.read() == data:
                return
    except OSError:
        pass
    with open(path + '.new', 'wb') as file:
        file.write(data)
    os.replace(path + '.new', path)


def source_of(path, name):
    mode = os.lstat(path).st_mode
    if stat.S_ISDIR(mode):
        return Folder(path)
    if not stat.S_ISREG(mode):
        raise Refused('no folder and no archive, but a link or a device')
    if not name.lower().endswith(ARCHIVES):
        raise Refused('it is neither a folder nor an archive (.zip, .tar.gz)')
    if os.path.getsize(path) > LARGEST_ARCHIVE:
        raise Refused(f'the archive has more than {LARGEST_ARCHIVE >> 20} MiB')
    return Zip(path) if name.lower().endswith(b'.zip') else Tar(path)


def take_apart(path, name, lessons, target):
    """take(), in a process that may use so much time and memory only."""
    os.makedirs(target, exist_ok=True)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
        resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
        record = {'files': {}, 'notes': [], 'ignored': [], 'hints': {}}
        try:
            record = take(source_of(path, name), lessons, target)
        except Refused as why:
            record['notes'].append(f'cannot be taken: {why}')
        except MemoryError:
            record['notes'].append('cannot be taken: it needs too much memory')
        except Exception as why:  # whatever is wrong with it, the class goes on
            record['notes'].append(
                f'cannot be read: {type(why).__name__}: {shown(str(why))}')
        with os.fdopen(writer, 'w') as out:
            json.dump(record, out)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as told:
        text = told.read()
    os.waitpid(child, 0)
    try:
        return json.loads(text)
    except ValueError:
        return {'files': {}, 'ignored': [], 'hints': {},
                'notes': ['cannot be taken: it takes too long to read']}


def students(directory, only=''):
    """Returns: student's name -> [(path, name of the entry)]."""
    found = {}
    for entry in sorted(os.listdir(os.fsencode(directory))):
        path = os.path.join(os.fsencode(directory), entry)
        name = entry
        if not os.path.isdir(path) or os.path.islink(path):
            for suffix in ARCHIVES:
                if entry.lower().endswith(suffix):
                    name = entry[:-len(suffix)]
                    break
        if entry.startswith(b'.') or only and entry != os.fsencode(only):
            continue
        found.setdefault(name or entry, []).append((path, entry))
    return found


def intake(directory, lessons, room, only=''):
    """Fills room/work and room/students; forgets who is not there any more."""
    os.makedirs(f'{room}/students', exist_ok=True)
    os.makedirs(f'{room}/work', exist_ok=True)
    kept = set()
    for name, entries in students(directory, only).items():
        who = identity(name)
        kept.add(who)
        # Of two submissions the one that was changed last is the student's.
        entries.sort(key=lambda e: (os.lstat(e[0]).st_mtime_ns, e[1]))
        path, entry = entries[-1]
        target = f'{room}/work/{who}'
        record = take_apart(path, entry, lessons, target)
        record['name'] = shown(name)
        record['id'] = who
        if len(entries) > 1:
            record['notes'].insert(
                0, 'two submissions: '
                + ', '.join(shown(e[1]) for e in entries)
                + f'; graded is {shown(entry)}, changed last')
        for lesson in os.listdir(target):
            taken = record['files'].get(lesson, {}).get('taken')
            if lesson in lessons and not taken:
                shutil.rmtree(f'{target}/{lesson}')
        put(f'{room}/students/{who}.json',
            json.dumps(record, sort_keys=True, indent=0).encode())
    for record in os.listdir(f'{room}/students'):
        if record[:-5] not in kept:
            os.unlink(f'{room}/students/{record}')
            for part in ('work', 'results'):
                shutil.rmtree(f'{room}/{part}/{record[:-5]}',
                              ignore_errors=True)
    return len(kept)
