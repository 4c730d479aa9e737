"""A model that all tests of the shop's comparison share."""

import pytest

from lessons_lib.benchmark.shop_runs import Setup


@pytest.fixture(scope="session")
def babbler(shop_model, tmp_path_factory):
    """A model of the shop's family and tokenizer, too small to say anything."""
    from lessons_lib.models import loading, making

    folder = tmp_path_factory.mktemp("babbler")
    tokenizer = loading.load_tokenizer(shop_model)
    size = {"layers": 1, "width": 16, "heads": 2, "max_length": 256, "seed": 0}
    loading.save(making.new_model("llama", vocab_size=len(tokenizer), **size), tokenizer, folder)
    return Setup(model=str(folder), bf16=False)
