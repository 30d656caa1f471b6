def local(network, inputs):
    return {}


def end_to_end(network, numbers, tensors):
    return {}
