#!/usr/bin/python3
"""glue.py client|worker [--threads] HEADER...: writes the glue for a lesson to stdout.

From the header of a lesson it makes either the client, which the tests link in
place of the lesson and which forwards each call, or the worker's dispatcher,
which runs it (client.h and worker.h have the pieces; --threads: the tests call
from several threads). The first header is the
lesson's; the others tell of types that it uses. What a header may pass:

    scalars, enums, bool      by value, or as out-parameters (T *)
    bytes, const char *       in; lent as a result or through `bytes *`
    typedef struct T T;       handles: T *, and T ** as an out-parameter
    void *                    pointers that are handed on and never followed
    typedef struct {...} T;   of all of these: by value, or in by `const T *`
    functions                 with parameters as above
    void *buffer, size_t size out, a buffer of the caller's
"""
import re
import sys

SCALARS = set('''char short int long unsigned size_t ssize_t bool double float
    int8_t int16_t int32_t int64_t uint8_t uint16_t uint32_t uint64_t
    uintptr_t intptr_t'''.split())


class Header:
    """The declarations of some headers."""

    def __init__(self):
        self.scalars = set(SCALARS)
        self.handles = set()
        self.structs = {'bytes': None}
        self.functions = {}  # function types: name -> (result, parameters)
        self.pointers = set()  # those among them whose name is a pointer
        self.calls = []
        self.callbacks = []  # (name, result, parameters) as used

    def read(self, path, own):
        text = open(path, encoding='utf-8').read()
        text = re.sub(r'/\*.*?\*/', ' ', text, flags=re.S)
        text = re.sub(r'//[^\n]*', ' ', text)
        text = re.sub(r'(?m)^[ \t]*#(?:[^\n]*\\\n)*[^\n]*$', '', text)
        text = re.sub(r'__attribute__\s*\(\([^;]*?\)\)', '', text)
        for part in declarations(text):
            self.declare(part, own)

    def declare(self, part, own):
        words = part.split()
        if words[0] == 'static' or part.startswith('_Static_assert'):
            return
        if m := re.fullmatch(r'typedef struct (\w+) (\w+)', part):
            self.handles.add(m[2])
        elif m := re.fullmatch(r'typedef struct \w* ?\{(.*)\} (\w+)', part):
            self.handles.discard(m[2])
            self.structs[m[2]] = [
                field for group in m[1].split(';') if group.strip()
                for field in fields(group)]
        elif m := re.fullmatch(r'(?:typedef )?enum \w* ?\{.*\} ?(\w*)', part):
            self.scalars.add(m[1])
        elif m := re.fullmatch(r'typedef (\w+) (\w+)', part):
            self.scalars.add(m[2])
        elif m := re.fullmatch(r'typedef (.*?)\( ?\* ?(\w+) ?\) ?\((.*)\)',
                               part):
            self.functions[m[2]] = (m[1].strip(), parameters(m[3]))
            self.pointers.add(m[2])
        elif m := re.fullmatch(r'typedef (.*?)(\w+) ?\((.*)\)', part):
            self.functions[m[2]] = (m[1].strip(), parameters(m[3]))
        elif m := re.fullmatch(r'(?:extern )?(.*?)(\w+) ?\((.*)\)', part):
            if own:
                self.calls.append((m[2], m[1].strip(), parameters(m[3])))
        else:
            sys.exit('glue.py: what is this? ' + part)

    def callback(self, of, result, params):
        """The number of a function type, as used by `of`."""
        name = of if of in self.functions else None
        if name and name in self.functions:
            result, params = self.functions[name]
        for i, (known, known_result, known_params) in enumerate(
                self.callbacks):
            if known == of and known_params == params:
                return i
        self.callbacks.append((of, result, params))
        return len(self.callbacks) - 1


