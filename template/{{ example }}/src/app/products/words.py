"""Text search of product names, with an index that needs no extension of PostgreSQL."""

WORDS = r"""array_to_tsvector(array_remove(
    (regexp_split_to_array(lower(name), '\s+'::text)
     || regexp_split_to_array(lower(name), '[^[:alnum:]]+'::text))
    || regexp_split_to_array(lower(name), '[[:alnum:][:space:]]+'::text), ''::text))"""
"""The indexed tokens of a name: words with punctuation, words without punctuation, and the punctuation.

Not `to_tsvector`: its parser drops punctuation, and parses `/` and `@` as parts of paths and addresses.
"""


def prefix_query(text: str) -> str:
    """Return a `tsquery` for names in which each word of `text` is the prefix of a word. All operators are escaped."""
    words = (word.replace("\\", "\\\\").replace("'", "''") for word in text.split())
    return " & ".join(f"'{word}':*" for word in words)
