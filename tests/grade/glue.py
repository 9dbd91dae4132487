#!/usr/bin/python3
"""glue.py client|worker [--threads] HEADER...: writes the glue for a lesson to stdout.

From the header of a lesson it makes either the client, which the tests link in
place of the lesson and which forwards each call, or the worker's dispatcher,
which runs it (client.h and worker.h have the pieces; --threads: the tests call
from several threads). The first header is the
lesson's; the others tell of types that it uses. What a header may pass:

    scalars, enums, bool      by value, or as out-parameters (T *)
    float, double             the same, bit for bit
    bytes, const char *       in; lent as a result or through `bytes *`
    typedef struct T T;       handles: T *, and T ** as an out-parameter
    void *                    pointers that are handed on and never followed
    typedef struct {...} T;   of all of these: by value, in by `const T *`, or
                              out by `T *`
    const T *, size_t n       arrays of scalars, bytes and structs, in
    T *results, T *values     arrays of n or count, out
    functions                 with parameters as above, in both directions
    void *buffer, size_t size out, a buffer of the caller's
"""
import re
import sys

SCALARS = set('''char short int long unsigned size_t ssize_t bool
    int8_t int16_t int32_t int64_t uint8_t uint16_t uint32_t uint64_t
    uintptr_t intptr_t'''.split())
REALS = {'float', 'double'}
SLOTS = 32  # functions of one type that the tests may pass,
REVERSE_SLOTS = 8  # and the code under test
REVERSE = 500  # its functions are numbered from here

# How long an array is where the parameters do not say: as long as the callee
# was told by the function before. The tests know that themselves; a length
# that only the other side knows would let it write beyond their arrays.
TOLD = 'told_count'
LENGTHS = {('db_sink_row', 'values'): TOLD}
# What of a struct means something only if.
MEANT_IF = {('db_value', 'data'): '{0}.type == DB_TEXT || {0}.type == DB_BLOB'}


class Header:
    """The declarations of some headers."""

    def __init__(self):
        self.scalars = set(SCALARS)
        self.handles = set()
        self.structs = {'bytes': None}
        self.functions = {}  # function types: name -> (result, parameters)
        self.calls = []
        self.callbacks = []  # (name, result, parameters) as used
        self.passed = set()  # those among them that the tests pass,
        self.reversed = set()  # and those that the code under test does

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
            if m[2] != 'bytes':
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
        elif m := re.fullmatch(r'typedef (.*?)(\w+) ?\((.*)\)', part):
            self.functions[m[2]] = (m[1].strip(), parameters(m[3]))
        elif m := re.fullmatch(r'(?:extern )?(.*?)(\w+) ?\((.*)\)', part):
            if own:
                self.calls.append((m[2], m[1].strip(), parameters(m[3])))
        else:
            sys.exit('glue.py: what is this? ' + part)

    def callback(self, of, owner, name):
        """The number of a function type, as used by `owner`."""
        if isinstance(of, tuple):
            known, result, params = f'{owner}_{name}', *of
        else:
            known = bare(of)[0]
            result, params = self.functions[known]
        for i, (other, _, other_params) in enumerate(self.callbacks):
            if (other, other_params) == (known, params):
                return i
        self.callbacks.append((known, result, params))
        return len(self.callbacks) - 1

    def number_callbacks(self):
        """The same numbers on both sides, and who passes which."""
        for name, result, params in self.calls:
            self.number(params, name, out=False)
            self.number([(result, 'came')], name, out=True)
        for n, (name, _, params) in enumerate(self.callbacks):  # may grow
            if n in self.passed:
                self.number(params, name, out=True)

    def number(self, params, owner, out):
        for of, name in params:
            base, stars = ('', 0) if isinstance(of, tuple) else bare(of)
            if isinstance(of, tuple) or base in self.functions:
                n = self.callback(of, owner, name)
                (self.reversed if out else self.passed).add(n)
            elif self.structs.get(base):
                self.number(self.structs[base], base,
                            out or (stars == 1 and 'const' not in of))

    def has_functions(self, struct):
        return any(isinstance(of, tuple) or bare(of)[0] in self.functions
                   for of, _ in self.structs[struct])


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
    if m := re.fullmatch(r'char (\w+)\[\w+\]', text):
        return ('char[]', m[1])
    if m := re.fullmatch(r'(.*[ *])(\w+)', text):
        base = m[1].strip()
        if m[2] not in SCALARS | REALS and base not in ('const', 'struct'):
            return (tidy(base), m[2])
    return (tidy(text), f'p{i}')


