"""English sentences and their French, from a small grammar or from the collection Tatoeba."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from course_utils.data._dataset import DataError

N_SAMPLE, N_SAMPLE_TEST = 4000, 400
TEST_SHARE = 0.05

# English noun, French noun, gender
_THINGS = [
    ("book", "livre", "m"), ("letter", "lettre", "f"), ("house", "maison", "f"), ("garden", "jardin", "m"),
    ("key", "clé", "f"), ("hat", "chapeau", "m"), ("chair", "chaise", "f"), ("table", "table", "f"),
    ("boat", "bateau", "m"), ("car", "voiture", "f"), ("apple", "pomme", "f"), ("glass", "verre", "m"),
    ("lamp", "lampe", "f"), ("picture", "tableau", "m"), ("door", "porte", "f"), ("knife", "couteau", "m"),
]  # fmt: skip
_PEOPLE = [
    ("teacher", "professeur", "m"), ("queen", "reine", "f"), ("baker", "boulanger", "m"), ("neighbour", "voisin", "m"),
    ("doctor", "médecin", "m"), ("singer", "chanteuse", "f"), ("sister", "sœur", "f"), ("brother", "frère", "m"),
    ("aunt", "tante", "f"), ("cat", "chat", "m"), ("dog", "chien", "m"), ("uncle", "oncle", "m"),
]  # fmt: skip
_PLURALS = {"tableau": "tableaux", "chapeau": "chapeaux", "bateau": "bateaux", "couteau": "couteaux"}
_ENGLISH_PLURALS = {"knife": "knives", "glass": "glasses"}
# English, masculine, feminine, stands before the noun
_QUALITIES = [
    ("green", "vert", "verte", False), ("black", "noir", "noire", False), ("white", "blanc", "blanche", False),
    ("blue", "bleu", "bleue", False), ("small", "petit", "petite", True), ("large", "grand", "grande", True),
    ("good", "bon", "bonne", True), ("heavy", "lourd", "lourde", False), ("broken", "cassé", "cassée", False),
    ("strange", "étrange", "étrange", False), ("new", "nouveau", "nouvelle", True),
]  # fmt: skip
_CHARACTERS = [
    ("small", "petit", "petite", True), ("young", "jeune", "jeune", True), ("good", "bon", "bonne", True),
    ("old", "vieux", "vieille", True), ("tired", "fatigué", "fatiguée", False), ("polite", "poli", "polie", False),
    ("strange", "étrange", "étrange", False), ("curious", "curieux", "curieuse", False),
]  # fmt: skip
# English infinitive and third person; French with je, il, nous, ils
_VERBS = [
    ("see", "sees", "vois", "voit", "voyons", "voient"),
    ("take", "takes", "prends", "prend", "prenons", "prennent"),
    ("look for", "looks for", "cherche", "cherche", "cherchons", "cherchent"),
    ("find", "finds", "trouve", "trouve", "trouvons", "trouvent"),
    ("sell", "sells", "vends", "vend", "vendons", "vendent"),
    ("paint", "paints", "peins", "peint", "peignons", "peignent"),
    ("carry", "carries", "porte", "porte", "portons", "portent"),
    ("want", "wants", "veux", "veut", "voulons", "veulent"),
    ("love", "loves", "aime", "aime", "aimons", "aiment"),
    ("show", "shows", "montre", "montre", "montrons", "montrent"),
]
_PRONOUNS = [("I", "je", 0), ("he", "il", 1), ("she", "elle", 1), ("we", "nous", 2), ("they", "ils", 3)]
_WHEN = [
    ("today", "aujourd'hui"),
    ("now", "maintenant"),
    ("every day", "tous les jours"),
    ("again", "encore"),
]
_VOWELS = "aeiouéèêhœ"


def _elide(word: str, following: str) -> str:
    """ "je" before "aime" is "j'"; the words that lose their vowel are je, ne, le, la."""
    return f"{word[0]}'{following}" if following[0] in _VOWELS else f"{word} {following}"


def _noun(rng: np.random.Generator, nouns: list[tuple[str, str, str]]) -> tuple[str, str, bool]:
    """An English and a French noun phrase, and whether it is plural."""
    english, french, gender = nouns[rng.integers(len(nouns))]
    plural = rng.random() < 0.3
    adjectives = _CHARACTERS if nouns is _PEOPLE else _QUALITIES
    adjective = adjectives[rng.integers(len(adjectives))] if rng.random() < 0.55 else None
    kind = rng.integers(3)  # the, a, my
    fr_noun = _PLURALS.get(french, french + "s") if plural else french
    if adjective is None:
        words_en, words_fr = [english], [fr_noun]
    else:
        name, masculine, feminine, before = adjective
        form = masculine if gender == "m" else feminine
        if plural:
            form += "x" if form.endswith("eau") else "" if form.endswith("x") else "s"
        elif fr_noun[0] in _VOWELS:  # vieil oncle
            form = {"nouveau": "nouvel", "vieux": "vieil"}.get(form, form)
        words_en = [name, english]
        words_fr = [form, fr_noun] if before else [fr_noun, form]
    if plural:
        words_en[-1] = _ENGLISH_PLURALS.get(english, english + "s")
    phrase_en, phrase_fr = " ".join(words_en), " ".join(words_fr)
    vowel = phrase_fr[0] in _VOWELS
    if kind == 0:
        singular = _elide("le" if gender == "m" else "la", phrase_fr)
        return f"the {phrase_en}", f"les {phrase_fr}" if plural else singular, plural
    if kind == 1 and plural:
        de = ("d'" if vowel else "de ") if adjective and adjective[3] else "des "  # de petits livres
        return f"some {phrase_en}", de + phrase_fr, plural
    if kind == 1:
        article = "an" if phrase_en[0] in "aeiou" else "a"
        return f"{article} {phrase_en}", f"{'un' if gender == 'm' else 'une'} {phrase_fr}", plural
    mine = "mes" if plural else "mon" if gender == "m" or vowel else "ma"
    return f"my {phrase_en}", f"{mine} {phrase_fr}", plural


def _sentence(rng: np.random.Generator) -> tuple[str, str]:
    verb = _VERBS[rng.integers(len(_VERBS))]
    negated = rng.random() < 0.3
    if rng.random() < 0.5:
        subject_en, subject_fr, person = _PRONOUNS[rng.integers(len(_PRONOUNS))]
    else:
        subject_en, subject_fr, plural = _noun(rng, _PEOPLE)
        person = 3 if plural else 1
    singular = person == 1
    verb_en = f"{'does' if singular else 'do'} not {verb[0]}" if negated else verb[1] if singular else verb[0]
    object_fr = ""
    verb_fr = verb[2 + person]
    if rng.random() < 0.25:  # a pronoun, which French puts before the verb
        object_en, before = [("it", "le"), ("them", "les")][rng.integers(2)]
        verb_fr = _elide("le", verb_fr) if before == "le" else f"les {verb_fr}"
    else:
        object_en, object_fr, _ = _noun(rng, _THINGS)
    if negated:
        verb_fr = f"{_elide('ne', verb_fr)} pas"
        if object_fr.startswith(("un ", "une ", "des ", "de ", "d'")):  # after a negation the article is de
            bare = object_fr.split("'", 1)[1] if object_fr.startswith("d'") else object_fr.split(" ", 1)[1]
            object_fr = f"d'{bare}" if bare[0] in _VOWELS else f"de {bare}"
    clause_fr = _elide("je", verb_fr) if subject_fr == "je" else f"{subject_fr} {verb_fr}"
    when_en, when_fr = _WHEN[rng.integers(len(_WHEN))] if rng.random() < 0.3 else ("", "")
    english = " ".join(part for part in (subject_en, verb_en, object_en, when_en) if part)
    french = " ".join(part for part in (clause_fr, object_fr, when_fr) if part)
    return english[0].upper() + english[1:] + ".", french[0].upper() + french[1:] + "."


def make_sample() -> dict[str, Any]:
    """4,400 sentences of a small grammar, all different, 4,000 to train and 400 to test.

    Returns
    -------
    dict
        ``english_train`` and ``french_train`` (4000,) str, ``english_test`` and ``french_test`` (400,) str.
        An English sentence stands once.
    """
    rng = np.random.default_rng(1789)
    pairs: dict[str, str] = {}
    while len(pairs) < N_SAMPLE + N_SAMPLE_TEST:
        english, french = _sentence(rng)
        pairs.setdefault(english, french)
    return _parts(list(pairs), list(pairs.values()), N_SAMPLE_TEST)


def read_zip(path: Path) -> dict[str, Any]:
    """Sentence pairs of Tatoeba; fields as in :func:`make_sample`, an English sentence with its first translation.

    Raises
    ------
    DataError
        If the file is not that archive.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            text = archive.read("fra.txt").decode("utf-8")
    except (zipfile.BadZipFile, KeyError, UnicodeDecodeError, OSError) as error:
        raise DataError(
            f"{path} is not a valid archive of sentences; delete it and load the data again."
        ) from error
    pairs: dict[str, str] = {}
    for line in text.splitlines():
        english, tab, french = line.partition("\t")
        if tab:
            pairs.setdefault(english, french.partition("\t")[0])
    if len(pairs) < 100:
        raise DataError(f"{path} has {len(pairs)} sentences only; delete it and load the data again.")
    return _parts(list(pairs), list(pairs.values()), round(TEST_SHARE * len(pairs)))


def _parts(english: list[str], french: list[str], n_test: int) -> dict[str, Any]:
    order = np.random.default_rng(0).permutation(len(english))
    both = {"english": np.array(english), "french": np.array(french)}
    fields = {}
    for part, rows in (("train", order[n_test:]), ("test", order[:n_test])):
        fields |= {f"{language}_{part}": texts[rows] for language, texts in both.items()}
    return fields