def declarations(text):
    """Top-level declarations, white space made single blanks."""
    depth, start, at = 0, 0, 0
    parts = []
    while at < len(text):
        c = text[at]
        if c == '{':
            depth += 1
        elif c == '}':
            depth -= 1
            head = text[start:at].lstrip()
            if depth == 0 and head.startswith('static'):
                start = at + 1  # an inline function's body has ended
        elif c == ';' and depth == 0:
            parts.append(text[start:at])
            start = at + 1
        at += 1
    clean = (re.sub(r'\s+', ' ', part).strip() for part in parts)
    return [part for part in clean if part]


def split(text):
    """At commas outside of parentheses."""
    depth, part, parts = 0, '', []
    for c in text:
        depth += (c == '(') - (c == ')')
        if c == ',' and depth == 0:
            parts.append(part)
            part = ''
        else:
            part += c
    return parts + [part]


def parameters(text):
    text = text.strip()
    if text in ('', 'void'):
        return []
    return [parameter(part.strip(), i) for i, part in enumerate(split(text))]


def parameter(text, i=0):
    """(type, name); a function's type is (result, parameters)."""
    if m := re.fullmatch(r'(.*?)\( ?\* ?(?:const )?(\w*) ?\) ?\((.*)\)', text):
        return ((m[1].strip(), parameters(m[3])), m[2] or f'p{i}')
    if m := re.fullmatch(r'(.*[ *])(\w+)', text):
        base = m[1].strip()
        if m[2] not in SCALARS and base not in ('const', 'struct'):
            return (tidy(base), m[2])
    return (tidy(text), f'p{i}')


def tidy(kind):
    return re.sub(r'\s*\*', ' *', kind).replace('* *', '**').strip()


def fields(group):
    """The fields that one declaration makes: uint64_t a, b."""
    parts = split(group.strip())
    first = parameter(parts[0])
    more = [(first[0], part.strip()) for part in parts[1:]]
    return [first] + more


def bare(kind):
    """A type without const, and how many stars it has."""
    words = kind.replace('*', ' * ').split()
    stars = words.count('*')
    return ' '.join(w for w in words if w not in ('const', '*')), stars


class Maker:
    """Writes one side. `put` and `get` move one value across."""

    def __init__(self, header):
        self.h = header

    def kind(self, of, name, params=(), at=None):
        if isinstance(of, tuple):
            return 'function'
        base, stars = bare(of)
        after = params[at + 1][1] if at is not None and at + 1 < len(
            params) else ''
        if base in self.h.functions:
            return 'function'
        if base == 'void' and stars == 1:
            return ('buffer' if name == 'buffer' and after == 'size'
                    else 'pointer')
        if base == 'void' and stars == 2:
            return 'pointer_at'
        if base == 'char' and stars == 1:
            return 'text'
        if base == 'bytes':
            return ['bytes', 'bytes_at'][stars]
        if base in self.h.handles:
            return {1: 'handle', 2: 'handle_at'}[stars]
        if base in self.h.structs:
            return ['struct', 'struct_at'][stars]
        words = base.split()
        if all(w in self.h.scalars for w in words):
            return ['scalar', 'scalar_at'][stars]
        sys.exit(f'glue.py: {of} {name} cannot cross a process boundary')

    def callback_of(self, of, owner, name):
        if isinstance(of, tuple):
            return self.h.callback(f'{owner}_{name}', *of)
        return self.h.callback(bare(of)[0], None, None)


def declared(of, name):
    if isinstance(of, tuple):
        result, params = of
        return f'{result} (*{name})({listed(params)})'
    return of + ('' if of.endswith('*') else ' ') + name


def listed(params):
    return ', '.join(declared(t, n) for t, n in params) or 'void'


