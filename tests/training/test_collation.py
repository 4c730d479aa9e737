"""Rows to token ids, and row numbers to batches."""

from __future__ import annotations

import pytest
import tiny
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from lessons_lib.errors import UserError
from lessons_lib.training.collation import plan_batches, tokenize_rows

PAIR = {"prompt": "<bos> ask0", "chosen": " good1 good2", "rejected": " bad1"}
COLUMNS = ("chosen", "rejected")


def ids(text: str) -> list[int]:
    return [tiny.WORDS.index(word) for word in text.split()]


@pytest.fixture(scope="module")
def subwords() -> PreTrainedTokenizerFast:
    """A byte-pair tokenizer that learned to merge "abab" into one token, so prompt and response can melt together."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<eos>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator(["abab abab abab"], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>")


def test_prompt_and_response_get_their_ids_and_the_response_an_end():
    rows = tokenize_rows([PAIR], COLUMNS, tiny.tokenizer())
    assert rows.prompts == [ids("<bos> ask0")]
    assert rows.responses == {"chosen": [ids("good1 good2 <eos>")], "rejected": [ids("bad1 <eos>")]}
    assert rows.labels is None and rows.truncated == 0 and rows.row_lengths() == [5]


def test_an_end_that_is_there_is_not_doubled():
    rows = tokenize_rows([{**PAIR, "chosen": " good1 <eos>"}], COLUMNS, tiny.tokenizer())
    assert rows.responses["chosen"] == [ids("good1 <eos>")]


def test_append_eos_off_leaves_the_response_alone():
    rows = tokenize_rows([PAIR], COLUMNS, tiny.tokenizer(), append_eos=False)
    assert rows.responses["chosen"] == [ids("good1 good2")]


def test_labels_come_along():
    rows = tokenize_rows(tiny.thumbs(3), ("completion",), tiny.tokenizer())
    assert rows.labels.tolist() == [True, False, True]
    assert rows.select([2, 1]).labels.tolist() == [True, False]


def test_a_response_keeps_the_ids_it_has_behind_the_prompt(subwords):
    pair = {"prompt": "abab", "chosen": " abab", "rejected": " ab"}
    rows = tokenize_rows([pair], COLUMNS, subwords, append_eos=False)
    whole = subwords("abab abab")["input_ids"]
    assert rows.prompts[0] + rows.responses["chosen"][0] == whole


def test_a_merge_across_the_seam_keeps_the_prompt_whole(subwords):
    assert len(subwords("abab")["input_ids"]) == 1  # "ab" + "ab" would melt into this one token
    rows = tokenize_rows([{"prompt": "ab", "chosen": "ab", "rejected": " ab"}], COLUMNS, subwords, append_eos=False)
    assert rows.prompts[0] == subwords("ab")["input_ids"] == rows.responses["chosen"][0]


def test_messages_go_through_the_chat_template():
    tokenizer = tiny.tokenizer()
    tokenizer.chat_template = (
        "<bos>{% for m in messages %} {{ m['role'] == 'user' and 'ask7' or 'good7' }} {{ m['content'] }}"
        "{% if m['role'] == 'assistant' %} <eos>{% endif %}{% endfor %}{% if add_generation_prompt %} good7{% endif %}"
    )
    row = {
        "prompt": [{"role": "user", "content": "ask0"}],
        "chosen": [{"role": "assistant", "content": "good1"}],
        "rejected": [{"role": "assistant", "content": "bad1 bad2"}],
    }
    rows = tokenize_rows([row], COLUMNS, tokenizer)
    assert rows.prompts == [ids("<bos> ask7 ask0 good7")]
    assert rows.responses == {"chosen": [ids("good1 <eos>")], "rejected": [ids("bad1 bad2 <eos>")]}


def test_a_start_token_that_the_tokenizer_adds_comes_once():
    tokenizer = tiny.tokenizer()
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 0)])
    rows = tokenize_rows([{"prompt": "ask0", "chosen": " good1", "rejected": " bad1"}], COLUMNS, tokenizer)
    assert rows.prompts == [ids("<bos> ask0")] and rows.responses["chosen"] == [ids("good1 <eos>")]
    tokenizer.chat_template = "<bos>{% for m in messages %} {{ m['content'] }}{% endfor %}"
    row = {"prompt": [{"role": "user", "content": "ask0"}]}
    row |= {
        side: [{"role": "assistant", "content": word}] for side, word in (("chosen", "good1"), ("rejected", "bad1"))
    }
    rows = tokenize_rows([row], COLUMNS, tokenizer)
    assert rows.prompts == [ids("<bos> ask0")] and rows.responses["chosen"] == [ids("good1 <eos>")]


def test_messages_without_a_chat_template_are_refused():
    row = {"prompt": [{"role": "user", "content": "ask0"}], "completion": [{"role": "assistant", "content": "good1"}]}
    with pytest.raises(UserError, match="no chat template"):
        tokenize_rows([{**row, "label": True}], ("completion",), tiny.tokenizer())


@pytest.mark.parametrize(
    ("policy", "limit", "prompt", "chosen", "rejected"),
    [
        ("keep_start", 4, "<bos> ask0", "good1 good2", "bad1 <eos>"),
        ("keep_start", 3, "<bos> ask0", "good1", "bad1"),
        ("keep_both", 4, "<bos> ask0", "good1 good2", "bad1 <eos>"),
        ("keep_both", 2, "ask0", "good1", "bad1"),
        ("keep_end", 4, "ask0", "good1 good2 <eos>", "bad1 <eos>"),
        ("error", 5, "<bos> ask0", "good1 good2 <eos>", "bad1 <eos>"),
    ],
)
def test_truncation_cuts_where_it_says(policy, limit, prompt, chosen, rejected):
    rows = tokenize_rows([PAIR, PAIR], COLUMNS, tiny.tokenizer(), max_length=limit, truncation=policy)
    assert rows.prompts == [ids(prompt)] * 2
    assert rows.responses == {"chosen": [ids(chosen)] * 2, "rejected": [ids(rejected)] * 2}
    assert rows.truncated == (0 if limit == 5 else 2)


@pytest.mark.parametrize(("policy", "limit"), [("error", 4), ("keep_start", 2), ("keep_end", 3)])
def test_truncation_never_empties_a_side(policy, limit):
    with pytest.raises(UserError, match=r"data\[0\]: 2 prompt tokens and up to 3 response tokens do not fit into"):
        tokenize_rows([PAIR], COLUMNS, tiny.tokenizer(), max_length=limit, truncation=policy)


@pytest.mark.parametrize("field", ["prompt", "chosen", "rejected"])
def test_a_row_without_tokens_is_refused_by_name(field):
    with pytest.raises(UserError, match=rf"data\[1\]: {field} has no tokens"):
        tokenize_rows([PAIR, {**PAIR, field: " "}], COLUMNS, tiny.tokenizer())


def test_no_rows_and_no_end_token_are_refused():
    with pytest.raises(UserError, match="at least one row"):
        tokenize_rows([], COLUMNS, tiny.tokenizer())
    tokenizer = tiny.tokenizer()
    tokenizer.eos_token = None
    with pytest.raises(UserError, match="no end-of-sequence token"):
        tokenize_rows([PAIR], COLUMNS, tokenizer)


LENGTHS = [(7 * i) % 31 + 1 for i in range(100)]


@pytest.mark.parametrize("order", ["random", "sorted"])
def test_an_epoch_takes_every_row_once(order):
    batches = plan_batches(LENGTHS, batch_size=16, order=order, epochs=2)
    assert [batch.step for batch in batches] == list(range(1, 15))
    assert sorted(len(batch.rows) for batch in batches[:7]) == [4, 16, 16, 16, 16, 16, 16]
    for epoch in (batches[:7], batches[7:]):
        assert sorted(row for batch in epoch for row in batch.rows) == list(range(100))
    assert [batch.epoch for batch in batches][6::7] == [1.0, 2.0]
    assert all(b.start == a.start + len(a.rows) for a, b in zip(batches, batches[1:], strict=False))


@pytest.mark.parametrize("order", ["random", "sorted"])
def test_the_seed_fixes_the_batches_and_epochs_differ(order):
    def rows(seed):
        return [batch.rows for batch in plan_batches(LENGTHS, batch_size=16, order=order, epochs=2, seed=seed)]

    assert rows(3) == rows(3) != rows(4)
    assert rows(3)[:7] != rows(3)[7:]


def test_sorted_batches_pad_less():
    def padding(order):
        batches = plan_batches(LENGTHS, batch_size=10, order=order)
        return sum(max(LENGTHS[row] for row in b.rows) * len(b.rows) for b in batches) - sum(LENGTHS)

    assert padding("sorted") < 0.3 * padding("random")


def test_steps_repeat_the_rows_and_stop():
    batches = plan_batches(LENGTHS, batch_size=40, steps=7)
    assert len(batches) == 7 and batches[-1].epoch == pytest.approx(7 / 3)


def test_a_last_batch_that_is_too_small_joins_the_one_before():
    sizes = [len(batch.rows) for batch in plan_batches(LENGTHS[:33], batch_size=16, at_least=2)]
    assert sizes == [16, 17]


def test_a_long_prompt_and_a_long_reply_each_keep_their_room():
    long_prompt = {**PAIR, "prompt": "<bos> " + "ask0 " * 9}
    long_reply = {**PAIR, "chosen": " good1" * 9}
    rows = tokenize_rows([long_prompt, long_reply], COLUMNS, tiny.tokenizer(), max_length=6, truncation="keep_both")
    assert list(map(len, rows.prompts)) == [3, 2] and list(map(len, rows.responses["chosen"])) == [3, 4]
    left = tokenize_rows([long_prompt, PAIR, long_reply], COLUMNS, tiny.tokenizer(), max_length=6, truncation="drop")
    assert (len(left), left.dropped, left.truncated) == (1, 2, 0)
