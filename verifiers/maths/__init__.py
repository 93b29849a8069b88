"""Read mathematical answers and say whether two of them are equal.

In: text of a reference and of an answer, plain or LaTeX, in any script. Out: a `Comparison`. Text is never run as code,
and no algebra system sees it. The path, a file each:

    spelling    one spelling: Unicode, LaTeX's spacing and synonyms
    tokens      text to tokens
    terms       the records: expressions, and the typed values an answer may be
    grammar     tokens to an expression
    structure   brackets, items and sides among tokens
    labels      words that mean nothing to the value, and words that change it
    amounts     currencies, scales, units around a number
    written     numbers in words, dates, times, bases
    units       units of measure
    reader      text to one typed value, consuming all of it or nothing

    arithmetic  evaluation: exact, modulo a prime, in balls of proven radius
    equality    equal expressions: the ladder from exact numbers to random points
    regions     sets of reals: intervals, unions, inequalities
    settle      both signs of plus-minus, sequences, domains written out
    same        equal values of any type; the rules per type stand in
                quantities, relations, lists, matrices, forms
    compare     two texts
    options     letters of multiple choice and what they stand for
    symbolic    sums and integrals carried out with sympy, where that is wanted
"""
