#!/usr/bin/env python3
"""screen.py TEXT COMMAND...: what COMMAND shows in a terminal of 80 columns,
as a picture (SVG), to stdout. Ends with 1 if it does not show TEXT."""
import fcntl
import html
import os
import pty
import re
import struct
import subprocess
import sys
import termios

ROWS, COLUMNS = 34, 80
LINE, LETTER = 19, 8.43
# The colours of page.awk: red, green, grey.
COLOURS = {'31': '#ff8a80', '32': '#8fd694', '90': '#a0a4ab'}


def become_session():
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def shown(command):
    """The bytes that the command writes to a terminal of its own."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack('4H', ROWS, COLUMNS, 0, 0))
    environment = {k: v for k, v in os.environ.items()
                   if k not in ('NO_COLOR', 'MAKEFLAGS', 'MAKELEVEL', 'MFLAGS')}
    with subprocess.Popen(command, stdin=its, stdout=its, stderr=its,
                          env=environment, preexec_fn=become_session):
        os.close(its)
        text = b''
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # how a terminal ends on Linux
                part = b''
            if not part:
                return text.decode().replace('\r', '')
            text += part


def painted(line):
    """One line as SVG, each colour in a span of its own."""
    parts = re.split(r'\x1b\[([0-9;]*)m', line)
    spans = [html.escape(parts[0], quote=False)]
    for code, text in zip(parts[1::2], parts[2::2]):
        text = html.escape(text, quote=False)
        colour = COLOURS.get(code)
        spans.append(f'<tspan fill="{colour}">{text}</tspan>'
                     if colour and text else text)
    return ''.join(spans)


def picture(lines):
    wide, high = int(COLUMNS * LETTER) + 40, len(lines) * LINE + 32
    yield (f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" '
           f'height="{high}" viewBox="0 0 {wide} {high}" font-size="14" '
           'font-family="ui-monospace,Menlo,Consolas,'
           "'DejaVu Sans Mono'" ',monospace" fill="#e4e4e0">')
    yield f'<rect width="{wide}" height="{high}" rx="6" fill="#1b1d22"/>'
    for number, line in enumerate(lines):
        yield (f'<text x="20" y="{number * LINE + 29}" xml:space="preserve">'
               f'{painted(line)}</text>')
    yield '</svg>'


def main():
    wanted, command = sys.argv[1], sys.argv[2:]
    text = shown(command)
    lines = [line for line in text.rstrip('\n').split('\n')
             if not line.startswith('make')]
    print('\n'.join(picture(lines)))
    if wanted not in text:
        sys.exit(f'{" ".join(command)} does not show "{wanted}"')


if __name__ == '__main__':
    main()
