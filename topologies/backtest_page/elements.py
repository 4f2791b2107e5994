"""Elements of the page, with escaped texts. Names from records stay names."""

import html
from collections.abc import Sequence

from pipeline.plain_text import plain_text


def escape(value: object) -> str:
    """Return a value as text of an element or of a quoted attribute."""
    return html.escape(plain_text(str(value)))


def element(tag: str, *contents: str, **attributes: object) -> str:
    """Return an element. Contents are markup, and attributes are values that are escaped here.

    A trailing underscore in the name of an attribute is dropped, and other underscores are hyphens.

    >>> element("p", escape("1 < 2"), class_="note")
    '<p class="note">1 &lt; 2</p>'
    """
    named = "".join(
        f' {name.removesuffix("_").replace("_", "-")}="{escape(value)}"' for name, value in attributes.items()
    )
    return f"<{tag}{named}>{''.join(contents)}</{tag}>"


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]], **attributes: object) -> str:
    """Return a table. Cells are markup. On a narrow screen, each row becomes a block with the head as labels."""
    head_cells = "".join(element("th", escape(name), scope="col") for name in head)
    body = [
        element(
            "tr",
            *(
                element("td", cell and element("div", cell), data_label=name)
                for name, cell in zip(head, row, strict=True)
            ),
        )
        for row in rows
    ]
    return element("table", element("thead", element("tr", head_cells)), element("tbody", *body), **attributes)