class Client(Maker):
    def put(self, of, name, value, owner, params=(), at=None):
        kind = self.kind(of, name, params, at)
        if kind == 'function':
            n = self.callback_of(of, owner, name)
            return (f'client_put_function(&wired, (void (*)(void)){value}, {n});')
        if kind == 'scalar':
            return f'client_put(&wired, (uint64_t){value});'
        if kind == 'scalar_at':
            return (f'client_put(&wired, {value} != NULL); '
                    f'client_put(&wired, {value} ? (uint64_t)*{value} : 0);')
        if kind == 'struct':
            base = bare(of)[0]
            return ' '.join(self.put(t, n, f'{value}.{n}', base)
                            for t, n in self.h.structs[base])
        if kind == 'struct_at':
            base = bare(of)[0]
            inner = ' '.join(self.put(t, n, f'{value}->{n}', base)
                             for t, n in self.h.structs[base])
            return (f'client_put(&wired, {value} != NULL); '
                    f'if ({value}) {{ {inner} }}')
        if kind == 'buffer':
            return f'client_put_buffer(&wired, {value}, size);'
        if kind in ('handle_at', 'pointer_at'):
            return (f'client_put_{kind}(&wired, (void *const *){value});')
        return f'client_put_{kind}(&wired, {value});'

    def get(self, of, name, owner=''):
        """An expression for a result."""
        kind = self.kind(of, name)
        if kind == 'scalar':
            return f'({of})client_get(&wired)'
        if kind == 'text':
            return 'client_get_text(&wired)'
        if kind == 'bytes':
            return 'client_get_lent(&wired)'
        if kind in ('handle', 'pointer'):
            return f'client_get_{kind}(&wired)'
        if kind == 'struct':
            inner = ', '.join(self.get(t, n)
                              for t, n in self.h.structs[bare(of)[0]])
            return f'({bare(of)[0]}){{{inner}}}'
        sys.exit(f'glue.py: {of} cannot be a result')

    def get_at(self, of, name, params, at):
        kind = self.kind(of, name, params, at)
        if kind == 'scalar_at':
            base = bare(of)[0]
            return (f'{{ {base} got = ({base})client_get(&wired); '
                    f'if ({name}) {{ *{name} = got; }} }}')
        if kind in ('handle_at', 'pointer_at'):
            return f'client_get_{kind}(&wired, (void **){name});'
        if kind == 'bytes_at':
            return f'client_get_bytes_at(&wired, {name});'
        if kind == 'buffer':
            return f'client_get_buffer(&wired, {name}, size);'
        return ''

    def function(self, number, name, result, params):
        out = [f'{result}{"" if result.endswith("*") else " "}{name}'
               f'({listed(params)}) {{',
               f'    client_call wired = client_begin({number});']
        for at, (of, p) in enumerate(params):
            out.append('    ' + self.put(of, p, p, name, params, at))
        out.append('    client_run(&wired);')
        if result != 'void':
            out.append(f'    {declared(result, "came")} = '
                       f'{self.get(result, "came")};')
        for at, (of, p) in enumerate(params):
            got = self.get_at(of, p, params, at)
            if got:
                out.append('    ' + got)
        out.append('    client_end(&wired);')
        if result != 'void':
            out.append('    return came;')
        return '\n'.join(out) + '\n}\n'

    def served(self, number, name, result, params):
        """One case of client_serve."""
        out = [f'    case {number}: {{']
        arguments, results = [], []
        for of, p in params:
            kind = self.kind(of, p)
            if kind == 'bytes':
                out.append(f'        bytes {p} = client_get_bytes(wired);')
            elif kind == 'bytes_at':
                out.append(f'        bytes {p} = {{&unwritten, 0}};')
                results.append(
                    f'client_put(wired, {p}.data != &unwritten); '
                    f'wire_put_run(wired->out, {p}.data, '
                    f'{p}.data != &unwritten ? {p}.len : 0);')
            elif kind == 'pointer_at':
                out.append(f'        void *{p} = &unwritten;')
                results.append(
                    f'client_put(wired, {p} != &unwritten); '
                    f'client_put_pointer(wired, {p} != &unwritten ? {p} : NULL);')
            else:
                got = self.get(of, p).replace('(&wired)', '(wired)')
                out.append(f'        {declared(of, p)} = {got};')
            arguments.append('&' + p if kind.endswith('_at') else p)
        out.append('        if (wired->in->bad) { return false; }')
        kinds = ', '.join(declared(t, '').strip() for t, _ in params)
        call = (f'(({result} (*)({kinds or "void"}))passed)'
                f'({", ".join(arguments)})')
        if result == 'void':
            out.append(f'        {call};')
        else:
            out.append(f'        {declared(result, "came")} = {call};')
        out.append('        client_begin_results();')
        if result != 'void':
            put = self.put(result, 'came', 'came', name)
            out.append('        ' + put.replace('(&wired', '(wired'))
        out += ['        ' + r for r in results]
        return '\n'.join(out) + '\n        return true;\n    }\n'

    def source(self, path, _threads):
        calls = [self.function(i, *call)
                 for i, call in enumerate(self.h.calls)]
        cases = [self.served(i, *callback)
                 for i, callback in enumerate(self.h.callbacks)]
        return (f'#include "{path}"\n#include "grade/client.h"\n\n'
                'static char unwritten;\n\n' + '\n'.join(calls) +
                '\nbool client_serve(client_call *wired, uint32_t callback, '
                'void (*passed)(void)) {\n'
                '    (void)wired, (void)passed, (void)unwritten;\n'
                '    switch (callback) {\n' + ''.join(cases) +
                '    default: return false;\n    }\n}\n')


