"""From sqlglot's syntax tree to ours."""

from __future__ import annotations

import difflib
from typing import Any

from sqlglot import exp

from tidegate.errors import MetadataError
from tidegate.expressions.calls import shaped
from tidegate.expressions.clauses import CLAUSES
from tidegate.expressions.data_type import describe_type, parse_data_type
from tidegate.expressions.errors import unavailable, unparsable
from tidegate.expressions.functions import AGGREGATES, BY_NAME, REFUSED, WINDOWS
from tidegate.expressions.nodes import Call, Cast, Node

_BINARY: dict[type[exp.Expr], str] = {
    exp.Add: "+",
    exp.Sub: "-",
    exp.Mul: "*",
    exp.Div: "/",
    exp.Mod: "mod",
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.NullSafeEQ: "is_same",
    exp.NullSafeNEQ: "is_other",
    exp.RegexpLike: "regexp_like",
}
_CHAINS: dict[type[exp.Expr], str] = {exp.And: "and", exp.Or: "or", exp.DPipe: "||"}
_MAX_DEPTH = 150
_INTEGER_DIVISION = "integer division differs between engines for fractions and negative numbers"

_IGNORED = {"typed", "safe", "coalesce", "quoted"}
"""Arguments of sqlglot nodes that say how a dialect computes, not what is written."""


class Translator:
    """Translates one expression; refuses what has no single meaning."""

    def __init__(self, text: str, dialect: str) -> None:
        self.text = text
        self.type_system = dialect

    def node(self, tree: Any) -> Node:
        """Return the node of a sqlglot tree."""
        if not isinstance(tree, exp.Expr):
            raise unparsable("expression lacks an operand", self.text)
        if tree.args.get("negate"):
            tree = tree.copy()
            tree.set("negate", value=False)
            return Call("not", (self.node(tree),))
        if (operator := _BINARY.get(type(tree))) is not None:
            self.only(tree, "this", "expression")
            operands = (self.node(tree.this), self.node(tree.expression))
            return self.function(operator, operands, None) if operator in BY_NAME else Call(operator, operands)
        if (operator := _CHAINS.get(type(tree))) is not None:
            return Call(operator, tuple(self.node(operand) for operand in _chained(tree)))
        if (clause := CLAUSES.get(type(tree))) is not None:
            return clause(self, tree)
        raise self.unsupported(tree)

    def only(self, tree: exp.Expr, *known: str) -> None:
        """Refuse a node with parts that this translation would drop."""
        extra = [key for key, value in tree.args.items() if value and key not in {*known, *_IGNORED}]
        if extra:
            raise unparsable(f"expression uses {extra[0]!r} of {_label(tree)}, which is not known", self.text)

    def unsupported(self, tree: exp.Expr) -> MetadataError:
        """Return the error for a construct that expressions do not have."""
        offset = tree.meta.get("start")
        if isinstance(tree, (exp.Window, exp.Filter, exp.WithinGroup)):
            message = f"expression sees one row: {_label(tree)} looks at many"
            return unparsable(message, self.text, offset=offset, hint="compute it in the source's query")
        if isinstance(tree, (exp.Query, exp.Subquery, exp.Exists)) or tree.args.get("query"):
            message = "expression holds a query, and a scalar expression cannot"
            return unparsable(message, self.text, offset=offset, hint="join in the source's query")
        if isinstance(tree, exp.IntDiv):
            return unavailable(_INTEGER_DIVISION, self.text, hint="write floor(a / b) or trunc(a / b)")
        if isinstance(tree, (exp.Pow, exp.BitwiseXor)):
            return unavailable(
                "'^' is a power in some dialects and a bit operation in others", self.text, hint="power()"
            )
        if isinstance(tree, exp.Alias):
            hint = "the column is named beside the expression, and string literals stand in single quotes"
            return unparsable(f"expression is followed by {tree.alias!r}", self.text, offset=offset, hint=hint)
        if isinstance(tree, (exp.Star, exp.Tuple)):
            return unparsable(f"expression is {_label(tree)}, not one value", self.text, offset=offset)
        return unavailable(f"{_label(tree)} is not available in expressions", self.text, offset=offset)

    def function(self, name: str, arguments: tuple[Node, ...], offset: int | None) -> Node:
        """Return the call of a function, by its canonical name."""
        lower = name.lower()
        if lower in AGGREGATES or lower in WINDOWS:
            message = f"expression sees one row: {lower}() computes over many"
            raise unparsable(message, self.text, offset=offset, hint="compute it in the source's query")
        known = BY_NAME.get(lower)
        if known is None:
            raise self.unknown(lower, offset)
        count = len(arguments)
        if count < known.least or (known.most is not None and count > known.most):
            wanted = str(known.least) if known.most == known.least else f"{known.least} to {known.most or 'any'}"
            message = f"function {lower} takes {wanted} arguments, not {count}"
            raise unavailable(message, self.text, offset=offset, hint=f"{known.name}: {known.meaning}")
        try:
            return shaped(known.name, arguments)
        except MetadataError as error:
            raise unavailable(error.message, self.text, offset=offset, hint=error.hint) from None

    def unknown(self, name: str, offset: int | None) -> MetadataError:
        """Return the TG109 of a function that is refused, or not known at all."""
        if name in REFUSED:
            return unavailable(f"function {name} {REFUSED[name]}", self.text, offset=offset)
        close = difflib.get_close_matches(name, list(BY_NAME), n=3, cutoff=0.6)
        hint = f"did you mean {' or '.join(close)}?" if close else "`tidegate explain TG109` lists the functions"
        return unavailable(f"function {name} is unknown", self.text, offset=offset, hint=hint)

    def data_type(self, tree: exp.Expr) -> str:
        """Return the described type of a CAST."""
        return describe_type(parse_data_type(tree.sql(dialect=self.type_system), type_system=self.type_system))


def checked_depth(root: Node) -> Node:
    """Return the node, if it is not nested deeper than every engine can follow.

    Raises:
        RecursionError: it is.
    """
    level = [root]
    for _ in range(_MAX_DEPTH):
        level = [
            child
            for node in level
            for child in (
                node.arguments if isinstance(node, Call) else (node.operand,) if isinstance(node, Cast) else ()
            )
        ]
        if not level:
            return root
    raise RecursionError


def _chained(tree: exp.Expr) -> list[Any]:
    """Return the operands of ``a and b and c``, which sqlglot nests to the left."""
    operands: list[Any] = []
    current: Any = tree
    while type(current) is type(tree):
        operands.append(current.expression)
        current = current.this
    return [current, *reversed(operands)]


def _label(tree: exp.Expr) -> str:
    return f"{tree.sql()[:60]!r}"