def tidy(kind):
    return re.sub(r'\s*\*', ' *', kind).replace('* *', '**').strip()


def fields(group):
    """The fields that one declaration makes: uint64_t a, b."""
    parts = [part.strip() for part in split(group.strip())]
    of = re.sub(r'[ *]*\w+$', ' ', parts[0])
    return [parameter(parts[0])] + [parameter(of + part)
                                    for part in parts[1:]]


def bare(kind):
    """A type without const, and how many stars it has."""
    words = kind.replace('*', ' * ').split()
    stars = words.count('*')
    return ' '.join(w for w in words if w not in ('const', '*')), stars


def declared(of, name):
    if isinstance(of, tuple):
        result, params = of
        return f'{result} (*{name})({listed(params)})'
    return of + ('' if of.endswith('*') else ' ') + name


def pointer_to(of):
    """The type of a pointer to a function."""
    return declared(of, '') if isinstance(of, tuple) else of


def listed(params):
    return ', '.join(declared(t, n) for t, n in params) or 'void'


class Maker:
    """Writes one side. A value is put on the wire or got from it, on one of
    three ways, each there and back:

        call      the tests call the code
        callback  the code calls the tests
        reverse   the tests call a function that the code has given them
    """
    side = wired = ''

    def __init__(self, header):
        self.h = header
        self.owner = ''  # the function that is being written

    def do(self, verb, *arguments):
        """A call of what client.h or worker.h has."""
        wired = [self.wired] if self.wired else []
        return f'{self.side}_{verb}({", ".join(wired + list(arguments))})'

    def kind(self, of, name='', params=(), at=None):
        if isinstance(of, tuple):
            return 'function'
        base, stars = bare(of)
        if of == 'char[]':
            return 'chars'
        if base in self.h.functions:
            return 'function'
        if base == 'void':
            after = params[at + 1:] if at is not None else ()
            is_buffer = name == 'buffer' and after and after[0][1] == 'size'
            return ('buffer' if is_buffer else
                    {1: 'pointer', 2: 'pointer_at'}[stars])
        if base == 'char' and stars == 1:
            return 'text'
        if base in self.h.handles:
            return {1: 'handle', 2: 'handle_at'}[stars]
        kind = ('bytes' if base == 'bytes' else
                'struct' if base in self.h.structs else
                'real' if base in REALS else
                'scalar' if all(w in self.h.scalars for w in base.split())
                else None)
        if stars > 1 or not kind:
            sys.exit(f'glue.py: {of} {name} cannot cross a process boundary')
        if stars == 1 and at is not None and self.length(of, name, params, at):
            return 'array' if 'const' in of else 'array_at'
        if stars == 1 and kind == 'struct' and 'const' not in of:
            return 'struct_out'
        return kind + ('_at' if stars == 1 else '')

    def length(self, of, name, params, at):
        """How many `name` points to, if that is an array."""
        counts = [(i, n) for i, (t, n) in enumerate(params)
                  if t == 'size_t' and n in ('n', 'count')]
        for i, n in counts:
            if 'const' in of and i > at or name in ('results', 'values'):
                return n
        return LENGTHS.get((self.owner, name))

    def fields(self, of, value, what):
        """What is done with each field of a struct, as statements."""
        base = bare(of)[0]
        out = []
        for t, n in self.h.structs[base]:
            done = what(t, n, f'{value}.{n}', base)
            if condition := MEANT_IF.get((base, n)):
                done = f'if ({condition.format(value)}) {{ {done} }}'
            out.append(done)
        return ' '.join(out)

    def each(self, length, done):
        return f'for (size_t i_ = 0; i_ < {length}; i_++) {{ {done} }}'

    def number_of(self, of, owner, name):
        return self.h.callback(of, owner, name)


