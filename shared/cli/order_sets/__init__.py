"""Orders to publish, from several places, all in the words of the storefront's contract.

Each source yields the `data` of `order_placed` events (or, from a file, whole events), in order and one at a time: a set may be
larger than memory likes. None of the sets says who bought; `buyers` invents them.
"""
