"""The elements of an array of records as they were sent, byte for byte: what their dead letters hold."""

import re

_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[{]+|[\]}]+|,', re.DOTALL)
"""What can open, close or part something. A text is one token, so that what it holds can do neither."""

_BLANK = b" \t\r\n"


def elements_of(array: bytes) -> list[bytes]:
    r"""Cut the text of a JSON array where its elements end.

    Parameters
    ----------
    array
        One array of at least one element. It must have been parsed before: what is no JSON is cut anywhere.

    >>> elements_of(b'[{"a": [1, 2]}, "],", 1e400 ]')
    [b'{"a": [1, 2]}', b'"],"', b'1e400']
    """
    elements: list[bytes] = []
    depth = start = 0
    for token in _TOKEN.finditer(array):
        mark = token[0]
        if mark[0] in b"[{":
            if not depth:
                start = token.start() + 1
            depth += len(mark)
        elif mark[0] in b"]}":
            depth -= len(mark)
            if not depth:
                elements.append(array[start : token.end() - 1].strip(_BLANK))
        elif depth == 1 and mark == b",":
            elements.append(array[start : token.start()].strip(_BLANK))
            start = token.end()
    return elements