class Client(Maker):
    side, wired = 'client', 'wired'

    def put(self, of, name, value, owner, way):
        """Puts one value: an argument of a call, a result of a callback."""
        kind = self.kind(of, name)
        if kind == 'function':
            n = self.number_of(of, owner, name)
            return self.do('put_function', f'(void (*)(void)){value}',
                           str(n)) + ';'
        if kind == 'scalar':
            return self.do('put', f'(uint64_t){value}') + ';'
        if kind == 'chars':
            return self.do('put_run', value, f'sizeof {value}') + ';'
        if kind == 'struct':
            return self.fields(of, value, lambda t, n, v, o:
                               self.put(t, n, v, o, way))
        if way == 'reverse':
            kind = {'pointer': 'handle', 'bytes': 'bytes_once',
                    'text': 'text_once'}.get(kind, kind)
        return self.do(f'put_{kind}', value) + ';'

    def get(self, of, name, target, owner, way, foreign=False):
        """Gets one value: a result of a call, an argument of a callback."""
        kind = self.kind(of, name)
        if kind == 'function':
            n = self.number_of(of, owner, name)
            passed = self.do('get_function', str(n), f'reverse_{n}')
            return f'{target} = ({pointer_to(of)}){passed};'
        if kind == 'scalar':
            return f'{target} = ({of}){self.do("get")};'
        if kind == 'chars':
            return self.do('get_run', target, f'sizeof {target}') + ';'
        if kind == 'struct':
            foreign = self.h.has_functions(bare(of)[0])
            return self.fields(of, target, lambda t, n, v, o:
                               self.get(t, n, v, o, way, foreign))
        verb = {'bytes': 'lent', 'text': 'text',
                'pointer': 'foreign' if foreign else 'pointer'}.get(kind, kind)
        if way == 'callback':
            verb = {'bytes': 'bytes', 'text': 'text_once'}.get(kind, verb)
        return f'{target} = {self.do("get_" + verb)};'

    def put_at(self, of, p, params, at, way):
        """The same for what a parameter points to."""
        kind = self.kind(of, p, params, at)
        base = '' if isinstance(of, tuple) else bare(of)[0]
        there = self.do('put', f'{p} != NULL') + ';'
        if kind in ('scalar_at', 'real_at'):
            put = self.put(base, p, f'({p} ? *{p} : 0)', '', way)
            return f'{there} {put}'
        if kind == 'struct_at':
            put = self.put(base, p, f'(*{p})', '', way)
            return f'{there} if ({p}) {{ {put} }}'
        if kind == 'struct_out':
            return f'{there} if ({p}) {{ {self.put_before(base, f"(*{p})")} }}'
        if kind in ('array', 'array_at'):
            n = self.length(of, p, params, at)
            put = (self.put_before(base, f'{p}[i_]') if kind == 'array_at'
                   else self.put(base, p, f'{p}[i_]', '', way))
            many = self.do('put', f'{p} ? {n} : 0') + ';'
            return (f'{there} {{ size_t n_ = {p} ? {n} : 0; '
                    f'{many.replace(f"{p} ? {n} : 0", "n_")} '
                    f'{self.each("n_", put)} }}')
        if kind == 'buffer':
            return self.do('put_buffer', p, 'size') + ';'
        if kind in ('handle_at', 'pointer_at'):
            return self.do(f'put_{kind}', f'(void *const *){p}') + ';'
        if kind == 'bytes_at':
            return self.do('put_bytes_at', p) + ';'
        return self.put(of, p, p, self.owner, way)

    def put_before(self, of, value):
        """What is in a place before a call that may write to it."""
        kind = self.kind(of)
        if kind == 'struct':
            return self.fields_before(of, value)
        return self.put(of, '', value, '', 'call')

    def fields_before(self, of, value):
        out = []
        for t, n in self.h.structs[bare(of)[0]]:
            kind = self.kind(t, n)
            if kind in ('scalar', 'real', 'chars', 'struct'):
                out.append(self.put_before(t, f'{value}.{n}')
                           if kind == 'struct' else
                           self.put(t, n, f'{value}.{n}', '', 'call'))
        return ' '.join(out)

    def get_written(self, of, name, target, owner, foreign=False):
        """What is there after the call; pointers only if it has written."""
        kind = self.kind(of, name)
        if kind in ('scalar', 'real', 'chars'):
            return self.get(of, name, target, owner, 'call')
        if kind == 'struct':
            foreign = self.h.has_functions(bare(of)[0])
            return self.fields(of, target, lambda t, n, v, o:
                               self.get_written(t, n, v, o, foreign))
        got = self.get(of, name, target, owner, 'call', foreign)
        return f'if ({self.do("get")}) {{ {got} }}'

    def get_at(self, of, p, params, at):
        kind = self.kind(of, p, params, at)
        base = '' if isinstance(of, tuple) else bare(of)[0]
        if kind in ('scalar_at', 'real_at'):
            got = self.get(base, p, 'got', '', 'call')
            return (f'{{ {base} got; {got} if ({p}) {{ *{p} = got; }} }}')
        if kind == 'struct_out':
            return f'if ({p}) {{ {self.get_written(base, p, f"(*{p})", "")} }}'
        if kind == 'array_at':
            got = self.get_written(base, p, f'{p}[i_]', '')
            n = self.length(of, p, params, at)
            return f'if ({p}) {{ {self.each(n, got)} }}'
        if kind in ('handle_at', 'pointer_at'):
            return self.do(f'get_{kind}', f'(void **){p}') + ';'
        if kind == 'bytes_at':
            return self.do('get_bytes_at', p) + ';'
        if kind == 'buffer':
            return self.do('get_buffer', p, 'size') + ';'
        return ''

    def body(self, begin, result, params, way):
        """From the arguments to the result."""
        out = [f'    client_call call_ = {begin};',
               '    client_call *wired = &call_;']
        out += ['    ' + self.put_at(of, p, params, at, way)
                for at, (of, p) in enumerate(params)]
        out.append('    client_run(wired);')
        if result != 'void':
            out += [f'    {declared(result, "came")};',
                    '    ' + self.get(result, 'came', 'came', self.owner,
                                      'call')]
        got = [self.get_at(of, p, params, at)
               for at, (of, p) in enumerate(params)]
        out += ['    ' + g for g in got if g]
        out.append('    client_end(wired);')
        if result != 'void':
            out.append('    return came;')
        return '\n'.join(out) + '\n}\n'

    def function(self, number, name, result, params):
        self.owner = name
        return (f'{declared(result, name)}({listed(params)}) {{\n' +
                self.body(f'client_begin({number})', result, params, 'call'))

    def reverse(self, number, name, result, params):
        """Functions that stand for those that the code gives to the tests."""
        self.owner = name
        head = ', '.join(['size_t slot_']
                         + [declared(t, n) for t, n in params])
        out = [f'static {declared(result, f"run_{number}")}({head}) {{\n']
        if any(n == 'count' for _, n in params):
            out.append(f'    {TOLD} = count;\n')
        out.append(self.body(f'client_begin_reverse({number}, slot_)', result,
                             params, 'reverse'))
        returns = '' if result == 'void' else 'return '
        for slot in range(REVERSE_SLOTS):
            call = ', '.join([str(slot)] + [n for _, n in params])
            out.append(f'static {declared(result, f"on_{number}_{slot}")}'
                       f'({listed(params)}) {{ {returns}run_{number}({call});'
                       ' }\n')
        rows = ', '.join(f'(void (*)(void))on_{number}_{slot}'
                         for slot in range(REVERSE_SLOTS))
        out.append(f'static void (*const reverse_{number}[])(void) = '
                   f'{{{rows}}};\n')
        return ''.join(out)

    def served(self, number, name, result, params):
        """One case of client_serve."""
        self.owner = name
        out = [f'    case {number}: {{']
        arguments, results = [], []
        for at, (of, p) in enumerate(params):
            kind = self.kind(of, p, params, at)
            base = '' if isinstance(of, tuple) else bare(of)[0]
            argument = p
            if kind == 'bytes_at':
                out.append(f'        bytes {p}_room = {{&unwritten, 0}};')
                results.append(self.do('put_answer', f'{p}_room',
                                       f'{p}_room.data != &unwritten') + ';')
                argument = f'&{p}_room'
            elif kind == 'pointer_at':
                out.append(f'        void *{p}_room = &unwritten;')
                results.append(
                    f'client_put(wired, {p}_room != &unwritten); '
                    f'client_put_pointer(wired, {p}_room != &unwritten '
                    f'? {p}_room : NULL);')
                argument = f'&{p}_room'
            elif kind in ('scalar_at', 'real_at', 'struct_at'):
                got = self.get(base, p, f'{p}_room', '', 'callback')
                out.append(f'        {base} {p}_room = {{0}};\n'
                           f'        bool {p}_there = client_get(wired);\n'
                           f'        if ({p}_there) {{ {got} }}')
                if kind != 'struct_at':
                    results.append(self.put(base, p, f'{p}_room', '', 'call'))
                argument = f'{p}_there ? &{p}_room : NULL'
            elif kind == 'array':
                got = self.get(base, p, f'{p}_room[i_]', '', 'callback')
                out.append(f'        size_t {p}_n;\n'
                           f'        {base} *{p}_room = client_get_room(wired,'
                           f' sizeof *{p}_room, &{p}_n);\n        '
                           + self.each(f'{p}_n', got))
                argument = f'{p}_room'
            else:
                got = self.get(of, p, p, name, 'callback')
                out.append(f'        {declared(of, p)};\n        {got}')
            if p in ('n', 'count') and of == 'size_t':
                arrays = [q for i, (t, q) in enumerate(params)
                          if self.kind(t, q, params, i) == 'array']
                out += [f'        if ({q}_room && {q}_n != {p}) '
                        '{ return false; }' for q in arrays]
            arguments.append(argument)
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
            out.append('        ' + self.put(result, 'came', 'came', name,
                                             'call'))
        out += ['        ' + r for r in results]
        return '\n'.join(out) + '\n        return true;\n    }\n'

    def source(self, path, threads):
        reverse = [self.reverse(n, *self.h.callbacks[n])
                   for n in sorted(self.h.reversed)]
        calls = [self.function(i, *call)
                 for i, call in enumerate(self.h.calls)]
        cases = [self.served(n, *self.h.callbacks[n])
                 for n in sorted(self.h.passed)]
        told = f'static _Thread_local size_t {TOLD};\n'
        return (f'#include "{path}"\n#include "grade/client.h"\n\n'
                f'const bool client_has_threads = {threads};\n'
                'static char unwritten;\n' +
                (told if any(TOLD in text for text in reverse) else '') +
                '\n' + '\n'.join(reverse + calls) +
                '\nbool client_serve(client_call *wired, uint32_t callback, '
                'void (*passed)(void)) {\n'
                '    (void)wired, (void)passed, (void)unwritten;\n'
                '    switch (callback) {\n' + ''.join(cases) +
                '    default: return false;\n    }\n}\n')


