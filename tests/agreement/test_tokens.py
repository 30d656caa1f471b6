"""Networks of tokens in the matrix: mistakes planted in their losses and layers are caught, each where it is made."""

import pytest
import tensorflow as tf
from float64_cell import assert_whole_passes_agree, blamed

from tfbp import network
from tfbp.agreement.cases import cases_of
from tfbp.manual import backprop, embedding, inputs, losses, position

FILES = network.dense, network.embedding, network.position, network.linear_cross_entropy
CASES = {case.name.split("-B")[0]: case for case in cases_of(*FILES)}
RIGHT = {
    "forward": losses.loss_forward,
    "backward": losses.loss_backward,
    "weights": inputs._of_each_loss,
    "look up": embedding.embedding_forward,
    "add up": embedding.embedding_backward,
    "place": position.position_forward,
    "place back": position.position_backward,
    "turn": position.rotary_forward,
    "turn back": position.rotary_backward,
}


def weights_of_the_batch(network, x, weight):
    """The first token's weight for all tokens of an example."""
    return RIGHT["weights"](network, x, weight[:, 0])


def tokens_reversed(loss, dlosses, residuals):
    return RIGHT["backward"](loss, tf.reverse(dlosses, [1]), residuals)


def looked_up(change):
    """The forward of a table with the tokens changed, and the right residuals."""

    def forward(x, embeddings):
        return RIGHT["look up"](change(x), embeddings)[0], RIGHT["look up"](x, embeddings)[1]

    return forward


def added_up(change):
    """The backward of a table with dy and the tokens changed."""
    return lambda dy, residuals: RIGHT["add up"](*change(dy, *residuals))


def the_last_place_alone(dy, residuals):
    x, rows = residuals
    places, dys = tf.reshape(x, [-1, 1]), tf.reshape(dy, [-1, dy.shape[-1]])
    return tf.tensor_scatter_nd_update(tf.zeros([rows, dy.shape[-1]], dy.dtype), places, dys)


def mean_of_the_places(dy, residuals):
    x, rows = residuals
    count = tf.math.unsorted_segment_sum(tf.ones_like(x), x, rows)
    return RIGHT["add up"](dy, residuals) / tf.cast(tf.maximum(count, 1), dy.dtype)[:, None]


def one_for_each_example(dy, residuals):
    """A token that stands twice in an example counts once."""
    x = residuals[0]
    before = [tf.reduce_any(x[:, :t] == x[:, t : t + 1], axis=1) for t in range(x.shape[1])]
    return RIGHT["add up"](tf.where(tf.stack(before, axis=1)[..., None], tf.zeros_like(dy), dy), residuals)


def placed(change):
    """The forward of learned positions with their rows changed, and the right residuals."""
    return lambda x, embeddings: (RIGHT["place"](x, change(embeddings))[0], RIGHT["place"](x, embeddings)[1])


def placed_back(change):
    """The backward of learned positions with the rows' gradient changed."""

    def backward(dy, residuals, **options):
        dx, dembeddings = RIGHT["place back"](dy, residuals, **options)
        return dx, change(dembeddings)

    return backward


def turned(change):
    """The forward of a rotation with x or its arguments changed."""

    def forward(x, **options):
        changed_x, changed = change(x, options)
        return RIGHT["turn"](changed_x, **changed)[0], RIGHT["turn"](x, **options)[1]

    return forward


def pairs_of_neighbours(dy, residuals):
    """Features 2i and 2i + 1 as a pair, as some write it, in place of the halves."""
    half = dy.shape[-1] // 2
    order = [*range(0, 2 * half, 2), *range(1, 2 * half, 2)]
    back = [order.index(i) for i in range(2 * half)]
    return tf.gather(RIGHT["turn back"](tf.gather(dy, order, axis=-1), residuals), back, axis=-1)


