"""Custody: the keys of personal parts, who may open them and what for, and the record of every opening.

A part of `shared/` that each service carries, over a keyring database of its own in a cluster of its own. Plaintext goes in and comes
out here and nowhere else; nothing of it is written down.
"""