class Worker(Maker):
    side = 'worker'

    def get(self, of, name, target, owner, way):
        """Gets one value: an argument of a call, a result of a callback."""
        kind = self.kind(of, name)
        if kind == 'function':
            n = self.number_of(of, owner, name)
            return (f'{target} = ({pointer_to(of)})'
                    f'worker_get_function(callbacks_{n});')
        if kind == 'scalar':
            return f'{target} = ({of})worker_get();'
        if kind == 'chars':
            return f'worker_get_run({target}, sizeof {target});'
        if kind == 'struct':
            return self.fields(of, target, lambda t, n, v, o:
                               self.get(t, n, v, o, way))
        verb = {'pointer': 'handle'}.get(kind, kind)
        if way == 'reverse':
            verb = {'bytes': 'bytes_once', 'text': 'text_once'}.get(kind, verb)
        return f'{target} = worker_get_{verb}();'

    def put(self, of, value, way):
        """Puts one value: a result of a call, an argument of a callback."""
        kind = self.kind(of)
        if kind == 'function':
            return f'worker_put((uintptr_t){value});'
        if kind == 'scalar':
            return f'worker_put((uint64_t){value});'
        if kind == 'chars':
            return f'worker_put_run({value}, sizeof {value});'
        if kind == 'struct':
            return self.fields(of, value, lambda t, n, v, o:
                               self.put(t, v, way))
        verb = {'pointer': 'handle'}.get(kind, kind)
        if way == 'call':
            verb = {'bytes': 'lent', 'text': 'lent_text'}.get(kind, verb)
        return f'worker_put_{verb}({value});'

    def get_before(self, of, target):
        """What is in a place before a call that may write to it."""
        out = []
        for t, n in self.h.structs[bare(of)[0]]:
            kind = self.kind(t, n)
            place = f'{target}.{n}'
            if kind in ('scalar', 'real', 'chars'):
                out.append(self.get(t, n, place, '', 'call'))
            elif kind == 'struct':
                out.append(self.get_before(t, place))
            elif kind == 'bytes':
                out.append(f'{place}.data = &worker_unwritten;')
            elif kind == 'function':
                out.append(f'{place} = ({pointer_to(t)})'
                           'worker_unwritten_function;')
            else:
                out.append(f'{place} = (void *)&worker_unwritten;')
        return ' '.join(out)

    def put_written(self, of, name, value, _owner=''):
        kind = self.kind(of, name)
        if kind in ('scalar', 'real', 'chars'):
            return self.put(of, value, 'call')
        if kind == 'struct':
            return self.fields(of, value, lambda t, n, v, o:
                               self.put_written(t, n, v))
        written = (f'(void (*)(void)){value} != worker_unwritten_function'
                   if kind == 'function' else
                   f'(const char *){value}{".data" if kind == "bytes" else ""}'
                   ' != &worker_unwritten')
        return (f'{{ bool is_written = {written}; worker_put(is_written); '
                f'if (is_written) {{ {self.put(of, value, "call")} }} }}')

    def taken(self, of, p, params, at, way):
        """Takes a parameter. Returns: how, what is passed, what is put."""
        kind = self.kind(of, p, params, at)
        base = '' if isinstance(of, tuple) else bare(of)[0]
        there = f'bool {p}_there = worker_get() != 0;'
        passed = f'{p}_there ? &{p}_room : NULL'
        if kind == 'buffer':
            return (f'size_t {p}_size; void *{p} = '
                    f'worker_get_buffer(&{p}_size);', p,
                    f'worker_put_buffer({p}, {p}_size);')
        if kind in ('handle_at', 'pointer_at'):
            return (f'void *{p}_room; void **{p} = '
                    f'worker_get_pointer_at(&{p}_room);', f'(void *){p}',
                    f'worker_put_handle({p}_room);')
        if kind == 'bytes_at':
            return (f'bytes {p}_room; bytes *{p} = '
                    f'worker_get_bytes_at(&{p}_room);', p,
                    f'worker_put_bytes_at(&{p}_room);')
        if kind in ('scalar_at', 'real_at'):
            got = self.get(base, p, f'{p}_room', '', way)
            return (f'{there} {base} {p}_room; {got}', passed,
                    self.put(base, f'{p}_room', 'call'))
        if kind == 'struct_at':
            got = self.get(base, p, f'{p}_room', '', way)
            return (f'{there} {base} {p}_room = {{0}}; '
                    f'if ({p}_there) {{ {got} }}', passed, '')
        if kind == 'struct_out':
            return (f'{there} {base} {p}_room; memset(&{p}_room, 0, '
                    f'sizeof {p}_room); if ({p}_there) '
                    f'{{ {self.get_before(base, f"{p}_room")} }}', passed,
                    f'if ({p}_there) '
                    f'{{ {self.put_written(base, p, f"{p}_room")} }}')
        if kind in ('array', 'array_at'):
            is_struct = self.kind(base) == 'struct'
            got = (self.get_before(base, f'{p}[i_]')
                   if kind == 'array_at' and is_struct else
                   self.get(base, p, f'{p}[i_]', '', way))
            put = ('' if kind == 'array' else self.each(
                f'{p}_n', self.put_written(base, p, f'{p}[i_]')))
            return (f'size_t {p}_n; {base} *{p} = '
                    f'worker_get_room(sizeof *{p}, &{p}_n); '
                    + self.each(f'{p}_n', got), p, put)
        return (f'{declared(of, p)}; {self.get(of, p, p, self.owner, way)}',
                p, '')

    def case(self, number, called, result, params, way):
        """One case of worker_serve."""
        parts = [self.taken(of, p, params, at, way)
                 for at, (of, p) in enumerate(params)]
        out = [f'    case {number}: {{']
        if way == 'reverse':
            kinds = pointer_to((result, params))
            out.append(f'        {declared((result, params), "given")} = '
                       f'({kinds})(uintptr_t)worker_get();')
        out += ['        ' + taken for taken, _, _ in parts]
        call = f'{called}({", ".join(passed for _, passed, _ in parts)})'
        out.append('        worker_enter();')
        out.append(f'        {call};' if result == 'void' else
                   f'        {declared(result, "came")} = {call};')
        out.append('        worker_begin_results();')
        if result != 'void':
            out.append('        ' + self.put(result, 'came', 'call'))
        out += ['        ' + put for _, _, put in parts if put]
        return '\n'.join(out) + '\n        return true;\n    }\n'

    def served(self, number, name, result, params):
        self.owner = name
        return self.case(number, name, result, params, 'call')

    def reverse(self, number, name, result, params):
        self.owner = name
        return self.case(REVERSE + number, 'given', result, params, 'reverse')

    def body(self, number, name, result, params):
        """What each of the functions does that stand for a callback."""
        self.owner = name
        head = ', '.join(['size_t slot'] + [declared(t, n) for t, n in params])
        out = [f'static {declared(result, f"run_{number}")}({head}) {{',
               f'    worker_begin_callback({number}, slot);']
        results = []
        for at, (of, p) in enumerate(params):
            kind = self.kind(of, p, params, at)
            base = '' if isinstance(of, tuple) else bare(of)[0]
            if kind == 'bytes_at':
                results.append(f'worker_get_kept({p});')
            elif kind == 'pointer_at':
                results.append(f'if (worker_was_written()) {{ *{p} = '
                               'worker_get_handle(); } else { worker_get(); }')
            elif kind in ('scalar_at', 'real_at', 'struct_at'):
                put = self.put(base, f'(*{p})', 'callback')
                out.append(f'    worker_put({p} != NULL); '
                           f'if ({p}) {{ {put} }}')
                if kind != 'struct_at':
                    got = self.get(base, p, 'got', '', 'callback')
                    results.append(f'{{ {base} got; {got} '
                                   f'if ({p}) {{ *{p} = got; }} }}')
            elif kind == 'array':
                put = self.put(base, f'{p}[i_]', 'callback')
                n = self.length(of, p, params, at)
                out.append(f'    {{ size_t n_ = {p} ? {n} : 0; '
                           f'worker_put({p} != NULL); worker_put(n_); '
                           f'{self.each("n_", put)} }}')
            else:
                out.append('    ' + self.put(of, p, 'callback'))
        out.append(f'    worker_run_callback({number});')
        if result != 'void':
            got = self.get(result, 'came', 'came', name, 'callback')
            out.append(f'    {declared(result, "came")}; {got}')
        out += ['    ' + r for r in results]
        out += ['    return came;'] if result != 'void' else []
        return '\n'.join(out) + '\n}\n'

    def family(self, number, name, result, params):
        """As many functions as there are slots, and a table of them."""
        names = ', '.join(['slot'] + [n for _, n in params])
        returns = '' if result == 'void' else 'return '
        out = [self.body(number, name, result, params)]
        for slot in range(SLOTS):
            call = names.replace('slot', str(slot), 1)
            out.append(f'static {declared(result, f"on_{number}_{slot}")}'
                       f'({listed(params)}) {{ {returns}run_{number}({call});'
                       ' }\n')
        rows = ', '.join(f'(void (*)(void))on_{number}_{slot}'
                         for slot in range(SLOTS))
        out.append(f'static void (*const callbacks_{number}[])(void) = '
                   f'{{NULL, {rows}}};\n')
        return ''.join(out)

    def source(self, path, threads):
        families = [self.family(n, *self.h.callbacks[n])
                    for n in sorted(self.h.passed)]
        cases = [self.served(i, *call)
                 for i, call in enumerate(self.h.calls)]
        cases += [self.reverse(n, *self.h.callbacks[n])
                  for n in sorted(self.h.reversed)]
        return (f'#include "{path}"\n#include "grade/worker.h"\n\n'
                '#include <string.h>\n\n'
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
    header.number_callbacks()
    maker = Client(header) if side == 'client' else Worker(header)
    print(maker.source(own.split('/')[-1], 'true' if threads else 'false'),
          end='')


main()
