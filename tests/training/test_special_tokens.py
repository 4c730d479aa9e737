"""Start and end tokens of rows: what is put right, what is told, and what a preview shows."""

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from lessons_lib.errors import UserError
from lessons_lib.models.making import new_model
from lessons_lib.training.collation import tokenize_rows
from lessons_lib.training.config import TrainConfig
from lessons_lib.training.preparing import preview, tokens_of
from lessons_lib.training.special_tokens import Met, marked, merged, warnings_of

SPECIAL = ["<s>", "</s>", "<pad>", "<|turn|>"]
CHAT = "{% for m in messages %}<|turn|>{{ m.role }}: {{ m.content }}</s>\n{% endfor %}"
ASK = "{% if add_generation_prompt %}<|turn|>assistant: {% endif %}"
ENDLESS = CHAT.replace("</s>", "")
OTHER_END = "{% for m in messages %}{{ m.role }}: {{ m.content }}<|turn|>{% endfor %}"
OTHER_ASK = "{% if add_generation_prompt %}assistant: {% endif %}"
THINKING = CHAT.replace("{{ m.content }}", "{% if m.role == 'assistant' %}<think>{% endif %}{{ m.content }}")


def tokenizer(*, adds=(), template=None):
    """One token a byte, and special tokens, some of which it adds by itself."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({token: i for i, token in enumerate([*SPECIAL, *alphabet])}, []))
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    around = " ".join(["<s>"] * ("<s>" in adds) + ["$A"] + ["</s>"] * ("</s>" in adds))
    made.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(single=around, special_tokens=[("<s>", 0), ("</s>", 1)]),
        ]
    )
    made.add_special_tokens(SPECIAL)
    names = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    return PreTrainedTokenizerFast(
        tokenizer_object=made, **names, additional_special_tokens=["<|turn|>"], chat_template=template
    )


def pair(prompt="one?", chosen=" yes", rejected=" no"):
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected}


def chat(reply="yes", other="no"):
    return {
        "prompt": [{"role": "user", "content": "one?"}],
        "chosen": [{"role": "assistant", "content": reply}],
        "rejected": [{"role": "assistant", "content": other}],
    }


def read(row, encoder, **options):
    """The row's prompt and chosen response as text with special tokens marked, and what was met."""
    rows = tokenize_rows([row], ("chosen", "rejected"), encoder, **options)
    return marked(rows.prompts[0], encoder), marked(rows.responses["chosen"][0], encoder), set(rows.met)


@pytest.mark.parametrize(
    ("adds", "row", "prompt", "chosen", "met"),
    [
        ((), pair(), "one?", " yes⟦</s>⟧", set()),
        (("<s>",), pair(), "⟦<s>⟧one?", " yes⟦</s>⟧", set()),
        (("<s>", "</s>"), pair(), "⟦<s>⟧one?", " yes⟦</s>⟧", set()),  # no end between prompt and reply
        (("<s>",), pair("<s>one?"), "⟦<s>⟧one?", " yes⟦</s>⟧", {"start_twice"}),
        ((), pair(chosen=" yes</s>"), "one?", " yes⟦</s>⟧", {"ended_already"}),
        ((), pair(chosen=" yes</s>\n"), "one?", " yes⟦</s>⟧\n", {"ended_already"}),
        ((), pair("<|turn|>one?</s>"), "⟦<|turn|>⟧one?⟦</s>⟧", " yes⟦</s>⟧", {"special_in_prompt"}),
    ],
    ids=["plain", "start", "start and end", "start twice", "ended", "ended, new line", "end in prompt"],
)
def test_plain_text_has_one_start_and_one_end(adds, row, prompt, chosen, met):
    assert read(row, tokenizer(adds=adds)) == (prompt, chosen, met)


