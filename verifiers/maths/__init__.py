"""Read mathematical answers and say whether two of them are equal.

In: text of a reference and of an answer, plain or LaTeX, in any script. Out: a `Comparison`. Text is never run as code
and no symbolic algebra system sees it. The path, a file each:

    spelling    one spelling: Unicode, LaTeX's spacing and synonyms
    tokens      text to tokens
    terms       the expressions, and the typed values an answer may be
    grammar     tokens to an expression
    reader      text to one typed value, consuming all of it or nothing
    written     numbers in words, dates, times, repeating decimals
    units       units of measure and currencies
    arithmetic  evaluation: exact, modulo a prime, in balls of proven radius
    equality    equal expressions: the ladder from exact numbers to random points
    regions     sets of reals: intervals, unions, inequalities
    compare     equal values of every type
"""
