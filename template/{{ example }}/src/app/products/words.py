"""Finding products by the words of their names, over an index that every PostgreSQL can build."""

WORDS = r"""array_to_tsvector(array_remove(
    (regexp_split_to_array(lower(name), '\s+'::text)
     || regexp_split_to_array(lower(name), '[^[:alnum:]]+'::text))
    || regexp_split_to_array(lower(name), '[[:alnum:][:space:]]+'::text), ''::text))"""
"""What the index holds of a name: its words as written, the same without punctuation, and the punctuation itself.

Not `to_tsvector`, whose parser drops punctuation and takes `/` and `@` for parts of paths and addresses.
"""


def prefix_query(text: str) -> str:
    """The `tsquery` for names in which every word of `text` begins a word. Nothing in it is a wildcard or operator."""
    words = (word.replace("\\", "\\\\").replace("'", "''") for word in text.split())
    return " & ".join(f"'{word}':*" for word in words)