# what is planted where, in which case it shows, the scope, the tensor that is named, and the cause
MISTAKES = {
    "the first token's weight for all": (
        inputs, "_of_each_loss", weights_of_the_batch, "tokens-sparse", "end to end", "loss", "",
    ),
    "sample weights left out": (
        inputs, "_of_each_loss", lambda network, x, weight: tf.ones_like(weight),
        "tokens-sparse", "end to end", "loss", "sample weights are ignored",
    ),
    "1/B in place of 1/N": (
        backprop, "loss_backward",
        lambda loss, dlosses, kept: RIGHT["backward"](loss, 6 * dlosses, kept),
        "tokens-sparse", "end to end", "doutputs", "factor",
    ),
    "losses of tokens added up": (
        losses, "loss_forward",
        lambda loss, y, outputs: (RIGHT["forward"](loss, y, outputs)[0] * 6, RIGHT["forward"](loss, y, outputs)[1]),
        "tokens-sparse", "local", "losses", "factor",
    ),
    "labels of tokens in another order": (
        losses, "loss_forward", lambda loss, y, outputs: RIGHT["forward"](loss, tf.reverse(y, [1]), outputs),
        "tokens-sparse", "local", "losses", "",
    ),
    "the row before": (
        embedding, "embedding_forward", looked_up(lambda x: (x - 1) % 9), "embedding", "local", "layer 0 z", "",
    ),
    "tokens of another place": (
        embedding, "embedding_forward", looked_up(lambda x: tf.reverse(x, [1])), "embedding", "local", "layer 0 z", "",
    ),
    "tokens of another example": (
        embedding, "embedding_forward", looked_up(lambda x: tf.roll(x, 1, 0)), "embedding", "local", "layer 0 z", "",
    ),
    "a repeated row is overwritten": (
        embedding, "embedding_backward", the_last_place_alone, "embedding", "local", "layer 0 dembeddings", "",
    ),
    "the mean of a row's places": (
        embedding, "embedding_backward", mean_of_the_places, "embedding", "local", "layer 0 dembeddings", "",
    ),
    "once for each example": (
        embedding, "embedding_backward", one_for_each_example, "embedding", "local", "layer 0 dembeddings", "",
    ),
    "dy goes to the row before": (
        embedding, "embedding_backward", added_up(lambda dy, x, rows: (dy, ((x - 1) % rows, rows))),
        "embedding", "local", "layer 0 dembeddings", "",
    ),
    "dy of another place": (
        embedding, "embedding_backward", added_up(lambda dy, *kept: (tf.reverse(dy, [1]), kept)),
        "embedding", "local", "layer 0 dembeddings", "",
    ),
    "the first example left out": (
        embedding, "embedding_backward", added_up(lambda dy, x, rows: (dy[1:], (x[1:], rows))),
        "embedding", "local", "layer 0 dembeddings", "",
    ),
    "the first token left out": (
        embedding, "embedding_backward", added_up(lambda dy, x, rows: (dy[:, 1:], (x[:, 1:], rows))),
        "embedding", "local", "layer 0 dembeddings", "",
    ),
    "dy halved": (
        embedding, "embedding_backward", added_up(lambda dy, *kept: (dy / 2, kept)),
        "embedding", "local", "layer 0 dembeddings", "factor",
    ),
    "one row for all positions": (
        position, "position_forward", placed(lambda e: 0 * e + e[:1]),
        "positions", "local", "layer 1 z", "",
    ),
    "positions from 1 on": (
        position, "position_forward", placed(lambda e: tf.roll(e, -1, 0)),
        "positions", "local", "layer 1 z", "",
    ),
    "positions from the end": (
        position, "position_forward", placed(lambda e: tf.reverse(e, [0])),
        "positions", "local", "layer 1 z", "",
    ),
    "positions in place of tokens": (
        position, "position_forward", lambda x, e: (RIGHT["place"](0 * x, e)[0], RIGHT["place"](x, e)[1]),
        "positions", "local", "layer 1 z", "",
    ),
    "dx left out": (
        position, "position_backward", lambda dy, kept, **asked: (0 * dy, RIGHT["place back"](dy, kept, **asked)[1]),
        "positions", "local", "layer 1 dx", "",
    ),
    "the mean over the batch": (
        position, "position_backward", placed_back(lambda d: d / 5),
        "positions", "local", "layer 1 dembeddings", "factor",
    ),
    "rows in another order": (
        position, "position_backward", placed_back(lambda d: tf.reverse(d, [0])),
        "positions", "local", "layer 1 dembeddings", "",
    ),
    "rows one too late": (
        position, "position_backward", placed_back(lambda d: tf.roll(d, 1, 0)),
        "positions", "local", "layer 1 dembeddings", "",
    ),
    "one example's dy alone": (
        position, "_sum_over_batch", lambda dy: dy[0],
        "positions", "local", "layer 1 dembeddings", "",
    ),
    "steps counted from 1": (
        position, "rotary_forward", turned(lambda x, options: (x, {**options, "start": 1})),
        "positions", "local", "layer 3 z", "",
    ),
    "another wavelength": (
        position, "rotary_forward", turned(lambda x, options: (x, {**options, "max_wavelength": 10000})),
        "positions", "local", "layer 3 z", "",
    ),
    "multiplied by the scaling factor": (
        position, "rotary_forward", turned(lambda x, options: (x, {**options, "scaling_factor": 2.0})),
        "positions", "local", "layer 3 z", "",
    ),
    "halves exchanged": (
        position, "rotary_forward", turned(lambda x, options: (tf.roll(x, x.shape[-1] // 2, -1), options)),
        "positions", "local", "layer 3 z", "",
    ),
    "turned on in place of back": (
        position, "rotary_backward", lambda dy, kept: RIGHT["turn back"](dy, (kept[0], -kept[1])),
        "positions", "local", "layer 3 dx", "",
    ),
    "not turned back": (
        position, "rotary_backward", lambda dy, kept: dy,
        "positions", "local", "layer 3 dx", "",
    ),
    "without the sines": (
        position, "rotary_backward", lambda dy, kept: RIGHT["turn back"](dy, (kept[0], 0 * kept[1])),
        "positions", "local", "layer 3 dx", "",
    ),
    "pairs of neighbours": (
        position, "rotary_backward", pairs_of_neighbours,
        "positions", "local", "layer 3 dx", "",
    ),
    "turned back by the step before": (
        position, "rotary_backward", lambda dy, kept: RIGHT["turn back"](dy, [tf.roll(each, 1, 0) for each in kept]),
        "positions", "local", "layer 3 dx", "",
    ),
    "dlosses of tokens in another order": (
        losses, "loss_backward", tokens_reversed, "tokens-sparse", "local", "doutputs", "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_planted_mistake_is_named(monkeypatch, mistake):
    module, function, wrong, case, scope, tensor, cause = MISTAKES[mistake]
    monkeypatch.setattr(module, function, wrong)
    *place, said = blamed(CASES[case])
    assert place == ["manual", scope, tensor]
    assert cause in said


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_in_float64_whole_passes_agree_to_1e_12(case):
    assert_whole_passes_agree(case)
