"""Finds the last block of a network's high level: f of WSGSA."""

from typing import Any

import keras

from keras_faramtn.keras_internals import all_layers, call_that_returned

# As many as the paper's last residual block of ResNet50 has.
_CONVOLUTIONS = 3


def last_block_input(trunk: Any, output: Any) -> Any:
    """Finds X, the input of the last convolutions of a network: the network's output is f(X).

    X is the last feature map that all paths from the trunk to the output pass, and after which
    there are three convolutions or more. In a residual network, this is the input of the last
    residual block, or of the last two if each has two convolutions. Where the high level has no
    such point, X is the trunk's map, and f the whole high level.

    Args:
        trunk: symbolic feature map from which the high level is computed, `(batch, height, width,
            C)`.
        output: symbolic output of the network.

    Returns:
        A symbolic feature map, `(batch, height', width', C')`.

    Example:
        >>> trunk = keras.Input((8, 8, 3))
        >>> x = before = keras.layers.Conv2D(4, 3, strides=2)(trunk)
        >>> for _ in range(3):
        ...     x = keras.layers.Conv2D(4, 3, padding="same")(x)
        >>> output = keras.layers.Add()([before, x])
        >>> last_block_input(trunk, output) is before
        True
    """
    tensors = _from_trunk(trunk, output)
    position = {id(tensor): index for index, tensor in enumerate(tensors)}
    last_use = [0] * len(tensors)
    for index, tensor in enumerate(tensors[1:], 1):
        for each in call_that_returned(tensor)[1]:
            if id(each) in position:
                last_use[position[id(each)]] = index
    # All paths pass a tensor if nothing computed before it is used after it.
    used_until, passed = 0, []
    for index, tensor in enumerate(tensors[:-1]):
        if used_until <= index and len(tensor.shape) == 4:
            passed.append(index)
        used_until = max(used_until, last_use[index])
    operations = {
        id(operation): (operation, index)
        for index, tensor in reversed(list(enumerate(tensors[1:], 1)))
        for operation in [call_that_returned(tensor)[0]]
    }
    return next(
        (
            tensors[index]
            for index in reversed(passed)
            if sum(_convolutions(operation) for operation, at in operations.values() if at > index)
            >= _CONVOLUTIONS
        ),
        trunk,
    )


def _from_trunk(trunk: Any, output: Any) -> list[Any]:
    """The trunk and all tensors computed from it that lead to the output, each after its inputs."""
    order: list[Any] = []
    leading: set[int] = {id(trunk)}
    done: set[int] = {id(trunk)}
    stack = [(output, False)]
    while stack:  # not recursive: some networks have more layers than Python's stack has frames
        tensor, inputs_done = stack.pop()
        if id(tensor) in done:
            continue
        inputs = call_that_returned(tensor)[1]
        if not inputs_done:
            stack.append((tensor, True))
            stack.extend((each, False) for each in inputs)
            continue
        done.add(id(tensor))
        if any(id(each) in leading for each in inputs):
            leading.add(id(tensor))
            order.append(tensor)
    return [trunk, *order]


def _convolutions(operation: Any) -> int:
    if not isinstance(operation, keras.layers.Layer):
        return 0
    kinds = keras.layers.Conv2D, keras.layers.DepthwiseConv2D
    return sum(isinstance(layer, kinds) for layer in (operation, *all_layers(operation)))