class Worker(Maker):
    def get(self, of, name, owner):
        """An expression for an argument."""
        kind = self.kind(of, name)
        if kind == 'function':
            n = self.callback_of(of, owner, name)
            return f'callbacks_{n}[worker_get()]'
        if kind == 'scalar':
            return f'({of})worker_get()'
        if kind in ('handle', 'pointer'):
            return 'worker_get_handle()'
        if kind in ('text', 'bytes'):
            return f'worker_get_{kind}()'
        base = bare(of)[0]
        inner = ', '.join(f'.{n} = {self.get(t, n, base)}'
                          for t, n in self.h.structs[base])
        return f'({base}){{{inner}}}'

    def put(self, of, value):
        kind = self.kind(of, '')
        if kind == 'scalar':
            return f'worker_put((uint64_t){value});'
        if kind in ('handle', 'pointer'):
            return f'worker_put_handle({value});'
        if kind == 'text':
            return f'worker_put_lent_text({value});'
        if kind == 'bytes':
            return f'worker_put_lent({value});'
        return ' '.join(self.put(t, f'{value}.{n}')
                        for t, n in self.h.structs[bare(of)[0]])

    def served(self, number, name, result, params):
        out, arguments, results = [f'    case {number}: {{'], [], []
        for at, (of, p) in enumerate(params):
            kind = self.kind(of, p, params, at)
            base = '' if isinstance(of, tuple) else bare(of)[0]
            argument = p
            if kind == 'buffer':
                out.append(f'        size_t {p}_size;\n        void *{p} = '
                           f'worker_get_buffer(&{p}_size);')
                results.append(f'worker_put_buffer({p}, {p}_size);')
            elif kind in ('handle_at', 'pointer_at'):
                out.append(f'        void *{p}_room;\n        void **{p} = '
                           f'worker_get_pointer_at(&{p}_room);')
                results.append(f'worker_put_handle({p}_room);')
                argument = f'(void *){p}'
            elif kind == 'bytes_at':
                out.append(f'        bytes {p}_room;\n        bytes *{p} = '
                           f'worker_get_bytes_at(&{p}_room);')
                results.append(f'worker_put_bytes_at(&{p}_room);')
            elif kind == 'scalar_at':
                out.append(f'        bool {p}_there = worker_get() != 0;\n'
                           f'        {base} {p}_room = ({base})worker_get();')
                results.append(f'worker_put((uint64_t){p}_room);')
                argument = f'{p}_there ? &{p}_room : NULL'
            elif kind == 'struct_at':
                inner = self.get(base, p, name)
                out.append(f'        bool {p}_there = worker_get() != 0;\n'
                           f'        {base} {p}_room = {{0}};\n'
                           f'        if ({p}_there) {{\n'
                           f'            {p}_room = {inner};\n        }}')
                argument = f'{p}_there ? &{p}_room : NULL'
            else:
                got = self.get(of, p, name)
                out.append(f'        {declared(of, p)} = {got};')
            arguments.append(argument)
        call = f'{name}({", ".join(arguments)})'
        out.append(f'        {call};' if result == 'void' else
                   f'        {declared(result, "came")} = {call};')
        out.append('        worker_begin_results();')
        if result != 'void':
            out.append('        ' + self.put(result, 'came'))
        out += ['        ' + r for r in results]
        return '\n'.join(out) + '\n        return true;\n    }\n'

    def body(self, number, name, result, params):
        """What each of the functions does that stand for a callback."""
        head = ', '.join(['size_t slot'] + [declared(t, n) for t, n in params])
        out = [f'static {declared(result, f"run_{number}")}({head}) {{',
               f'    worker_begin_callback({number}, slot);']
        results = []
        for of, p in params:
            kind = self.kind(of, p)
            if kind == 'bytes':
                out.append(f'    worker_put_bytes({p});')
            elif kind == 'bytes_at':
                results.append(f'worker_get_kept({p});')
            elif kind == 'pointer_at':
                results.append(f'if (worker_was_written()) {{ *{p} = '
                               'worker_get_handle(); } else { worker_get(); }')
            else:
                out.append('    ' + self.put(of, p))
        out.append(f'    worker_run_callback({number});')
        if result != 'void':
            got = self.get(result, 'came', name)
            out.append(f'    {declared(result, "came")} = {got};')
        out += ['    ' + r for r in results]
        out += ['    return came;'] if result != 'void' else []
        return '\n'.join(out) + '\n}\n'

    def family(self, number, name, result, params):
        """As many functions as there are slots, and a table of them."""
        names = ', '.join(['slot'] + [n for _, n in params])
        kinds = ', '.join(declared(t, '').strip() for t, _ in params) or 'void'
        returns = '' if result == 'void' else 'return '
        out = [self.body(number, name, result, params)]
        for slot in range(32):
            call = names.replace('slot', str(slot), 1)
            out.append(f'static {declared(result, f"on_{number}_{slot}")}'
                       f'({listed(params)}) {{ {returns}run_{number}({call});'
                       ' }\n')
        rows = ', '.join(f'on_{number}_{slot}' for slot in range(32))
        out.append(f'static {declared(result, "")}(*const callbacks_{number}'
                   f'[])({kinds}) = {{NULL, {rows}}};\n')
        return ''.join(out)

    def source(self, path, threads):
        cases = [self.served(i, *call)
                 for i, call in enumerate(self.h.calls)]
        families = [self.family(i, *callback)
                    for i, callback in enumerate(self.h.callbacks)]
        return (f'#include "{path}"\n#include "grade/worker.h"\n\n'
                f'const bool worker_has_threads = {threads};\n\n' +
                '\n'.join(families) +
                '\nbool worker_serve(uint32_t wanted) {\n'
                '    switch (wanted) {\n' + ''.join(cases) +
                '    default: return false;\n    }\n}\n')


def main():
    threads = '--threads' in sys.argv
    side, own, *others = (a for a in sys.argv[1:] if a != '--threads')
    header = Header()
    for path in others:
        header.read(path, own=False)
    header.read(own, own=True)
    maker = Client(header) if side == 'client' else Worker(header)
    print(maker.source(own.split('/')[-1], 'true' if threads else 'false'),
          end='')


main()
