"""How often a semantic cache that words decide is hit, and how often it is wrong.

`bench/paraphrases.txt` has 60 questions; each line: the question, a natural paraphrase that has the
same answer, and two minimal edits that have another one. It was written by somebody who knew the
rules of the cache; no rule was chosen on it. A paraphrase is a hit where both have one key, with
the shipped lexicon. No embedding is asked: it can only refuse more. Goal: half of the paraphrases,
and none of the edits.
"""

from pathlib import Path

from bench.record import save
from foliotrace.lexicon import load_lexicon
from foliotrace.query.cache.semantic_key import CompiledSynonyms, canonical_question

COMMAND = "python -m bench.semantic_cache"
SET = Path(__file__).parent / "paraphrases.txt"


def main() -> None:
    groups = load_lexicon(None).synonyms
    synonyms = CompiledSynonyms(tuple(group.words for group in groups))

    def same(one: str, other: str) -> bool:
        return canonical_question(one, synonyms) == canonical_question(other, synonyms)

    lines = [line.split(" | ") for line in SET.read_text().splitlines()]
    hits = [paraphrase for question, paraphrase, *_ in lines if same(question, paraphrase)]
    edits = [(line[0], edit) for line in lines for edit in line[2:]]
    wrong = [edit for question, edit in edits if same(question, edit)]
    print(*hits, *wrong, sep="\n")
    figures = {
        "paraphrases": len(lines),
        "hits": len(hits),
        "hit_rate": round(len(hits) / len(lines), 3),
        "edits": len(edits),
        "wrong": len(wrong),
    }
    print(figures)
    save("semantic_cache", figures, command=COMMAND)


if __name__ == "__main__":
    main()