@pytest.mark.parametrize(
    ("template", "chosen", "met"),
    [
        (CHAT + ASK, "yes⟦</s>⟧\n", set()),
        (ENDLESS + ASK, "yes\n⟦</s>⟧", {"never_ends"}),
        (OTHER_END + OTHER_ASK, "yes⟦<|turn|>⟧", {"ends_otherwise"}),
        (THINKING + ASK.replace("assistant: ", "assistant: <think>"), "yes⟦</s>⟧\n", {"opens_thinking"}),
    ],
    ids=["ends", "never ends", "ends otherwise", "thinks"],
)
def test_what_a_chat_template_makes_of_a_reply(template, chosen, met):
    _, seen, found = read(chat(), tokenizer(adds=("<s>",), template=template))
    assert (seen, found) == (chosen, met)


def test_an_end_at_which_generation_stops_is_an_end():
    turn = SPECIAL.index("<|turn|>")
    assert read(chat(), tokenizer(template=OTHER_END + OTHER_ASK), stops=[turn])[2] == set()
    assert read(chat(), tokenizer(template=ENDLESS + ASK), append_eos=False)[1] == "yes\n"


def test_closed_thoughts_are_no_fault():
    template = THINKING + ASK.replace("assistant: ", "assistant: <think>")
    assert read(chat("so </think> yes", "so </think> no"), tokenizer(template=template))[2] == set()


def test_a_template_that_opens_thoughts_only_when_it_asks_is_refused_by_name():
    with pytest.raises(UserError, match="opens a thinking block.*enable_thinking"):
        read(chat(), tokenizer(template=CHAT + ASK.replace("assistant: ", "assistant: <think>")))


def test_plain_text_for_a_chat_model_is_told():
    assert read(pair(), tokenizer(template=CHAT + ASK))[2] == {"plain_for_chat"}


def test_a_token_beyond_the_vocabulary_is_refused_with_row_and_token():
    with pytest.raises(UserError, match=r"data\[7\]: the tokenizer gives chosen the id 1\d\d .* embeddings for 100"):
        tokenize_rows([pair("A", "é", "A")], ("chosen", "rejected"), tokenizer(), vocabulary=100, first=7)


def test_warnings_count_rows_and_say_what_to_do():
    rows = tokenize_rows([pair(), pair(chosen="a</s>", rejected="b</s>")], ("chosen", "rejected"), tokenizer())
    (sentence,) = warnings_of(rows.met, 2)
    assert sentence.startswith("1 of 2 rows (first: data[1]) end with the end token") and "pass messages" in sentence
    both = merged({"never_ends": Met(2, 5)}, {"never_ends": Met(1, 3), "start_twice": Met(1, 9)})
    assert both == {"never_ends": Met(3, 3), "start_twice": Met(1, 9)}


def small_model(encoder, max_length=24):
    sizes = dict(vocab_size=len(encoder), layers=1, width=8, heads=1)
    return new_model("llama", **sizes, max_length=max_length, seed=0)


def test_a_preview_shows_what_is_masked_and_what_is_cut():
    encoder = tokenizer(adds=("<s>",))
    long = pair("p" * 30, "c" * 30, "r")
    shown = preview(
        [pair(), long], "dpo", TrainConfig(truncation="keep_both"), model=small_model(encoder), tokenizer=encoder
    )
    first, second = shown.split("\n\n")
    assert "prompt, 5 tokens, masked" in first and "│ ⟦<s>⟧one?" in first and "cut" not in first
    assert "its first 19 tokens are cut" in second and "its last 19 tokens are cut, the end token with them" in second
    dropped = preview([long], "dpo", TrainConfig(truncation="drop"), model=small_model(encoder), tokenizer=encoder)
    assert "left out" in dropped


def test_nothing_left_after_dropping_is_an_error(tmp_path):
    from lessons_lib.training.config import objective_for

    encoder, long = tokenizer(), pair("p" * 30, "c" * 30, "r")
    for folder in (None, str(tmp_path)):
        config = TrainConfig(truncation="drop", token_dir=folder)
        arguments = (objective_for("dpo", config), small_model(encoder), encoder, config)
        with pytest.raises(UserError, match="none of 2 rows fits into 24"):
            tokens_of([long, long], *arguments)
        kept = tokens_of([long, pair(), long], *arguments)
        assert (len(kept), kept.dropped) == (1, 2) and marked(kept.select([0]).prompts[0], encoder) == "one?"
